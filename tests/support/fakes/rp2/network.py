"""`network` of the Pico W (CYW43): one attempt for each connect(), statuses -3 to 3, settings before the interface."""

import fake_board
from fake_board import JOIN_MS, NOTHING_FOUND_MS, REFUSED_MS

STA_IF = 0
AP_IF = 1
STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_WRONG_PASSWORD = -3
STAT_NO_AP_FOUND = -2
STAT_CONNECT_FAIL = -1
STAT_GOT_IP = 3

_NO_IP = 2
_NOT_UP = 1  # the error's number
_HOSTNAME_MAX = 32
_NOWHERE = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")


class _Station:
    def __init__(self):
        self.is_active = False
        self.settings = {"pm": 0xA11142}
        self._asked = None
        self._due_ms = None
        self._state = STAT_IDLE

    def active(self, is_active=None):
        if is_active is None:
            return self.is_active
        self.is_active = bool(is_active)
        if not is_active:
            self._asked = None
            self._state = STAT_IDLE
        return None

    def config(self, *names, **values):
        if not values:
            return self.settings[names[0]]
        for name in values:
            if name not in ("pm", "txpower", "antenna", "channel", "mac"):
                raise ValueError("unknown config param")
        self.settings.update(values)
        return None

    def connect(self, ssid, key=None, auth=-1, bssid=None, channel=-1):
        if not self.is_active:
            raise OSError(_NOT_UP)
        self._asked = (ssid, key or "")
        network = fake_board.chip.find(ssid)
        if network is None:
            delay_ms = NOTHING_FOUND_MS
        else:
            delay_ms = JOIN_MS if network.password == self._asked[1] else REFUSED_MS
        self._due_ms = fake_board.chip.now_ms + delay_ms
        self._state = STAT_CONNECTING

    def disconnect(self):
        self._asked = None
        self._state = STAT_IDLE

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        self._advance()
        if what == "rssi":
            return fake_board.chip.find(self._asked[0]).rssi if self._state == STAT_GOT_IP else 0
        if what is not None:
            raise ValueError("unknown status param")
        return self._state

    def scan(self, passive=False, essid=None, bssid=None):
        if not self.is_active:
            raise OSError("STA must be active")
        return [
            (network.ssid.encode(), b"\x02\0\0\0\0\x01", 6, network.rssi, 5 if network.password else 0, 1)
            for network in fake_board.chip.air
        ]

    def ifconfig(self):
        if not self.isconnected():
            return _NOWHERE
        address = fake_board.chip.find(self._asked[0]).address
        gateway = address.rpartition(".")[0] + ".1"
        return address, "255.255.255.0", gateway, gateway

    def _advance(self):
        if self._asked is None:
            return
        network = fake_board.chip.find(self._asked[0])
        if self._state == STAT_GOT_IP and network is None:
            self._state = STAT_IDLE
        if self._state == STAT_CONNECTING and fake_board.chip.now_ms >= self._due_ms:
            if network is None:
                self._state = STAT_NO_AP_FOUND
            elif network.password != self._asked[1]:
                self._state = STAT_WRONG_PASSWORD
            else:
                self._state = STAT_GOT_IP if network.address is not None else _NO_IP


class _AccessPoint:
    """Comes up with what it was told before, a network of its maker's otherwise."""

    def __init__(self):
        self.is_active = False
        self.settings = {}
        self._next = {"ssid": "PICO1234", "security": 0x00400004, "key": "picoW123"}

    def active(self, is_active=None):
        if is_active is None:
            return self.is_active
        self.is_active = bool(is_active)
        if is_active:
            self.settings = dict(self._next)
        return None

    def config(self, *names, **values):
        if not values:
            return self.settings[names[0]]
        for name in values:
            if name not in ("ssid", "essid", "security", "key", "password", "channel", "pm"):
                raise ValueError("unknown config param")
        self._next.update(values)
        return None

    def ifconfig(self):
        address = fake_board.chip.access_point_address
        return address, "255.255.255.0", address, "8.8.8.8"


class _Constructor:
    """`WLAN(interface)` gives the one object of that interface."""

    IF_STA = STA_IF
    IF_AP = AP_IF

    def __call__(self, interface=STA_IF):
        return _interfaces[interface]


WLAN = _Constructor()
_interfaces = {}


def begin():
    """The radio as after a reset. (Not part of the real module.)"""
    _interfaces[STA_IF] = _Station()
    _interfaces[AP_IF] = _AccessPoint()


def hostname(name=None):
    if name is not None:
        if len(name) > _HOSTNAME_MAX:
            raise ValueError
        fake_board.chip.hostname = name
    return fake_board.chip.hostname
