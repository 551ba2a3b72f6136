"""What the running basestation remembers across a restart: live attachments, and what operators ask about devices.

Nothing here is per packet. The server collects facts in a `Batch` and has it written about once a second, in a
thread of its own; the size of a batch is bounded by the number of registered devices.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from homeport.basestation.gsp.registry import Row
from homeport.basestation.inventory import schema
from homeport.basestation.inventory.sealing import Sealer
from homeport.errors import StorageError

_ATTACHMENT = "attachment"
Columns = dict[str, int | str | None]


class Batch:
    """Facts not yet written; a later fact about the same device replaces the earlier."""

    def __init__(self) -> None:
        self.attachments: dict[bytes, Row | None] = {}  # by device id; None: gone
        self.sightings: dict[bytes, Columns] = {}  # device id → columns of `schema.sightings`

    def __bool__(self) -> bool:
        return bool(self.attachments or self.sightings)

    def attached(self, device_id: bytes, row: Row | None, endpoint: str, now_s: int) -> None:
        """A device has attached from `endpoint`; `row` is the session server's snapshot of it, None when it would not
        survive a restart."""
        self.attachments[device_id] = row
        self._see(device_id, attached_at_s=now_s, endpoint=endpoint, lost_at_s=None)

    def lost(self, device_id: bytes, now_s: int) -> None:
        """A device's attachment has ended."""
        self.attachments[device_id] = None
        self._see(device_id, lost_at_s=now_s)

    def refused(self, device_id: bytes, reason: str, now_s: int) -> None:
        """A registered device was turned away."""
        self._see(device_id, refused_at_s=now_s, refusal=reason[:120])

    def forget(self, device_id: bytes) -> None:
        """A device is registered no longer."""
        self.attachments.pop(device_id, None)
        self.sightings.pop(device_id, None)

    def merge_older(self, older: Batch) -> None:
        """Take over facts that could not be written, where nothing newer is known."""
        self.attachments = older.attachments | self.attachments
        for device_id, columns in older.sightings.items():
            self.sightings[device_id] = columns | self.sightings.get(device_id, {})

    def _see(self, device_id: bytes, **columns: int | str | None) -> None:
        self.sightings.setdefault(device_id, {}).update(columns)


class Records:
    """Writes batches to the database at `path` and reads attachments back. Methods raise StorageError."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self.path = path
        self._sealer = sealer
        self._engine = schema.open_database(path)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def load_attachments(self) -> tuple[list[Row], int]:
        """The attachments saved last, and how many were damaged: those devices attach again by themselves."""
        with schema.reading(self._engine, self.path) as connection:
            saved = connection.execute(select(schema.attachments)).all()
        rows = []
        for id_, sealed in saved:
            with contextlib.suppress(StorageError):
                rows.append(_unpack(id_.encode(), self._sealer.open(sealed, _ATTACHMENT, id_.encode())))
        return rows, len(saved) - len(rows)

    def thought_attached(self) -> list[bytes]:
        """Devices of which it was written that they attached, and not that they were lost."""
        seen = schema.sightings.c
        statement = select(seen.device_id).where(seen.attached_at_s.is_not(None), seen.lost_at_s.is_(None))
        with schema.reading(self._engine, self.path) as connection:
            return [id_.encode() for id_ in connection.scalars(statement)]

    def save(self, batch: Batch, seq: int) -> bool:
        """Write a batch collected while the devices were as of change `seq`; False: refresh first, then try again.

        A device that an operator changed after `seq` is left out: its attachment was made under a key or a
        permission that no longer holds.
        """
        with schema.writing(self._engine, self.path) as connection:
            changed = _changed_after(connection, seq)
            if changed is None:
                return False
            self._save_attachments(connection, {k: v for k, v in batch.attachments.items() if k not in changed})
            _save_sightings(connection, {k: v for k, v in batch.sightings.items() if k not in changed})
        return True

    def _save_attachments(self, connection: Connection, snapshots: dict[bytes, Row | None]) -> None:
        table = schema.attachments
        if snapshots:
            gone = delete(table).where(table.c.device_id == bindparam("id"))
            connection.execute(gone, [{"id": id_.decode()} for id_ in snapshots])
        rows = [
            {"device_id": id_.decode(), "sealed": self._sealer.seal(_pack(row), _ATTACHMENT, id_)}
            for id_, row in snapshots.items()
            if row is not None
        ]
        if rows:
            connection.execute(insert(table), rows)


def _pack(row: Row) -> bytes:
    """The parts of a row after the device id, each behind its length in one byte."""
    return b"".join(bytes((len(part),)) + part for part in row[1:])


def _unpack(device_id: bytes, packed: bytes) -> Row:
    parts = []
    while packed:
        end = 1 + packed[0]
        parts.append(packed[1:end])
        packed = packed[end:]
    nsi, endpoint, key, facts, proof = parts
    return device_id, nsi, endpoint, key, facts, proof


def _changed_after(connection: Connection, seq: int) -> set[bytes] | None:
    """Devices changed after `seq`; None when the log does not reach back that far."""
    log = schema.changes.c
    oldest = connection.scalar(select(func.min(log.seq)))
    if oldest is not None and seq < oldest - 1:
        return None
    return {id_.encode() for id_ in connection.scalars(select(log.device_id).where(log.seq > seq))}


def _save_sightings(connection: Connection, sightings: dict[bytes, Columns]) -> None:
    table = schema.sightings
    if not sightings:
        return
    connection.execute(insert_or(table).on_conflict_do_nothing(), [{"device_id": id_.decode()} for id_ in sightings])
    by_columns: dict[tuple[str, ...], list[Columns]] = {}
    for id_, columns in sightings.items():
        by_columns.setdefault(tuple(sorted(columns)), []).append({"of": id_.decode(), **columns})
    for names, rows in by_columns.items():
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        connection.execute(update(table).where(table.c.device_id == bindparam("of")).values(values), rows)
