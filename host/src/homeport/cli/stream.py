"""`homeport stream DEVICE SERVICE`: stdin and stdout over a stream."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from homeport.cli.connecting import TIMEOUT_S, ConnectLimit, Path, PathOption, Target
from homeport.cli.context import settings_of
from homeport.cli.pipes import read_pipe, write_pipe
from homeport.client.client import Client
from homeport.client.streams.opener import ANSWERING, NEXT_SERVICE
from homeport.errors import StreamError, Timeout
from homeport.wire import printable

_STDIN, _STDOUT = 0, 1
_CHUNK = 64 * 1024


def stream(
    ctx: typer.Context,
    device: Target,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="What the device offers, such as echo or uart.")],
    path: Path = PathOption.AUTO,
    timeout_s: ConnectLimit = TIMEOUT_S,
) -> None:
    """Connect stdin and stdout to a service of a device, octet by octet.

    The end of stdin closes that direction only; the command ends when the device has closed the other, too.
    """
    if not service.strip():
        raise typer.BadParameter("a service has a name, such as echo")
    settings = settings_of(ctx)
    profile = settings.open_profile()

    async def work() -> None:
        async with Client(profile, settings.home) as client:
            try:
                async with asyncio.timeout(timeout_s):
                    reader, writer = await (await client.connect(device, path.value)).open_stream(service)
            except TimeoutError as error:
                raise Timeout(f"{device[:80]}: no stream within {timeout_s:g} s") from error
            sending = asyncio.create_task(_send(writer))
            has_answered = service.partition(" ")[0] in ANSWERING
            try:
                while data := await reader.read(_CHUNK):
                    has_answered = True
                    await write_pipe(_STDOUT, data)
            except BrokenPipeError:
                writer.transport.abort()  # nobody reads what we print
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            writer.close()
            await writer.wait_closed()
            if not has_answered:
                raise StreamError(
                    f"the stream to {printable(service)!r} ended without an octet", "unknown", NEXT_SERVICE
                )

    asyncio.run(work())


async def _send(writer: asyncio.StreamWriter) -> None:
    async for data in read_pipe(_STDIN):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
