"""The link to the basestation."""
