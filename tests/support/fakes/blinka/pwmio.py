"""Blinka's `pwmio`: the duty, 0 to 65535, is in the pin's file."""

from digitalio import put


class PWMOut:
    def __init__(self, pin, frequency=500, duty_cycle=0):
        self._pin = pin
        self.duty_cycle = duty_cycle

    @property
    def duty_cycle(self):
        return self._duty_cycle

    @duty_cycle.setter
    def duty_cycle(self, value):
        if not 0 <= value <= 65535:
            raise ValueError("duty_cycle must be 0 to 65535")
        self._duty_cycle = value
        put(self._pin, value)
