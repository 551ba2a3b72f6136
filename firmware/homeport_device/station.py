"""The radio as a station: carries out what `network` decides, and tells the stack when its network comes and goes."""

from homeport_core import ticks
from homeport_core.compat import const

from homeport_device import log, network
from homeport_device.attach import ATTACHED

# How often the radio is asked.
_LOOK_MS = const(200)
_TEXTS = {
    network.JOINED_AS: "joined ",
    network.LOST_IT: "lost the network ",
    network.WRONG_PASSWORD: "wrong password for the network ",
    network.NO_NETWORK: "no network ",
    network.NO_ADDRESS: "no answer from the network ",
    network.NEW_ADDRESS: "new address ",
    network.NO_BASESTATION: "no basestation by the network ",
}


class Station:
    """`wifi` is the board's radio (hardware.py). A part of the appliance."""

    def __init__(self, now_ms: int, wifi: object, device: object) -> None:
        self._wifi = wifi
        self._driver = device.driver
        self._stack = device.stack
        self._hostname = device.config.device_id.split(".")[0]
        self._is_on = False
        self._look_ms = now_ms
        self._told = None  # the address that the stack knows of
        self._name_fails = False  # the basestation's name is not found
        self._machine = network.Network(device.stack.rng)
        self._stack.output.down = True

    def configure(self, now_ms: int, networks: object, is_joined: bool = False) -> None:
        """Join one of these networks, (SSID, password) each, from now on; the first one may be joined already."""
        self._machine.configure(now_ms, networks, is_joined)

    def step(self, now_ms: int) -> None:
        """Look at the radio, and do what is due. Raises OSError of the radio."""
        if ticks.diff(now_ms, self._look_ms) < 0:
            return
        self._look_ms = ticks.add(now_ms, _LOOK_MS)
        if not self._is_on:
            self._wifi.start(self._hostname)
            self._is_on = True
        machine = self._machine
        if machine.state == network.OFF:
            return
        address = self._wifi.address()
        self._follow_names()
        machine.served(now_ms, self._stack.state == ATTACHED, self._misses_basestation())
        order = machine.step(now_ms, self._wifi.status(), address[0] if address else None)
        self._tell()
        if order == network.JOIN:
            self._wifi.join(*machine.current)
        elif order == network.LEAVE:
            self._wifi.leave()

    def _follow_names(self) -> None:
        fails = self._stack.attach.name_failures > 0
        if fails and not self._name_fails:
            log.event(log.BASESTATION, "its name is not found")
        self._name_fails = fails

    def _misses_basestation(self) -> bool:
        """Whether remote access is on and nobody uses the device from the local network meanwhile."""
        if self._stack.output.silent:
            return False
        return not any(connection is not None and connection.is_local for connection in self._stack.connections.slots)

    def _tell(self) -> None:
        machine = self._machine
        while True:
            event = machine.next_event()
            if event is None:
                break
            log.event(log.NETWORK, _TEXTS[event[0]] + log.printable(event[1]))
        reached = machine.address if machine.is_up else None
        if reached != self._told:
            self._told = reached
            self._driver.call(self._stack.network_changed, machine.is_up)
