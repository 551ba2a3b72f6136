"""The client for asyncio: finds devices, connects to them over whatever path works, and shares one gate link.

async with Client(Profile.load(home, "me"), home) as client:
    async with await client.connect("demo.example.org") as device:
        state = await device.call("heatpump_get_full_state.json")
"""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

from homeport_core.spec import NAT_SYMMETRIC, PORT_LOCAL

from homeport import gate_messages, wire
from homeport.client.device import Device
from homeport.client.gate.link import GateLink
from homeport.client.home import cached_interface, check_device_id
from homeport.client.keys import Psk, not_keyed, with_keys
from homeport.client.network.broadcast import search_endpoints
from homeport.client.network.discovery import Found
from homeport.client.network.hub import Hub, now_ms
from homeport.client.network.search import DISCOVERY_MS, resolve, search
from homeport.client.network.surroundings import NOWHERE, Surroundings
from homeport.client.profile import Profile
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import Interface
from homeport.client.race import first_of, not_found
from homeport.client.roaming import Roaming
from homeport.client.session.clear import ClearOpening
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.opening import Opening
from homeport.client.session.paths import GATE_ENDPOINT, PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.refusals import notify_error
from homeport.client.session.rekey import Rekey
from homeport.client.session.rendezvous import usable
from homeport.client.session.session import Session
from homeport.errors import ConfigError, GateError

_REMOTE_KINDS = {
    "auto": frozenset((PathKind.DIRECT, PathKind.RELAY, PathKind.TLS)),
    "direct": frozenset((PathKind.DIRECT,)),
    "relay": frozenset((PathKind.RELAY,)),
    "tls": frozenset((PathKind.TLS,)),
}
PATHS = ("auto", "local", "direct", "relay", "tls")
_TARGET = re.compile(r"(?P<id>[^@]+)(?:@(?P<address>.+))?")


