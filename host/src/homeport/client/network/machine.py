"""What a hub runs, and which of them a datagram is for."""

from __future__ import annotations

from typing import Any, Protocol

from homeport.errors import HomeportError


class Machine(Protocol):
    """A session, a probe or a discovery."""

    @property
    def nsis(self) -> tuple[bytes, ...]:
        """NSIs (4 bytes) whose packets it gets, alone or with the endpoint they come from behind (10 bytes).

        Without any it is offered what nobody else wants.
        """

    @property
    def deadline_ms(self) -> int | None: ...

    def start(self, now_ms: int) -> None: ...

    def datagram(self, now_ms: int, data: bytearray, source: bytes) -> None:
        """Take a datagram, whose octets are the machine's to change."""

    def timeout(self, now_ms: int) -> None: ...

    def datagrams(self) -> list[tuple[bytes, bytes]]: ...

    def next_event(self) -> Any: ...

    def broken(self, error: HomeportError) -> Any:
        """It cannot go on: the last event, for whoever waits for one, or None."""


class Addressees:
    """The machines, by what their packets are known by."""

    def __init__(self) -> None:
        self._nsis: dict[Machine, tuple[bytes, ...]] = {}
        self._by_nsi: dict[bytes, Machine] = {}

    def follow(self, machine: Machine) -> None:
        """Look up what a machine's packets are known by now."""
        nsis = machine.nsis
        if nsis != self._nsis.get(machine):
            self.forget(machine)
            self._by_nsi.update(dict.fromkeys(nsis, machine))
            self._nsis[machine] = nsis

    def forget(self, machine: Machine) -> None:
        """It gets nothing any more; harmless when it is not there."""
        for nsi in self._nsis.pop(machine, ()):
            self._by_nsi.pop(nsi, None)

    def clear(self) -> None:
        """Forget all."""
        self._nsis.clear()
        self._by_nsi.clear()

    def find(self, head: bytes | bytearray, source: bytes) -> Machine | None:
        """Whose datagram from `source` begins with `head` (8 octets or more); None when no NSI is known."""
        known = self._by_nsi
        sp = bytes(head[4:8])
        return known.get(bytes(head[:4])) or known.get(sp) or known.get(sp + source)

    def without_nsis(self) -> list[Machine]:
        """Those that are offered what nobody else wants."""
        return [machine for machine, nsis in self._nsis.items() if not nsis]
