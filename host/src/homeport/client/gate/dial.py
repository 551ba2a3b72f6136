"""The way to a gate: TCP, through an HTTP proxy where the environment names one, and TLS; what each failure means."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple

from wsproto.utilities import RemoteProtocolError

from homeport import wire
from homeport.client.gate.proxy import open_tunnel, proxy_for
from homeport.client.gate.tls import check_pin, client_context
from homeport.client.profile import Profile
from homeport.errors import GateError
from homeport.tcp import reason_of, tune

HAPPY_EYEBALLS_S = 0.25  # what one address gets before the next, of the other family, is tried as well (RFC 8305)
UNACKNOWLEDGED_MS = 8_000  # a connection whose bytes nobody takes for so long is lost


class Dialled(NamedTuple):
    """A TLS connection whose server has the profile's pin. `host` is its `HOST:PORT`, `where` says it to people."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str
    where: str


async def dial(profile: Profile) -> Dialled:
    """Connect. Raises OSError, GateError."""
    host, port = profile.basestation_address
    proxy = proxy_for(host, port)
    context = client_context(profile)
    if proxy is None:
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=host, happy_eyeballs_delay=HAPPY_EYEBALLS_S
        )
    else:
        reader, writer = await _secured(await open_tunnel(proxy, host, port, HAPPY_EYEBALLS_S), context, host)
    try:
        tune(writer.get_extra_info("socket"), UNACKNOWLEDGED_MS)
        if profile.pin is not None:
            check_pin(writer.get_extra_info("ssl_object"), profile.pin)
    except (OSError, GateError):
        writer.transport.abort()
        raise
    return Dialled(reader, writer, wire.address_text((host, port)), route(profile))


def route(profile: Profile) -> str:
    """The gate's address and the proxy on the way there, for people. Raises GateError."""
    host, port = profile.basestation_address
    proxy = proxy_for(host, port)
    where = wire.address_text((host, port))
    return where if proxy is None else f"{where} (through the proxy {proxy})"


async def _secured(
    transport: asyncio.Transport, context: ssl.SSLContext, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS over a connection that exists, as `asyncio.open_connection` would return it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        secured = await loop.start_tls(transport, protocol, context, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    assert secured is not None
    protocol.connection_made(secured)
    return reader, asyncio.StreamWriter(secured, protocol, reader, loop)


def gate_error(error: BaseException, where: str, timeout_s: float) -> GateError:
    """What a failure of the connection to `where` means to its user."""
    if isinstance(error, GateError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return GateError(
            f"the certificate of the basestation at {where} is not trusted: {error.verify_message}",
            "tls",
            "create the profile with the pin that 'homeport basestation init' printed",
        )
    if isinstance(error, ssl.SSLError):
        return GateError(f"TLS with the basestation at {where} failed: {error.reason or error}", "tls")
    if isinstance(error, TimeoutError):
        return GateError(
            f"no answer from the basestation at {where} within {timeout_s} s",
            "timeout",
            "check its address, and that its gate port is open",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError | RemoteProtocolError):
        return GateError(f"the basestation at {where} broke off the connection", "closed")
    return GateError(
        f"cannot reach the basestation at {where}: {reason_of(error)}",
        "refused",
        "check that it runs ('homeport basestation run') and its address in the profile",
    )
