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

from homeport_core.catalogue import NAT_BLOCKED, NAT_OPEN
from homeport_core.spec import NAT_SYMMETRIC

from homeport import wire
from homeport.client.client import Client
from homeport.client.gate.link import GateLink
from homeport.client.network.broadcast import local_host_towards
from homeport.client.network.hub import Hub
from homeport.client.network.probe import Probe
from homeport.client.network.surroundings import run_probe
from homeport.client.profile import Profile
from homeport.client.session.paths import PathKind
from homeport.errors import HomeportError
from homeport.gate_messages import Hello

LIMIT_S = 2.0  # for all of it: with starting and ending a process, people wait 3 s at the most

T = TypeVar("T")


class NatKind(StrEnum):
    """What the NAT in front of somebody does, as far as two ports of one server can see it."""

    NONE = "none"  # the address is public
    CONE = "cone"  # one mapping for all destinations
    SYMMETRIC = "symmetric"  # another mapping for each destination: no path can be punched to a symmetric peer
    NOT_SYMMETRIC = "not symmetric"  # which is all that a device finds out
    BLOCKED = "blocked"  # no UDP gets through
    UNKNOWN = "unknown"


# What the NAT type of a device says (specification, core 2.5); ours never send the others.
_DEVICE_NATS = {NAT_OPEN: NatKind.NONE, NAT_BLOCKED: NatKind.BLOCKED, NAT_SYMMETRIC: NatKind.SYMMETRIC}


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
    until_s = _limit()
    try:
        hello = await _by(until_s, link.hello())
        gate = Way(True, await _by(until_s, link.ping()))
        return dataclasses.replace(await _from_here(hub, hello, gate, until_s), proxy=link.proxy)
    except (HomeportError, TimeoutError) as error:
        return FromHere(
            Way(False, None, _why(error)), Way(False, None, "not tried: the basestation says over TLS where to ask")
        )
    finally:
        await link.close()
        hub.close()


async def check_device(profile: Profile, home: Path | None, target: str) -> ToDevice:
    """Try every path to a device at the same time. Raises ConfigError for a target that is none."""
    kinds = tuple(PathKind) if profile.basestation is not None and "@" not in target else (PathKind.LOCAL,)
    found: dict[PathKind, Way] = {}
    nats: list[NatKind] = []
    until_s = _limit()

    async def attempt(client: Client, kind: PathKind) -> None:
        try:
            device = await _by(until_s, client.connect(target, kind.value))
        except (HomeportError, TimeoutError) as error:
            found[kind] = Way(False, None, _why(error))
            return
        found[kind] = Way(True, device.rtt_ms)
        if device.nat_type is not None:
            nats.append(_DEVICE_NATS.get(device.nat_type, NatKind.NOT_SYMMETRIC))

    async with Client(profile, home) as client:
        await asyncio.gather(*(attempt(client, kind) for kind in kinds))
    return ToDevice(target, nats[0] if nats else NatKind.UNKNOWN, {kind: found[kind] for kind in kinds})


async def _from_here(hub: Hub, hello: Hello, gate: Way, until_s: float) -> FromHere:
    host = local_host_towards(hello.gsp)
    private = wire.endpoint((host, hub.port)) if host is not None else None
    also = hello.probe_also or hello.gsp
    (public, round_trip_ms), (elsewhere, _) = await asyncio.gather(
        _probe(hub, hello, hello.gsp, until_s), _probe(hub, hello, also, until_s)
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


async def _probe(hub: Hub, hello: Hello, where: bytes, until_s: float) -> tuple[bytes | None, float | None]:
    """Our endpoint as a port of the basestation sees it, and the round trip."""
    probe = Probe(hello.probe_id, hello.probe_key, where, secrets.token_bytes)
    started = time.monotonic()
    with contextlib.suppress(TimeoutError):
        return await _by(until_s, run_probe(hub, probe)), _since(started)
    return None, None


def _limit() -> float:
    return asyncio.get_running_loop().time() + LIMIT_S


async def _by(until_s: float, step: Awaitable[T]) -> T:
    async with asyncio.timeout_at(until_s):
        return await step


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, HomeportError) else f"no answer within {LIMIT_S:g} s"


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _text(endpoint: bytes | None) -> str | None:
    return None if endpoint is None else wire.address_text(wire.address(endpoint))
