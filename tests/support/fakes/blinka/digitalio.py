"""Blinka's `digitalio`: what is put on a pin is in a file of that name in FAKE_PINS."""

import os
from pathlib import Path


def put(pin, value):
    """Write the file, whole."""
    path = Path(os.environ["FAKE_PINS"]) / pin
    new = path.with_suffix(".new")
    new.write_text(str(int(value)))
    new.replace(path)


class Pull:
    UP = "up"
    DOWN = "down"


class DigitalInOut:
    _used = set()

    def __init__(self, pin):
        if pin in self._used:
            raise ValueError(f"{pin} in use")
        self._used.add(pin)
        self._pin = pin
        self._value = False

    def switch_to_output(self, value=False):
        self.value = value

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, value):
        self._value = bool(value)
        put(self._pin, self._value)
