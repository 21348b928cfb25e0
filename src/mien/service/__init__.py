"""The service: REST and WebSocket, and the page. Needs the extra [serve]."""
