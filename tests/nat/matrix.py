"""The cells of the NAT matrix: who stands where, which way the connection has to go, and what was measured.

The homes of one run share a world. Cells start one after the other, a little apart, and then wait together: what takes
long is to see that no direct path comes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nat_world import Nat
from parts import ClientProcess, DeviceProcess, Parts

LOCAL, DIRECT, RELAY, TLS = "local", "direct", "relay", "tls"
# Both ends guess the other's port: no path is certain, only that there is one.
GUESSED = frozenset((DIRECT, RELAY))

NATS = (Nat.OPEN, Nat.FULL_CONE, Nat.ADDRESS_RESTRICTED, Nat.PORT_RESTRICTED, Nat.COUNTING, Nat.SYMMETRIC, Nat.BLOCKED)
_EASY = NATS[:3]
_GUESSED = {
    (Nat.PORT_RESTRICTED, Nat.SYMMETRIC),
    (Nat.SYMMETRIC, Nat.PORT_RESTRICTED),
    (Nat.COUNTING, Nat.COUNTING),
    (Nat.COUNTING, Nat.SYMMETRIC),
    (Nat.SYMMETRIC, Nat.COUNTING),
}

_APART_S = 0.3
_PATIENCE_MS = 8_000  # longer than any search for a direct path
_IDLE_S = 36  # longer than the 30 s after which the router of `expiring` forgets a mapping


@dataclass
class Cell:
    """One situation. `ends` are the paths that it may have in the end; `note` is for what the name does not say."""

    client: str
    device: str
    ends: frozenset[str]
    note: str = ""
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For test reports."""
        return f"client {self.client}, device {self.device}"


def expected(client: Nat, device: Nat) -> frozenset[str]:
    """Where theory lets the connection end: direct wherever one end takes packets from a port that it can know."""
    if client is Nat.BLOCKED:
        return frozenset((TLS,))
    if device is Nat.BLOCKED:
        return frozenset((RELAY,))
    if client is Nat.SYMMETRIC and device is Nat.SYMMETRIC:
        return frozenset((RELAY,))
    return GUESSED if (client, device) in _GUESSED else frozenset((DIRECT,))


PAIRS = {
    (client, device): Cell(client.value, device.value, expected(client, device)) for client in NATS for device in NATS
}
SAME_LAN = Cell("same LAN", "same LAN", frozenset((LOCAL, DIRECT)))
HAIRPIN = Cell("provider's NAT", "same provider's NAT", frozenset((DIRECT,)), "it hairpins")
NO_HAIRPIN = Cell("provider's NAT", "same provider's NAT", frozenset((RELAY,)), "it does not hairpin")
DOUBLE_CLIENT = Cell("double NAT", Nat.PORT_RESTRICTED.value, frozenset((DIRECT,)))
DOUBLE_DEVICE = Cell(Nat.PORT_RESTRICTED.value, "double NAT", frozenset((DIRECT,)))
DOUBLE_BOTH = Cell("double NAT", "double NAT", frozenset((DIRECT,)))
EXPIRING = Cell(
    Nat.PORT_RESTRICTED.value,
    Nat.PORT_RESTRICTED.value,
    frozenset((DIRECT,)),
    f"mappings expire after 30 s; {_IDLE_S} s idle",
)
MOVED = Cell(Nat.PORT_RESTRICTED.value, Nat.PORT_RESTRICTED.value, frozenset((DIRECT,)), "the client's address changes")
SPECIAL = (SAME_LAN, HAIRPIN, NO_HAIRPIN, DOUBLE_CLIENT, DOUBLE_DEVICE, DOUBLE_BOTH, EXPIRING, MOVED)
CELLS = (*PAIRS.values(), *SPECIAL)


