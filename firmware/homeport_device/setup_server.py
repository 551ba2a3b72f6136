"""The set-up network of a board: its access point, the page (HTTP), and names that lead to it (DNS).

Only the access point's own network is served, few connections at a time, each for ten seconds. A part of the appliance:
`step` looks at the radio and carries out what `setup` decides.
"""

import asyncio
import gc
import socket

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.crypto import ct_equal
from homeport_core.errors import ConfigError, MalformedError, StorageError

from homeport_device import log, setup_dns
from homeport_device.board_config import DAMAGED, GOOD, MISSING, SETUP_PORT
from homeport_device.device_config import parse_address
from homeport_device.setup import CLOSE, JOIN, LEAVE, OPEN, OPEN_MS, STORE, Setup
from homeport_device.setup_http import (
    BAD,
    COMPLETE,
    FORBIDDEN,
    FOUND,
    MORE,
    NOT_FOUND,
    SEE_OTHER,
    Request,
    parse_form,
    response,
)
from homeport_device.setup_page import page

_DNS_PORT = const(53)
_CONNECTIONS_MAX = const(4)
_TALK_S = const(10)
_READ_LEN = const(512)
_DNS_BURST = const(4)
_RADIO_APART_MS = const(200)
# A scan stands still for two to three seconds.
_SCANS_APART_MS = const(10000)
_TOKEN_LEN = const(8)
_PASSWORD_LEN = const(16)

_NOTES = {
    ("config", DAMAGED): "The configuration was damaged. Identity and users are kept; the other settings are lost.",
    ("secrets", DAMAGED): "The identity is damaged, so only the local network is served. Provision this device again.",
    ("secrets", MISSING): "This device has no key yet, so only the local network is served.",
}


