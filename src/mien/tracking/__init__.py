"""What streams need and photos do not: tracks, optical flow, appearance, smoothing."""
