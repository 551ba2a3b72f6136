"""Between the wire's opaque octets and what people and sockets use."""

import ipaddress

Address = tuple[str, int]


def endpoint(address: Address) -> bytes:
    """(IPv4 text, port) as the 6 octets of an EP payload. Raises ValueError for anything else."""
    host, port = address
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is not in 0 … 65535")
    return ipaddress.IPv4Address(host).packed + port.to_bytes(2, "big")


def address(endpoint: bytes) -> Address:
    """The 6 octets of an EP payload as (IPv4 text, port)."""
    return ".".join(map(str, endpoint[:4])), endpoint[4] << 8 | endpoint[5]


def address_text(address: Address) -> str:
    """`host:port`."""
    return f"{address[0]}:{address[1]}"


def parse_address(text: str, default_port: int | None = None) -> Address:
    """`HOST:PORT`, or `HOST` with a default port. Raises ValueError that says what was expected."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "" if default_port is None else str(default_port)
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not HOST:PORT with a port in 0 … 65535")
    return host, int(port)


def printable(text: str | bytes, limit: int = 64) -> str:
    """Peer text for a log, page or terminal: printable, at most `limit` characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:limit])
    return shown + "…" if len(text) > limit else shown
