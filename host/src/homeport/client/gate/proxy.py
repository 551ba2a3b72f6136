"""HTTP proxies: which one the environment names for a basestation, and the way through it (CONNECT: RFC 9110, 9.3.6).

HTTPS_PROXY (or ALL_PROXY, or the system's own setting) names it, NO_PROXY the hosts that need none; this machine never
does. The name of the basestation is looked up by the proxy, for there may be nobody else who can.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

from homeport import wire
from homeport.errors import GateError
from homeport.tcp import reason_of

TIMEOUT_S = 8
ANSWER_MAX = 16_384  # bytes of the proxy's answer; the usual ones have some hundred
_DEFAULT_PORT = 80
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
_REASON_MAX = 60
_NEXT_STEP = "check HTTPS_PROXY, or name the basestation in NO_PROXY if it needs no proxy"


@dataclass(frozen=True)
class Proxy:
    """Its text is fit for people: it has no password."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"http://{wire.address_text((self.host, self.port))}"


def proxy_for(host: str, port: int) -> Proxy | None:
    """The proxy on the way to a basestation, None without one. Raises GateError for a setting that is no such URL."""
    proxies = urllib.request.getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or _is_near(host) or _is_exempt(host, port, proxies.get("no", "")):
        return None
    return parse_proxy(url)


def parse_proxy(url: str) -> Proxy:
    """Read `http://[USER:PASSWORD@]HOST[:PORT]`; the scheme may be missing. Raises GateError, which repeats nothing of
    `url`: there may be a password in it."""
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT
    except ValueError:
        host, port, parts = "", 0, urllib.parse.urlsplit("")
    if parts.scheme != "http" or not _HOST.fullmatch(host):
        raise GateError(
            "the proxy in HTTPS_PROXY (or ALL_PROXY) cannot be used: expected http://[USER:PASSWORD@]HOST:PORT",
            "proxy",
            _NEXT_STEP,
        )
    authorization = None
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port, authorization)


async def open_tunnel(proxy: Proxy, host: str, port: int, happy_eyeballs_s: float) -> asyncio.Transport:
    """A connection to the basestation through the proxy; it reads nothing until it is given another protocol.

    Raises GateError.
    """
    loop = asyncio.get_running_loop()
    target = wire.address_text((host, port))
    transport = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            transport, answer = await loop.create_connection(
                _Answer, proxy.host, proxy.port, happy_eyeballs_delay=happy_eyeballs_s
            )
            transport.write(_request(proxy, target))
            _check(proxy, target, await answer.head)
    except BaseException as error:
        if transport is not None:
            transport.abort()
        if isinstance(error, TimeoutError):
            raise _failure(proxy, f"did not open a way to {target} within {TIMEOUT_S} s") from error
        if isinstance(error, OSError):
            raise _failure(proxy, f"cannot be reached: {reason_of(error)}") from error
        raise
    return transport


class _Answer(asyncio.Protocol):
    """Collects the head of the proxy's answer, and stops reading there: what comes next is for TLS."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if b"\r\n\r\n" in self._data or len(self._data) > ANSWER_MAX:
            assert self._transport is not None
            self._transport.pause_reading()
            self._finish()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.head.done():
            self.head.set_result(self._data)


def _request(proxy: Proxy, target: str) -> bytes:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


def _check(proxy: Proxy, target: str, answer: bytes) -> None:
    """Raise GateError unless the proxy has opened the tunnel, and said no more than that."""
    head, end, rest = answer.partition(b"\r\n\r\n")
    status = _STATUS.match(head + end)
    if status is None or not end:
        raise _failure(proxy, "does not answer like an HTTP proxy" if answer else "broke off the connection")
    code = int(status[1])
    if code == 407:
        wanted = "refused the user and password in HTTPS_PROXY" if proxy.authorization else "wants a user and password"
        step = "give them as http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY (Basic is the only scheme)"
        raise GateError(f"the proxy {proxy} {wanted} (HTTP status 407)", "proxy", step)
    if not 200 <= code < 300:
        reason = wire.printable(status[2] or b"", _REASON_MAX)
        raise _failure(proxy, f"does not connect to {target} (HTTP status {code}{': ' if reason else ''}{reason})")
    if rest:
        # It would be taken for what the basestation has said under TLS.
        raise _failure(proxy, "sent data that belongs to nobody")


def _failure(proxy: Proxy, what: str) -> GateError:
    return GateError(f"the proxy {proxy} {what}", "proxy", _NEXT_STEP)


def _is_near(host: str) -> bool:
    """Whether this is the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY, or the system, lists the host: `*`, names with all below them, addresses and networks."""
    if urllib.request.proxy_bypass(wire.address_text((host, port))):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, no_proxy.split(",")) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        return None
