"""`digitalio` of Blinka: a pin is an input until it is an output, and only an output can be set."""

import fake_board


class Pull:
    UP = "up"
    DOWN = "down"


class DigitalInOut:
    def __init__(self, pin):
        if pin.id in fake_board.chip.taken:
            raise OSError(16, "Device or resource busy")
        self._id = pin.id
        self._is_output = False

    def switch_to_output(self, value=False):
        self._is_output = True
        self.value = value

    def switch_to_input(self, pull=None):
        self._is_output = False
        if pull is Pull.DOWN and fake_board.chip.machine == "no pull-down":
            raise NotImplementedError("digitalio.Pull.DOWN unsupported on this board")
        fake_board.chip.pulls[self._id] = pull
        fake_board.chip.levels[self._id] = 1 if pull is Pull.UP else 0

    @property
    def value(self):
        return fake_board.chip.levels.get(self._id, 0) == 1

    @value.setter
    def value(self, value):
        if not self._is_output:
            raise AttributeError("Not an output")
        fake_board.chip.levels[self._id] = 1 if value else 0
