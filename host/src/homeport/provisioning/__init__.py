"""Putting a device's identity, settings and users into a board: over its serial line, or into an image of its flash."""
