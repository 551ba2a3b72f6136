"""Query files: what a device can be asked, and how."""
