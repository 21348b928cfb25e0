"""What is drawn over a picture: boxes, labels, bars, emoji."""
