"""The radio of the simulated board. See `hardware` for what each method does.

DIR/air.json tells which networks are in the air, and may change at any time: a list of objects with

    ssid, password    no password: an open network
    rssi              dBm; -50
    address           what the network's DHCP gives the board, 127.0.0.1; null: nothing, joining takes for ever
    join_ms           how long joining takes; 100

Without the file every network that somebody asks for is there. A network that goes away is not joined again by
itself. The board's own network is loopback, announced in DIR/access_point.
"""

import json

from homeport_core.errors import ConfigError

from homeport_device.device_config import parse_address
from homeport_device.hardware_common import (
    FAILED,
    IDLE,
    JOINED,
    JOINING,
    NO_NETWORK,
    WRONG_PASSWORD,
    strongest_first,
)

_ANYTHING = {"ssid": None}
_LOOPBACK = "127.0.0.1"
_JOIN_MS = 100
_RSSI = -50


class Wifi:
    """The air around one board."""

    def __init__(self, board: object) -> None:
        self._board = board
        self._asked = None  # SSID and password
        self._since_ms = 0
        self._lost = None  # what `status` says since the network went
        self._was_joined = False
        self.hostname = ""

    def start(self, hostname: str) -> None:
        self.hostname = hostname

    def scan(self) -> list:
        found = [
            (entry["ssid"].encode(), entry.get("rssi", _RSSI), bool(entry.get("password")))
            for entry in self._air()
            if entry["ssid"]
        ]
        return strongest_first(found)

    def join(self, ssid: str, password: str) -> None:
        self._asked = (ssid, password)
        self._since_ms = self._board.now_ms()
        self._lost = None
        self._was_joined = False

    def leave(self) -> None:
        self._asked = None

    def status(self) -> int:
        if self._asked is None:
            return IDLE
        if self._lost is None:
            status = self._look()
            self._was_joined = self._was_joined or status == JOINED
            if status not in (JOINING, JOINED):
                self._lost = FAILED if self._was_joined and status == WRONG_PASSWORD else status
            return status
        return self._lost

    def address(self) -> tuple | None:
        if self.status() != JOINED:
            return None
        address = parse_address(self._network().get("address", _LOOPBACK))
        gateway = address[:3] + b"\x01"
        return address, b"\xff\xff\xff\x00", gateway, gateway

    def rssi(self) -> int | None:
        return self._network().get("rssi", _RSSI) if self.status() == JOINED else None

    def open_access_point(self, ssid: str, password: str | None) -> bytes:
        self._board.write("access_point", ssid + "\n" + (password or ""))
        return parse_address(_LOOPBACK)

    def close_access_point(self) -> None:
        self._board.remove("access_point")

    def _look(self) -> int:
        network = self._network()
        if self._board.now_ms() - self._since_ms < (network or _ANYTHING).get("join_ms", _JOIN_MS):
            return JOINING
        if network is None:
            return NO_NETWORK
        if network["ssid"] is not None and network.get("password", "") != self._asked[1]:
            return WRONG_PASSWORD
        return JOINING if network.get("address", _LOOPBACK) is None else JOINED

    def _network(self) -> dict | None:
        """What is in the air by the name that was asked for."""
        for entry in self._air():
            if entry["ssid"] in (None, self._asked[0]):
                return entry
        return None

    def _air(self) -> list:
        text = self._board.read("air.json")
        if not text:
            return [_ANYTHING]
        try:
            air = json.loads(text)
            if not isinstance(air, list) or not all(isinstance(entry["ssid"], str) for entry in air):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise ConfigError("air.json must be a list of networks, each with an ssid")
        return air
