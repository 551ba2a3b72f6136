"""The one place that asks which interpreter this is."""

import sys

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from micropython import const
else:

    def const(value: int) -> int:
        """Mark a number as constant: MicroPython folds it into the bytecode, CPython just keeps it."""
        return value


__all__ = ["MICROPYTHON", "const"]
