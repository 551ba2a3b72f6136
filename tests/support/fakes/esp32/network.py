"""`network` of the ESP32: a driver that tries on its own, and that tells old failures until it has new ones."""

import fake_board
from fake_board import JOIN_MS, NOTHING_FOUND_MS, REFUSED_MS

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
AUTH_OPEN = 0
AUTH_WPA2_PSK = 3

_LEAVE = 8  # the reason after disconnect()
_PASSWORD_LEAST = 8
_HOSTNAME_MAX = 32
_TOLD = (STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD)
_NOWHERE = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")


class _Interface:
    """What both have: whether it is up, and its settings."""

    def __init__(self):
        self.is_active = False
        self.settings = {}

    def active(self, is_active=None):
        if is_active is not None:
            self.is_active = bool(is_active)
            self.changed()
        return self.is_active

    def changed(self):
        pass

    def config(self, *names, **values):
        if names and values:
            raise TypeError("either pos or kw args are allowed")
        if names:
            return self.settings[names[0]]
        for name in sorted(values):
            self.check(name, values[name])
        self.settings.update(values)
        return None


class _Station(_Interface):
    def __init__(self):
        super().__init__()
        self.settings = {"pm": WLAN.PM_PERFORMANCE, "reconnects": -1}
        self.is_requested = self.is_connected = False
        self.reason = 0
        self.attempts = 0
        self._asked = None
        self._due_ms = None

    def check(self, name, value):
        if name in ("essid", "ssid", "security", "key", "hidden"):
            raise OSError("AP required")
        if name not in ("pm", "reconnects", "txpower", "channel", "mac", "dhcp_hostname"):
            raise ValueError("unknown config param")
        if not self.is_active:
            raise OSError("Wifi Not Started")

    def changed(self):
        if not self.is_active:
            self._due_ms = None
            self._drop(_LEAVE, False)

    def connect(self, *arguments, bssid=None):
        if not self.is_active:
            raise OSError("Wifi Not Started")
        if self._due_ms is not None:
            raise OSError("Wifi Internal State Error")
        self._asked = arguments + ("",) * (2 - len(arguments))
        self.attempts = 0
        self.is_requested = True
        self.is_connected = False
        self._try()

    def disconnect(self):
        self.is_requested = False
        if not self.is_active:
            raise OSError("Wifi Not Started")
        if self.is_connected or self._due_ms is not None:
            self._drop(_LEAVE, False)
        self._due_ms = None

    def isconnected(self):
        self._advance()
        return self.is_connected

    def status(self, what=None):
        self._advance()
        if what == "rssi":
            if not self.is_connected:
                raise OSError("Wifi Not Connected")
            return fake_board.chip.find(self._asked[0]).rssi
        if what is not None:
            raise ValueError("unknown status param")
        if self.is_connected:
            return STAT_GOT_IP
        if self.reason in _TOLD:
            return self.reason
        if self.reason == _LEAVE:
            return STAT_IDLE
        if self.is_requested and not self._is_done():
            return STAT_CONNECTING
        return self.reason or STAT_IDLE

    def scan(self):
        if not self.is_active:
            raise OSError("STA must be active")
        return [
            (network.ssid.encode(), b"\x02\0\0\0\0\x01", 6, network.rssi, 3 if network.password else 0, False)
            for network in fake_board.chip.air
        ]

    def ifconfig(self):
        self._advance()
        if not self.is_connected:
            return _NOWHERE
        address = fake_board.chip.find(self._asked[0]).address
        gateway = address.rpartition(".")[0] + ".1"
        return address, "255.255.255.0", gateway, gateway

    def _is_done(self):
        limit = self.settings["reconnects"]
        return limit >= 0 and self.attempts > limit

    def _try(self):
        network = fake_board.chip.find(self._asked[0])
        if network is None:
            delay_ms = NOTHING_FOUND_MS
        else:
            delay_ms = JOIN_MS if network.password == self._asked[1] else REFUSED_MS
        self._due_ms = fake_board.chip.now_ms + delay_ms

    def _advance(self):
        """What the driver's events would have done until now."""
        network = self._asked and fake_board.chip.find(self._asked[0])
        if self.is_connected and not network:
            self._drop(STAT_BEACON_TIMEOUT, True)
        while self._due_ms is not None and fake_board.chip.now_ms >= self._due_ms:
            self._due_ms = None
            if not network:
                self._drop(STAT_NO_AP_FOUND, True)
            elif network.password != self._asked[1]:
                self._drop(STAT_WRONG_PASSWORD, True)
            elif network.address is not None:
                self.is_connected = True
                self.reason = 0

    def _drop(self, reason, again):
        self.is_connected = False
        self.reason = reason
        self.attempts += 1
        if again and self.is_requested and not self._is_done():
            self._try()


class _AccessPoint(_Interface):
    def __init__(self):
        super().__init__()
        self.settings = {"ssid": "ESP_123456", "security": AUTH_OPEN, "key": ""}

    def check(self, name, value):
        if not self.is_active:
            raise OSError("Wifi Invalid Mode")
        if name not in ("ssid", "essid", "security", "authmode", "key", "password", "hidden", "channel", "max_clients"):
            raise ValueError("unknown config param")
        if name == "key" and len(value) < _PASSWORD_LEAST:
            raise RuntimeError("Wifi Unknown Error 0x0102")

    def ifconfig(self):
        address = fake_board.chip.access_point_address
        return address, "255.255.255.0", address, "0.0.0.0"


class _Constructor:
    """`WLAN(interface)` gives the one object of that interface."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __call__(self, interface=STA_IF):
        if interface not in _interfaces:
            raise ValueError("invalid WLAN interface identifier")
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
