"""The devices a basestation knows, their secrets sealed, in a database that the command line shares with it.

`Inventory` is what an operator does to devices; it may be used while the basestation runs, which notices a change
within about a second (`changes_since`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport_core import spec
from sqlalchemy import Connection, delete, func, insert, select, update

from homeport.basestation.inventory import schema
from homeport.basestation.inventory.sealing import Sealer
from homeport.errors import ConfigError

_KEY = "device key"
_ID = re.compile(r"[a-z0-9.-]{1,%d}" % spec.DEVICE_ID_MAX)
_LOG_MAX = 10_000  # changes kept; a basestation further behind reads the whole table


@dataclass(frozen=True, slots=True)
class Device:
    """What may be shown of a device. Times are seconds since 1970, UTC; None: never happened."""

    id: str
    enabled: bool
    created_at_s: int
    key_changed_at_s: int
    attached_at_s: int | None
    endpoint: str | None
    lost_at_s: int | None
    refused_at_s: int | None
    refusal: str | None

    @property
    def attached(self) -> bool:
        """Whether the basestation, when it last wrote, had this device attached."""
        return self.attached_at_s is not None and self.lost_at_s is None


@dataclass(frozen=True, slots=True)
class Changes:
    """Devices that changed: id → (key of 16 bytes, enabled), or None where the device is gone."""

    seq: int  # pass it to the next `changes_since`
    complete: bool  # True: these are all devices there are, forget any other
    devices: dict[bytes, tuple[bytes, bool] | None]


def check_device_id(device_id: str) -> str:
    """Return `device_id` if it is one (specification, core 2.1), else raise ConfigError."""
    if not _ID.fullmatch(device_id):
        shown = device_id[:60] if device_id.isprintable() else ascii(device_id)[:60]
        raise ConfigError(
            f"not a device id: '{shown}'; expected 1 to {spec.DEVICE_ID_MAX} characters of a-z, 0-9, '-' and '.'"
        )
    return device_id


def parse_device_key(text: str) -> bytes:
    """Return the 16 bytes of a device key typed as hex; raise ConfigError, which does not repeat the key."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"device key: expected {2 * spec.PSK_LEN} hex digits") from None
    if len(key) != spec.PSK_LEN:
        raise ConfigError(
            f"device key: expected {2 * spec.PSK_LEN} hex digits ({spec.PSK_LEN} bytes), got {len(key)} bytes"
        )
    return key


class Inventory:
    """Devices in the database at `path`. Every method is one transaction and raises StorageError if it fails."""

    def __init__(self, path: Path, sealer: Sealer, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._sealer = sealer
        self._clock = clock
        self._engine = schema.open_database(path)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def add(self, device_id: str, key: bytes | None = None) -> bytes:
        """Register a device and return its key, a new random one unless given. ConfigError if it is known."""
        check_device_id(device_id)
        key = os.urandom(spec.PSK_LEN) if key is None else key
        now_s = int(self._clock())
        row = {"id": device_id, "enabled": True, "created_at_s": now_s, "key_changed_at_s": now_s}
        with schema.writing(self._engine, self.path) as connection:
            if connection.scalar(select(schema.devices.c.id).where(schema.devices.c.id == device_id)):
                raise ConfigError(
                    f"device {device_id} exists already; for a new key run: homeport device rotate-key {device_id}"
                )
            connection.execute(insert(schema.devices).values(sealed_key=self._seal(device_id, key), **row))
            self._changed(connection, device_id)
        return key

    def rotate_key(self, device_id: str, key: bytes | None = None) -> bytes:
        """Give a device another key and return it; the old one is worth nothing from now on."""
        key = os.urandom(spec.PSK_LEN) if key is None else key
        self._update(device_id, sealed_key=self._seal(device_id, key), key_changed_at_s=int(self._clock()))
        return key

    def set_enabled(self, device_id: str, enabled: bool) -> None:
        """Let a device attach, or not; not: its attachment ends too."""
        self._update(device_id, enabled=enabled)

    def remove(self, device_id: str) -> None:
        """Forget a device with all that belongs to it."""
        with schema.writing(self._engine, self.path) as connection:
            found = connection.execute(delete(schema.devices).where(schema.devices.c.id == device_id)).rowcount
            if not found:
                raise _unknown(device_id)
            self._changed(connection, device_id)

    def list(self) -> list[Device]:
        """All devices by id."""
        with schema.reading(self._engine, self.path) as connection:
            return [_device(row) for row in connection.execute(_SHOWN.order_by(schema.devices.c.id))]

    def show(self, device_id: str) -> Device:
        """One device; ConfigError if there is none of that id."""
        with schema.reading(self._engine, self.path) as connection:
            row = connection.execute(_SHOWN.where(schema.devices.c.id == device_id)).one_or_none()
        if row is None:
            raise _unknown(device_id)
        return _device(row)

    def changes_since(self, seq: int) -> Changes | None:
        """What changed after `seq` (-1: everything); None when nothing did. Costs what changed, not what there is."""
        log = schema.changes.c
        with schema.reading(self._engine, self.path) as connection:
            oldest, newest = connection.execute(select(func.min(log.seq), func.max(log.seq))).one()
            if (newest or 0) == seq:
                return None
            rows = select(schema.devices.c.id, schema.devices.c.sealed_key, schema.devices.c.enabled)
            complete = seq < (oldest or 0) - 1 or seq < 0 or newest is None
            found: dict[bytes, tuple[bytes, bool] | None] = {}
            if not complete:
                touched = select(log.device_id).where(log.seq > seq)
                found.update((id_.encode(), None) for id_ in connection.scalars(touched))
                rows = rows.where(schema.devices.c.id.in_(touched))
            for id_, sealed, enabled in connection.execute(rows):
                found[id_.encode()] = (self._sealer.open(sealed, _KEY, id_.encode()), enabled)
        return Changes(newest or 0, complete, found)

    def _update(self, device_id: str, **values: Any) -> None:
        statement = update(schema.devices).where(schema.devices.c.id == device_id).values(**values)
        with schema.writing(self._engine, self.path) as connection:
            if not connection.execute(statement).rowcount:
                raise _unknown(device_id)
            self._changed(connection, device_id)

    def _changed(self, connection: Connection, device_id: str) -> None:
        """Log the change; an attachment saved before it must not come back at the next start."""
        log = schema.changes
        seq = connection.execute(insert(log).values(device_id=device_id)).inserted_primary_key
        assert seq is not None
        connection.execute(delete(log).where(log.c.seq <= seq[0] - _LOG_MAX))
        saved = schema.attachments
        connection.execute(delete(saved).where(saved.c.device_id == device_id))

    def _seal(self, device_id: str, key: bytes) -> bytes:
        if len(key) != spec.PSK_LEN:
            raise ConfigError(f"device key: expected {spec.PSK_LEN} bytes, got {len(key)}")
        return self._sealer.seal(key, _KEY, device_id.encode())


def _unknown(device_id: str) -> ConfigError:
    check_device_id(device_id)
    return ConfigError(f"no device {device_id}; see: homeport device list")


_SHOWN = select(
    schema.devices.c.id,
    schema.devices.c.enabled,
    schema.devices.c.created_at_s,
    schema.devices.c.key_changed_at_s,
    schema.sightings.c.attached_at_s,
    schema.sightings.c.endpoint,
    schema.sightings.c.lost_at_s,
    schema.sightings.c.refused_at_s,
    schema.sightings.c.refusal,
).select_from(schema.devices.outerjoin(schema.sightings))


def _device(row: Any) -> Device:
    return Device(*row)
