"""The wire protocol, written once, for MicroPython and CPython."""

__version__ = "0.1.0"
