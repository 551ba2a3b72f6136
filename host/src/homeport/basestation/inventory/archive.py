"""The running basestation's way to its database: one thread, once a second, never on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from homeport.basestation.directory import Directory
from homeport.basestation.gsp.registry import Row
from homeport.basestation.inventory.inventory import Inventory
from homeport.basestation.inventory.records import Batch, Records
from homeport.basestation.inventory.roster import Roster
from homeport.errors import StorageError

_T = TypeVar("_T")


class Archive:
    """Keeps `roster` up to date with the inventory, and writes what `batch` collects.

    `on_revoked` hears of devices whose attachment must end. `problem` is empty while the database works.
    """

    def __init__(self, directory: Directory, roster: Roster, on_revoked: Callable[[bytes], None]) -> None:
        sealer = directory.sealer()
        self.batch = Batch()
        self.problem = ""
        self._inventory = Inventory(directory.database, sealer)
        self._records = Records(directory.database, sealer)
        self._roster = roster
        self._on_revoked = on_revoked
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")

    async def load(self) -> tuple[list[Row], int]:
        """Fill the roster; return the attachments of the last run, and how many were damaged. Raises StorageError."""
        await self._refresh()
        return await self._run(self._records.load_attachments)

    async def thought_attached(self) -> list[bytes]:
        """Devices that were attached as far as the database knows."""
        return await self._run(self._records.thought_attached)

    async def exchange(self) -> None:
        """Take in what operators changed, then write what has happened. Failing to, it keeps the facts for later."""
        batch = Batch()
        try:
            await self._refresh()
            if self.batch:
                batch, self.batch = self.batch, batch
                saved = await self._run(lambda: self._records.save(batch, self._roster.seq))
                if not saved:
                    self.batch.merge_older(batch)
            self.problem = ""
        except StorageError as error:
            self.batch.merge_older(batch)
            self.problem = error.reason

    async def close(self) -> None:
        """Write what is left, and close the database."""
        await self.exchange()
        self._thread.shutdown()
        self._inventory.close()
        self._records.close()

    async def _refresh(self) -> None:
        changes = await self._run(lambda: self._inventory.changes_since(self._roster.seq))
        if changes is None:
            return
        for device_id in self._roster.apply(changes):
            self._on_revoked(device_id)
            if self._roster.get(device_id) is None:
                self.batch.forget(device_id)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def now_s() -> int:
    """Seconds since 1970, for the records."""
    return int(time.time())
