"""Streams of a device as asyncio knows connections, and TCP connections forwarded over them."""
