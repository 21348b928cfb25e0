"""Pictures in, pictures out: decoding within limits, and saving."""
