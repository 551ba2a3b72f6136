"""`busio` of Blinka on a Raspberry Pi: one I2C bus, on its two pins, where the system has it switched on."""

import fake_board


class I2C:
    def __init__(self, scl, sda, frequency=400000):
        if (scl.id, sda.id) != (3, 2):
            raise ValueError("No Hardware I2C on (scl,sda)=(%s, %s)" % (scl.id, sda.id))
        if fake_board.chip.machine == "no bus":
            raise RuntimeError("I2C bus 1 does not exist; is it enabled?")
        self.is_locked = False
