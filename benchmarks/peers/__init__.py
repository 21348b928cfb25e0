"""What `speed.py` runs beside Mien: environments, networks, pictures, and one small program for each contestant."""
