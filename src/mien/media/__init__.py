"""Pictures in, drawings and records out."""
