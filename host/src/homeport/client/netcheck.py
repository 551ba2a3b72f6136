"""What the network lets through: from here to the basestation, and by which paths to a device (`homeport netcheck`)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from homeport_core.spec import NAT_SYMMETRIC

from homeport import wire
from homeport.client.client import Client
from homeport.client.gate.link import GateLink
from homeport.client.network.broadcast import local_host_towards
from homeport.client.network.hub import Hub
from homeport.client.network.probe import Probe, Probed
from homeport.client.profile import Profile
from homeport.client.session.paths import PathKind
from homeport.errors import HomeportError
from homeport.gate_messages import Hello

LIMIT_S = 2.5  # of each step; the steps for basestation and device run at the same time

T = TypeVar("T")


class NatKind(StrEnum):
    """What the NAT in front of somebody does, as far as two ports of one server can see it."""

    NONE = "none"  # the address is public
    CONE = "cone"  # one mapping for all destinations
    SYMMETRIC = "symmetric"  # another mapping for each destination: no path can be punched to a symmetric peer
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Way:
    """One thing that was tried: whether it works, how long a round trip takes, or why it does not."""

    works: bool
    round_trip_ms: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class FromHere:
    """The client's own situation. Endpoints are `host:port`, None when unknown."""

    gate: Way
    udp: Way
    private: str | None = None
    public: str | None = None
    nat: NatKind = NatKind.UNKNOWN
    proxy: str | None = None  # the HTTP proxy on the way to the gate


@dataclass(frozen=True)
class ToDevice:
    """A device's situation: what its NAT does, and each path to it."""

    device: str
    nat: NatKind = NatKind.UNKNOWN
    paths: dict[PathKind, Way] = field(default_factory=dict)


async def check_basestation(profile: Profile) -> FromHere:
    """Ask the basestation over TLS and UDP. Raises ConfigError for a profile that names none."""
    hub, link = Hub(), GateLink(profile)
    hub.open()
    try:
        hello = await _within(link.hello())
        gate = Way(True, await _within(link.ping()))
        return dataclasses.replace(await _from_here(hub, hello, gate), proxy=link.proxy)
    except (HomeportError, TimeoutError) as error:
        return FromHere(Way(False, None, _why(error)), Way(False, None, "the basestation says where, over TLS"))
    finally:
        await link.close()
        hub.close()


async def check_device(profile: Profile, home: Path | None, target: str) -> ToDevice:
    """Try every path to a device at the same time. Raises ConfigError for a target that is none."""
    kinds = tuple(PathKind) if profile.basestation is not None and "@" not in target else (PathKind.LOCAL,)
    found: dict[PathKind, Way] = {}
    nats: list[NatKind] = []

    async def attempt(client: Client, kind: PathKind) -> None:
        try:
            device = await _within(client.connect(target, kind.value))
        except (HomeportError, TimeoutError) as error:
            found[kind] = Way(False, None, _why(error))
            return
        found[kind] = Way(True, device.rtt_ms)
        if device.nat_type is not None:
            nats.append(_device_nat(device.nat_type))

    async with Client(profile, home) as client:
        await asyncio.gather(*(attempt(client, kind) for kind in kinds))
    return ToDevice(target, nats[0] if nats else NatKind.UNKNOWN, {kind: found[kind] for kind in kinds})


async def _from_here(hub: Hub, hello: Hello, gate: Way) -> FromHere:
    host = local_host_towards(hello.gsp)
    private = wire.endpoint((host, hub.port)) if host is not None else None
    also = hello.probe_also or hello.gsp
    (public, round_trip_ms), (elsewhere, _) = await asyncio.gather(
        _probe(hub, hello, hello.gsp), _probe(hub, hello, also)
    )
    if public is None:
        return FromHere(gate, Way(False, None, f"no answer from {_text(hello.gsp)}"), _text(private))
    if public == private:
        nat = NatKind.NONE
    elif elsewhere is None or hello.probe_also is None:
        nat = NatKind.UNKNOWN
    else:
        nat = NatKind.CONE if elsewhere == public else NatKind.SYMMETRIC
    return FromHere(gate, Way(True, round_trip_ms), _text(private), _text(public), nat)


async def _probe(hub: Hub, hello: Hello, where: bytes) -> tuple[bytes | None, float | None]:
    """Our endpoint as a port of the basestation sees it, and the round trip."""
    probe = Probe(hello.probe_id, hello.probe_key, where, secrets.token_bytes)
    answer: asyncio.Future[Probed] = asyncio.get_running_loop().create_future()
    started = time.monotonic()
    hub.add(probe, answer.set_result)
    try:
        with contextlib.suppress(TimeoutError):
            return (await _within(answer)).endpoint, _since(started)
    finally:
        hub.remove(probe)
    return None, None


async def _within(step: Awaitable[T]) -> T:
    async with asyncio.timeout(LIMIT_S):
        return await step


def _device_nat(nat_type: int) -> NatKind:
    return NatKind.SYMMETRIC if nat_type == NAT_SYMMETRIC else NatKind.CONE


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, HomeportError) else f"no answer within {LIMIT_S:g} s"


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _text(endpoint: bytes | None) -> str | None:
    return None if endpoint is None else wire.address_text(wire.address(endpoint))