class SetupServer:
    """Of one board. `closed(now_ms, server)` is called with the access point closed; see `config.networks` then."""

    def __init__(self, now_ms: int, device: object, wifi: object, closed: object) -> None:
        self._device = device
        self._closed = closed
        self._wifi = wifi
        self._setup = Setup(now_ms)
        self._token = device.stack.rng(_TOKEN_LEN).hex()
        self._networks = []
        self._radio_ms = self._scan_ms = now_ms  # when to look again
        self._address = b""  # ours
        self._server = None
        self._dns = None
        self._talks = 0

    async def open(self) -> None:
        """Open the access point and serve. Raises OSError."""
        config = self._device.config
        name = "Homeport-" + config.hardware.unique_id()[-2:].hex().upper()
        self._wifi.start(config.device_id.split(".")[0])
        password = self._password()
        self._address = self._wifi.open_access_point(name, password)
        self._scan(self._now_ms())
        host = _dotted(self._address)
        try:
            self._server = await asyncio.start_server(self._serve, host, config.setup_port)
        except Exception:
            self._close()
            raise
        try:
            self._dns = _dns_socket(host, _DNS_PORT if config.setup_port == SETUP_PORT else config.setup_port)
        except OSError as error:  # an RP2 has no socket left: phones are not led to the page, but it is there
            log.event(log.NETWORK, "no names on the set-up network:", log.printable(error))
        kind = "set-up network" if password else "open set-up network"
        log.event(log.NETWORK, kind, name, "for %d min: http://%s/" % (OPEN_MS // 60000, self._host()))

    def step(self, now_ms: int) -> None:
        """Answer names, look at the radio, do what is due. Raises OSError of the radio."""
        if self._dns is not None:
            self._answer_names()
        if self._server is None or ticks.diff(now_ms, self._radio_ms) < 0:
            return
        self._radio_ms = ticks.add(now_ms, _RADIO_APART_MS)
        address = self._wifi.address()
        order = self._setup.step(now_ms, self._wifi.status(), address[0] if address else None)
        if order == JOIN:
            self._wifi.join(*self._setup.wanted)
        elif order == LEAVE:
            log.event(log.NETWORK, "set-up:", log.printable(self._setup.problem))
            self._wifi.leave()
        elif order == STORE:
            self._store(now_ms)
        elif order == CLOSE:
            self._close()
            log.event(log.NETWORK, "set-up network closed")
            self._closed(now_ms, self)

    # HTTP

    async def _serve(self, reader: object, writer: object) -> None:
        self._talks += 1
        try:
            if self._talks <= _CONNECTIONS_MAX and self._is_neighbour(writer.get_extra_info("peername")):
                await asyncio.wait_for(self._talk(reader, writer), _TALK_S)
        except (OSError, asyncio.TimeoutError) as error:
            log.line("set-up page:", type(error).__name__)
        except MemoryError:
            gc.collect()
            log.event(log.FAULT, "set-up page: out of memory")
        finally:
            self._talks -= 1
            await _hang_up(writer)

    async def _talk(self, reader: object, writer: object) -> None:
        request = Request()
        status = MORE
        while status == MORE:
            octets = await reader.read(_READ_LEN)
            if not octets:
                return
            status = request.feed(octets)
        writer.write(self._answer(request) if status == COMPLETE else response(status))
        await writer.drain()

    def _answer(self, request: object) -> bytes:
        home = "http://" + self._host() + "/"
        if request.host not in (self._host(), _dotted(self._address)):
            return response(FORBIDDEN) if request.method == "POST" else response(FOUND, b"", home)
        if request.method == "POST":
            return self._take(request, home)
        if request.path != "/":
            return response(NOT_FOUND)
        body = self._page()
        return response(COMPLETE, b"" if request.method == "HEAD" else body)

    def _page(self) -> bytes:
        gc.collect()
        device, config = self._device, self._device.config
        found = (("config", config.config_found), ("secrets", config.secrets_found))
        notes = [_NOTES[entry] for entry in found if entry in _NOTES]
        self._setup.seen(self._now_ms())
        return page((device.name, device.type, config.device_id, notes), self._setup, self._networks, self._token)

    def _take(self, request: object, home: str) -> bytes:
        """A form of ours: a network to join, or the wish for another scan."""
        try:
            fields = parse_form(request.body)
        except MalformedError:
            return response(BAD)
        if not ct_equal(fields.get("token", "").encode(), self._token.encode()):
            return response(FORBIDDEN)
        now_ms = self._now_ms()
        if request.path == "/scan":
            self._scan(now_ms)
        elif request.path == "/":
            ssid = fields.get("ssid") or fields.get("other", "")
            self._setup.submit(now_ms, ssid, fields.get("password", ""))
        else:
            return response(NOT_FOUND)
        return response(SEE_OTHER, b"", home)

    # Steps

    def _now_ms(self) -> int:
        return self._device.stack.port.now_ms()

    def _host(self) -> str:
        port = self._device.config.setup_port
        return _dotted(self._address) + ("" if port == SETUP_PORT else ":%d" % port)

    def _password(self) -> str | None:
        """The first digits of the label's secret, as they are printed there; the rest stays secret even from who
        should find these by trying. None, an open network, where there is no label, or nobody knows what it says."""
        config = self._device.config
        if not config.label_secret or config.secrets_found != GOOD:
            return None
        return config.label_secret.hex()[:_PASSWORD_LEN]

    def _is_neighbour(self, peer: object) -> bool:
        """Whether a peer is in the access point's network, as the platform names peers."""
        address = parse_address(peer[0]) if isinstance(peer, tuple) else bytes(peer[4:8])
        return address[:3] == self._address[:3]

    def _scan(self, now_ms: int) -> None:
        if self._setup.state != OPEN or ticks.diff(now_ms, self._scan_ms) < 0:
            return
        self._scan_ms = ticks.add(now_ms, _SCANS_APART_MS)
        try:
            self._networks = self._wifi.scan()
        except OSError as error:
            log.event(log.NETWORK, "no scan:", log.printable(error))

    def _answer_names(self) -> None:
        for _ in range(_DNS_BURST):
            try:
                query, peer = self._dns.recvfrom(setup_dns.QUERY_MAX + 1)
            except OSError:
                return  # nothing more to be read
            answer = setup_dns.answer(query, self._address) if self._is_neighbour(peer) else None
            if answer is not None:
                self._dns.sendto(answer, peer)

    def _store(self, now_ms: int) -> None:
        from homeport_device.provisioned import add_network

        ssid, password = self._setup.wanted
        try:
            add_network(self._device.config, ssid, password)
        except (ConfigError, StorageError) as error:
            log.event(log.STORAGE, "set-up:", log.printable(error))
            self._wifi.leave()
            self._setup.stored(now_ms, "%s works, but could not be stored: %s" % (ssid, error))
            return
        self._setup.stored(now_ms)
        log.event(log.NETWORK, "set-up: joined", log.printable(ssid))

    def _close(self) -> None:
        for opened in (self._server, self._dns):
            if opened is not None:
                opened.close()
        self._server = self._dns = None
        self._wifi.close_access_point()


async def _hang_up(writer: object) -> None:
    """Free the socket; MicroPython does so in the second call only."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError as error:
        log.line("set-up page:", type(error).__name__)


def _dns_socket(host: str, port: int) -> object:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.bind(socket.getaddrinfo(host, port)[0][-1])
    except OSError:
        opened.close()
        raise
    return opened


def _dotted(address: bytes) -> str:
    return ".".join([str(octet) for octet in address])
