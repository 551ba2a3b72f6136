"""stdin and stdout that may be terminals, pipes or files, without making the event loop wait for them.

Each use has a daemon thread, since nothing else can leave a read of a terminal behind when the program ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")

_READ_MAX = 64 * 1024


async def read_pipe(fd: int) -> AsyncIterator[bytes]:
    """What can be read from the file descriptor, to its end. Raises OSError."""
    while data := await _in_thread(lambda: os.read(fd, _READ_MAX)):
        yield data


async def write_pipe(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""

    def write() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    await _in_thread(write)


async def _in_thread(work: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: OSError | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            result, error = work(), None
        except OSError as failure:
            result, error = None, failure
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await done