class Client:
    """Opens connections for one profile. Use `open` and `close`, or `async with`."""

    def __init__(
        self,
        profile: Profile,
        home: Path | None = None,
        *,
        local_port: int = PORT_LOCAL,
        search: list[wire.Address] | None = None,
    ) -> None:
        """`home` is where interface files of known devices are; `search` replaces the broadcast addresses."""
        self.profile = profile
        self._home = home
        self._local_port = local_port
        self._search = search
        self._hub = Hub()
        self._surroundings = Surroundings(self._hub)
        self._link: GateLink | None = None
        self._roaming = Roaming(self._hub, self._surroundings, self._gate)
        self._devices: set[Device] = set()

    async def open(self) -> None:
        """Bind the UDP socket. Raises OSError."""
        self._hub.open()

    async def close(self) -> None:
        """Close all connections, the gate link and the socket."""
        await asyncio.gather(*(device.close() for device in list(self._devices)))
        if self._link is not None:
            await self._link.close()
        await self._surroundings.close()
        await self._roaming.close()
        self._hub.close()

    async def __aenter__(self) -> Client:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def discover(
        self, device_id: str | None = None, timeout_ms: int = DISCOVERY_MS, address: wire.Address | None = None
    ) -> list[Found]:
        """The devices that answer on the local network (or at `address`), each once.

        With a `device_id` it returns at the first answer.
        """
        if address is not None:
            endpoints = [await resolve(address)]
        elif self._search is not None:
            endpoints = [wire.endpoint(one) for one in self._search]
        else:
            endpoints = search_endpoints(self._local_port)
        return await search(self._hub, endpoints, device_id, timeout_ms)

    async def connect(
        self,
        target: str,
        path: str = "auto",
        *,
        interface: Interface | None = None,
        psk: Psk | None = None,
        require_end_to_end: bool = False,
    ) -> Device:
        """Connect to `ID` or, on the local network, `ID@HOST:PORT`.

        `path` is auto, local, direct, relay or tls. `auto` tries all at once; what is encrypted is preferred. With
        `psk` a local connection is made under that key only.

        When the profile has an end-to-end key for the device, nothing less is accepted (docs/extensions.md); with
        `require_end_to_end` neither when it has none, nor when the profile says so.

        Raises ConnectFailed, DeviceOffline, NotPaired, NotEndToEnd, GateError, RefusedError, ConfigError.
        """
        device_id, address = parse_target(target, self._local_port)
        if path not in PATHS:
            raise ConfigError(f"no path {path!r}: expected {', '.join(PATHS[:-1])} or {PATHS[-1]}")
        if address is not None and path in _REMOTE_KINDS and path != "auto":
            raise ConfigError(f"the path {path!r} goes through the basestation: give the device without an address")
        if interface is None:
            interface = self._known_interface(device_id)
        require_end_to_end = require_end_to_end or self.profile.require_end_to_end
        if require_end_to_end and psk is None and not self.profile.keys.of(device_id):
            raise not_keyed(device_id)
        started_at_ms = now_ms()
        if path == "local" or address is not None:
            device = await self._local(device_id, address, psk)
        elif path == "auto":
            remote = self._remote(device_id, _REMOTE_KINDS["auto"], require_end_to_end)
            device = await first_of(self._local(device_id, None, psk), remote)
        else:
            device = await self._remote(device_id, _REMOTE_KINDS[path], require_end_to_end)
        device.interface = interface
        device.profile = self.profile
        device.connect_ms = now_ms() - started_at_ms
        device.connect_again = lambda: self.connect(
            target, path, interface=interface, psk=psk, require_end_to_end=require_end_to_end
        )
        return device

    # Paths

    async def _local(self, device_id: str, address: wire.Address | None, psk: Psk | None) -> Device:
        keys = self.profile.keys
        if psk is None and keys.of(device_id):
            return await with_keys(keys, device_id, lambda own: self._connect_local(device_id, address, own))
        return await self._connect_local(device_id, address, psk)

    async def _remote(self, device_id: str, kinds: frozenset[PathKind], require_end_to_end: bool) -> Device:
        keys = self.profile.keys
        if keys.of(device_id):
            return await with_keys(keys, device_id, lambda own: self._connect_remote(device_id, kinds, own))
        if require_end_to_end:
            raise not_keyed(device_id)
        return await self._connect_remote(device_id, kinds, None)

    async def _connect_local(self, device_id: str, address: wire.Address | None, psk: Psk | None) -> Device:
        if address is None:
            found = await self.discover(device_id)
            if not found:
                raise not_found(device_id)
            endpoint = found[0].endpoint
        else:
            endpoint = await resolve(address)
        name, fingerprint = self.profile.name, self.profile.fingerprint
        opening: Opening
        if psk is None:
            opening = ClearOpening(endpoint, name, fingerprint, secrets.token_bytes)
        else:
            opening = PskOpening(endpoint, device_id, name, fingerprint, psk.key_id, psk.key, secrets.token_bytes)
        return await self._open_session(device_id, Session(opening, secrets.token_bytes))

    async def _connect_remote(self, device_id: str, kinds: frozenset[PathKind], psk: Psk | None) -> Device:
        link = self._gate()
        direct = PathKind.DIRECT in kinds
        hello = await link.hello()
        if not hello.datagrams:
            kinds -= {PathKind.TLS}
        if not kinds:
            raise GateError(
                "this basestation carries no datagrams over TLS", "protocol", "update it, or leave out --path"
            )
        own = await self._surroundings.find(hello, link.round_trip_s) if direct else NOWHERE
        # Asking costs no time: the device's TCP is used only if it is there before the device has spoken over UDP.
        no_udp = own.token is None if direct else kinds == {PathKind.TLS}
        answer = await link.connect(device_id, own.private, own.token, own.nat_type, direct, no_udp)
        if isinstance(answer, gate_messages.Refused):
            raise notify_error(answer.code, answer.reason)
        ends = answer.device_private, answer.device_global, answer.device_nat
        introduction = Introduction(answer.nsi, answer.key, answer.gsp, *ends, own.nat_type)
        has_udp = not direct or own.public is not None
        rng = secrets.token_bytes
        rekey = None if psk is None else Rekey(answer.nsi, self.profile.fingerprint, psk.key_id, psk.key, rng)
        session = Session(IntroducedOpening(introduction, kinds, rng, has_udp, rekey), rng)
        if own.nat_type == NAT_SYMMETRIC and answer.device_nat != NAT_SYMMETRIC and usable(answer.device_global):
            self._roaming.gather(session, answer.device_global)
        device = await self._open_session(device_id, session, answer.nsi)
        device.nat_type = answer.device_nat
        device.proxy = link.proxy
        return device

    async def _open_session(self, device_id: str, session: Session, nsi: bytes | None = None) -> Device:
        def on_closed() -> None:
            self._devices.discard(device)
            self._roaming.discard(session)
            if nsi is not None and self._link is not None:
                self._link.disconnect(nsi)

        device = Device(device_id, session, self._hub, on_closed)
        self._devices.add(device)
        device.on_search = lambda: self._roaming.search(session)
        self._roaming.add(session)
        await device.open()
        return device

    # The basestation

    def _gate(self) -> GateLink:
        if self._link is None:
            self._link = GateLink(self.profile)
            self._link.on_datagrams = lambda datagrams: self._hub.deliver(datagrams, GATE_ENDPOINT)
            self._link.on_open = self._roaming.link_opened
            self._hub.carry(GATE_ENDPOINT, self._link.send_datagram)
        return self._link

    def _known_interface(self, device_id: str) -> Interface:
        kept = cached_interface(self._home, device_id) if self._home is not None else None
        return BUILTIN if kept is None else kept.extended_by(BUILTIN)


def parse_target(text: str, default_port: int = PORT_LOCAL) -> tuple[str, wire.Address | None]:
    """Split `ID`, `ID@HOST` or `ID@HOST:PORT`. Raises ConfigError."""
    match = _TARGET.fullmatch(text)
    if match is None:
        raise ConfigError(f"not a device: {text[:80]!r}; expected ID or ID@HOST:PORT")
    device_id = check_device_id(match["id"])
    if match["address"] is None:
        return device_id, None
    try:
        return device_id, wire.parse_address(match["address"], default_port)
    except ValueError as error:
        raise ConfigError(str(error)) from error
