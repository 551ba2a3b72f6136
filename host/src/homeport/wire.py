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
    """`host:port`, `[host]:port` for an IPv6 address."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str, default_port: int | None = None) -> Address:
    """`HOST:PORT`, or `HOST` with a default port; an IPv6 address stands in brackets. Raises ValueError that says what
    was expected."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "" if default_port is None else str(default_port)
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not HOST:PORT with a port in 0 … 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise ValueError(f"{host!r} is not an IPv6 address")
    elif ":" in host:
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address stands in brackets, as in [2001:db8::1]:5568")
    return host, int(port)


def socket_address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """What a socket calls an address, as we do: IPv4 seen through an IPv6 socket is IPv4, and nothing has a scope."""
    host = name[0].partition("%")[0]
    if ":" in host:
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
        host = str(mapped or host)
    return host, name[1]


def share_of(host: str) -> str:
    """Whose share of what is limited an IP address takes from: of IPv6 addresses, everybody has 2**64."""
    if ":" not in host:
        return host
    return str(ipaddress.IPv6Network((ipaddress.IPv6Address(host), 64), strict=False))


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def printable(text: str | bytes, limit: int = 64) -> str:
    """Peer text for a log, page or terminal: printable, at most `limit` characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:limit])
    return shown + "…" if len(text) > limit else shown