class Run:
    """Measures all cells in the world of `parts`; after `run` each has its `measured`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._world = parts.world
        self._asked: list[tuple[Cell, ClientProcess, int]] = []

    def run(self) -> None:
        """All of it."""
        expiring = self._start_expiring()
        devices = {nat: self._device(nat) for nat in NATS}
        clients = {nat: self._client(nat) for nat in NATS}
        special = list(self._special())
        for device in (*devices.values(), *(device for _, _, device in special)):
            device.wait_until_attached(seconds=30)
        for (client, device), cell in PAIRS.items():
            self._ask(cell, clients[client], devices[device])
        for cell, client, device in special:
            self._ask(cell, client, device)
        for cell, client, number in self._asked:
            cell.measured = client.answer(number)
        self._move(special[-1][1], special[-1][2])
        self._end_expiring(*expiring)

    def _device(self, nat: Nat) -> DeviceProcess:
        return self._parts.device(self._world.home(nat).host())

    def _client(self, nat: Nat) -> ClientProcess:
        return self._parts.client(self._world.home(nat).host())

    def _ask(self, cell: Cell, client: ClientProcess, device: DeviceProcess) -> None:
        self._asked.append((cell, client, self._tell(client, device)))
        time.sleep(_APART_S)

    def _tell(self, client: ClientProcess, device: DeviceProcess) -> int:
        return client.tell("measure", device=device.id, path="auto", direct_ms=_PATIENCE_MS, **{"as": device.id})

    def _special(self) -> Iterator[tuple[Cell, ClientProcess, DeviceProcess]]:
        """Homes and processes of the special cells; the one whose client moves comes last."""
        parts, home = self._parts, self._world.home
        lan = home(Nat.PORT_RESTRICTED)
        yield SAME_LAN, parts.client(lan.host()), parts.device(lan.host())
        for cell, hairpin in ((HAIRPIN, True), (NO_HAIRPIN, False)):
            provider = home(Nat.FULL_CONE, hairpin=hairpin)
            near, far = (home(Nat.FULL_CONE, behind=provider) for _ in range(2))
            yield cell, parts.client(near.host()), parts.device(far.host())

        def double() -> Any:
            return home(Nat.PORT_RESTRICTED, behind=home(Nat.PORT_RESTRICTED))

        single = home(Nat.PORT_RESTRICTED)
        yield DOUBLE_CLIENT, parts.client(double().host()), parts.device(single.host())
        yield DOUBLE_DEVICE, parts.client(single.host()), parts.device(double().host())
        yield DOUBLE_BOTH, parts.client(double().host()), parts.device(double().host())
        self._roaming = home(Nat.PORT_RESTRICTED)
        self._roamer = self._roaming.host()
        yield MOVED, parts.client(self._roamer), self._device(Nat.PORT_RESTRICTED)

    def _start_expiring(self) -> tuple[ClientProcess, DeviceProcess, int]:
        here, there = self._world.home(Nat.PORT_RESTRICTED), self._world.home(Nat.PORT_RESTRICTED)
        for router in (here.router, there.router):
            router.sysctl("netfilter/nf_conntrack_udp_timeout", 30)
            router.sysctl("netfilter/nf_conntrack_udp_timeout_stream", 30)
        client, device = self._parts.client(here.host()), self._parts.device(there.host())
        device.wait_until_attached()
        number = self._tell(client, device)
        self._expires_at = time.monotonic() + _IDLE_S
        return client, device, number

    def _end_expiring(self, client: ClientProcess, device: DeviceProcess, number: int) -> None:
        EXPIRING.measured = client.answer(number)
        time.sleep(max(0, self._expires_at - time.monotonic()))
        self._call_again(EXPIRING, client, device)

    def _move(self, client: ClientProcess, device: DeviceProcess) -> None:
        """As a telephone that joins another network: all that is known of its address becomes wrong."""
        old, new = self._roaming.address_of(1), self._roaming.address_of(9)
        self._roamer.ip(f"addr del {old}/28 dev lan0")
        self._roamer.ip(f"addr add {new}/28 brd + dev lan0")
        self._roamer.ip(f"route replace default via {self._roaming.address_of(0)}")
        self._roaming.forget_mappings()
        self._call_again(MOVED, client, device)

    def _call_again(self, cell: Cell, client: ClientProcess, device: DeviceProcess) -> None:
        again = client.ask("again", on=device.id, direct_ms=_PATIENCE_MS)
        cell.measured |= {"last_path": again.get("last_path"), "again_ms": again.get("first_ms")} | {
            name: again[name] for name in ("error", "type") if name in again
        }
