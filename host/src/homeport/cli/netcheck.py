"""`homeport netcheck`: what the network lets through, for whoever wonders why a connection is slow or does not come."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

import typer

from homeport.cli.context import settings_of
from homeport.cli.output import ExitCode, emit
from homeport.client.client import parse_target
from homeport.client.netcheck import FromHere, NatKind, ToDevice, Way, check_basestation, check_device
from homeport.errors import ConfigError
from homeport.wire import printable

_NATS = {
    NatKind.NONE: "none: the address is public",
    NatKind.CONE: "cone: one public port for all destinations",
    NatKind.SYMMETRIC: "symmetric: another public port for each destination",
    NatKind.NOT_SYMMETRIC: "not symmetric: a direct path can be found",
    NatKind.BLOCKED: "blocked: no UDP gets through",
    NatKind.UNKNOWN: "unknown",
}


def netcheck(
    ctx: typer.Context,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Also try every path to this device: ID or ID@HOST:PORT.")
    ] = None,
) -> int:
    """Find out what the network lets through: NAT, UDP, and the paths to a device. Takes 3 seconds at the most."""
    settings = settings_of(ctx)
    profile = settings.open_profile()
    if profile.basestation is None and device is None:
        raise ConfigError(f"profile {profile.name!r} names no basestation: nothing to check without --device")
    if device is not None:
        parse_target(device)

    async def work() -> tuple[FromHere | None, ToDevice | None]:
        async def nothing() -> None:
            return None

        return await asyncio.gather(
            check_basestation(profile) if profile.basestation is not None else nothing(),
            check_device(profile, settings.home, device) if device is not None else nothing(),
        )

    here, there = asyncio.run(work())
    document: dict[str, Any] = {"basestation": profile.basestation}
    document |= {} if here is None else dataclasses.asdict(here)
    document |= {} if there is None else {"device": dataclasses.asdict(there)}
    lines = [] if here is None else _here_lines(str(profile.basestation), here)
    emit(ctx, document, lines + ([] if there is None else _device_lines(there)))
    if there is not None:
        return ExitCode.DONE if any(way.works for way in there.paths.values()) else ExitCode.UNREACHABLE
    return ExitCode.DONE if here is not None and here.gate.works else ExitCode.BASESTATION


def _here_lines(basestation: str, here: FromHere) -> list[str]:
    seen = f"; {here.private} is seen as {here.public}" if here.udp.works else ""
    through = f", through the proxy {here.proxy}" if here.proxy is not None else ""
    return [
        f"basestation  {basestation}: {_way(here.gate)}{through}",
        f"udp          {_way(here.udp)}{seen}",
        f"nat          {_NATS[here.nat]}",
    ]


def _device_lines(there: ToDevice) -> list[str]:
    lines = [f"device       {printable(there.device)}: nat {_NATS[there.nat]}"]
    return lines + [f"  {kind.value:<10} {_way(way)}" for kind, way in there.paths.items()]


def _way(way: Way) -> str:
    if not way.works:
        return f"no: {printable(way.reason or 'no answer', 160)}"
    return "works" if way.round_trip_ms is None else f"works, {way.round_trip_ms:g} ms"
