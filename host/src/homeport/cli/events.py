"""`homeport events DEVICE`: how a device is, and what befell it lately."""

from __future__ import annotations

from datetime import datetime, timedelta

import typer

from homeport.cli.connecting import TIMEOUT_S, Path, PathOption, Target, TimeLimit, with_device
from homeport.cli.output import emit
from homeport.client.health import DeviceEvent, Health
from homeport.wire import printable


def events(ctx: typer.Context, device: Target, path: Path = PathOption.AUTO, timeout_s: TimeLimit = TIMEOUT_S) -> None:
    """Show a device's last events and how it is. For its owners.

    Times are the device's own: the basestation told it, or nobody, and then they count from its start.
    """
    health, _ = with_device(ctx, device, lambda open_device: open_device.health(), path, timeout_s)
    document = {
        "uptime_s": health.uptime_s,
        "unix_time": health.unix_s,
        "reset_cause": health.reset_cause,
        "faults": health.faults,
        "free_memory": health.free_memory,
        "users_written": health.users_written,
        "lost": health.lost,
        "events": [
            {
                "uptime_s": event.uptime_s,
                "unix_time": health.unix_time_of(event),
                "kind": event.kind,
                "text": printable(event.text),
            }
            for event in health.events
        ],
    }
    emit(ctx, document, [_summary(health), *(_line(health, event) for event in health.events)])


def _summary(health: Health) -> str:
    parts = [f"up {timedelta(seconds=health.uptime_s)}", f"started by {health.reset_cause}", f"{health.faults} faults"]
    if health.free_memory is not None:
        parts.append(f"{health.free_memory} octets free")
    parts.append(f"users written {health.users_written} times")
    if health.lost:
        parts.append(f"{health.lost} older events not kept")
    return ", ".join(parts)


def _line(health: Health, event: DeviceEvent) -> str:
    unix_s = health.unix_time_of(event)
    if unix_s is None:
        when = f"+{timedelta(seconds=event.uptime_s)}"
    else:
        when = datetime.fromtimestamp(unix_s).astimezone().isoformat(" ", "seconds")
    return f"{when:<25}  {event.kind:<11}  {printable(event.text)}"
