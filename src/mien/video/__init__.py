"""Moving pictures: files, cameras, and the window that shows them."""
