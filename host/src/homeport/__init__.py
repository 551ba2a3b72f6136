"""Homeport on the host: basestation, client library and command line."""

__version__ = "0.1.0"
