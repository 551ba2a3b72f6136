"""`pwmio` of Blinka on a Raspberry Pi: timers for some pins only."""

import fake_board

_TIMED = (4, 5, 18)


class PWMOut:
    def __init__(self, pin, *, frequency=500, duty_cycle=0, variable_frequency=False):
        if pin.id not in _TIMED:
            raise RuntimeError("No PWM channel found for this Pin")
        self._id = pin.id
        self.duty_cycle = duty_cycle

    @property
    def duty_cycle(self):
        return fake_board.chip.duties[self._id]

    @duty_cycle.setter
    def duty_cycle(self, value):
        if not 0 <= value <= 65535:
            raise ValueError("Duty cycle must be between 0 and 65535")
        fake_board.chip.duties[self._id] = value
