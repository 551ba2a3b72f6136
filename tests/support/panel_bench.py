"""What a panel stands on, for both interpreters: pins without a board, and a device that is but its settings."""

from homeport_device.acl import Acl
from homeport_device.attach import ATTACHED, IDLE
from homeport_device.board_config import GOOD


class Pin:
    """Remembers what was written to it; tests write what it reads."""

    def __init__(self):
        self.level_now = 0
        self.written = 0

    def value(self, value=None):
        if value is not None:
            self.level_now = value
            self.written += 1
        return self.level_now

    level = value


class PanelHardware:
    """Hardware with these pins and, unless told otherwise, a radio."""

    def __init__(self, names, radio=True):
        self.pins = {name: Pin() for name in names}
        self.resets = 0
        self.radio = object() if radio else None

    def has(self, name):
        return name in self.pins

    def input(self, name):
        return self.pins[name]

    output = pwm = input

    def wifi(self):
        return self.radio

    def reset(self):
        self.resets += 1


class _Stack:
    def __init__(self):
        self.state = IDLE
        self.down = False
        self.output = self.port = self
        self.remote = None
        self.called = 0

    def set_remote(self, enabled):
        self.remote = enabled

    def timeout(self, now_ms):
        self.called += 1

    def call(self, function):
        function(0)

    def attach(self):
        self.state = ATTACHED


class _Config:
    networks = (("home", ""),)
    secrets_found = config_found = GOOD
    pairing_button = True


class PanelDevice:
    """A device as far as its panel sees it."""

    def __init__(self):
        self.acl = Acl()
        self.config = _Config()
        self.stack = _Stack()
