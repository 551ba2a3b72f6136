"""A TCP proxy as anybody would write it with asyncio: what a tunnel is measured against. Usage: plain_proxy.py PORT

It leads to that port of this machine, and prints the port that it listens on.
"""

import asyncio
import sys

BLOCK_LEN = 1 << 16


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction."""
    while data := await reader.read(BLOCK_LEN):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def main() -> None:
    port = int(sys.argv[1])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, target_writer), pump(target_reader, writer))
        except ConnectionError:
            writer.close()
            target_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
