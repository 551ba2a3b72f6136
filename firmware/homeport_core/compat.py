"""The one place where the two interpreters differ for the language itself."""

try:
    from micropython import const
except ImportError:

    def const(value: int) -> int:
        """Mark a number as constant: MicroPython folds it into the bytecode, CPython just keeps it."""
        return value


__all__ = ["const"]
