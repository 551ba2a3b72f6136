"""The tunnel service: a stream becomes a TCP connection from the device (specification, streams 5.1 to 5.5).

    tunnel host=192.168.1.10 port=22

There is no answer line: what the target sends follows directly, and a tunnel that is refused or fails is closed without
an octet. Only hosts and ports on the lists are reached. A name must be on the list itself, and must not lead to this
device unless the device's own address is on the list too.
"""

from homeport_core.compat import const
from homeport_core.errors import ConfigError

from homeport_device import log
from homeport_device.device_config import parse_address
from homeport_device.pipe import Pipe
from homeport_device.services import Session

ANY = "*"  # in place of a list: every host, every port

_HOST_MAX = const(127)
_PORT_MAX = const(65535)
_MULTICAST_FIRST = const(224)
_LOOPBACK_NET = const(127)
_LOOPBACK = b"\x7f\x00\x00\x01"
_DEFAULT_PORT = const(22)
_BLANK = const(0x20)
_DELETE = const(0x7F)
# What is read from a target at once, in segments and at most in octets.
_READ_SEGMENTS = const(4)
_BUFFER_MAX = const(65536)


class TunnelService:
    """`tunnel`. Raises ConfigError for lists that allow nothing or make no sense."""

    def __init__(self, hosts: tuple | str, ports: tuple | str, allow: int, segment: int, reset: bool) -> None:
        """`reset` tells a client of a failed connect by RST, where the reference closes the stream."""
        if not hosts or not ports:
            raise ConfigError("a tunnel service that allows no host or no port is of no use")
        self.allow = allow
        self.reset = reset
        self.buf = bytearray(min(_READ_SEGMENTS * segment, _BUFFER_MAX))
        self._ports = ports
        self._any_host = hosts == ANY
        self._addresses = set()
        self._names = set()
        for host in () if self._any_host else hosts:
            address = _literal(host)
            if address:
                self._addresses.add(address)
            elif 0 < len(host) <= _HOST_MAX and " " not in host:
                self._names.add(host.lower())
            else:
                raise ConfigError("a tunnel's host is a name or an IPv4 address, not " + log.printable(host))
        for port in () if ports == ANY else ports:
            if not isinstance(port, int) or not 0 < port <= _PORT_MAX:
                raise ConfigError("a tunnel's port is a number from 1 to 65535, not " + log.printable(port))

    def open(self, now_ms: int, command: object) -> Session | None:
        """Begin to connect to what the line names, if that is allowed."""
        target = _parse(command.arguments)
        if target is None:
            return None
        host, port = target
        address = _literal(host)
        if self._ports != ANY and port not in self._ports:
            return None
        if address:
            if not self.leads_to(address):
                return None
        elif not self._any_host and host not in self._names:
            return None
        tunnel = Tunnel(self, command, port)
        if address:
            return tunnel if tunnel.connect(address) else None
        command.services.port.look_up(host, tunnel.resolved)
        return tunnel

    def leads_to(self, address: bytes) -> bool:
        """Whether an address that was asked for may be reached."""
        return address in self._addresses or (self._any_host and _is_host(address))

    def name_leads_to(self, address: bytes) -> bool:
        """Whether the address of a name that is allowed may be reached."""
        if address[0] == _LOOPBACK_NET:
            return self.leads_to(address)
        return _is_host(address)


class Tunnel(Pipe):
    """One tunnel. Until it is connected the client's octets stay in the stream's window."""

    def __init__(self, service: TunnelService, command: object, port: int) -> None:
        super().__init__(command.services, command.connection, command.stream, service.buf)
        self._service = service
        self._port = port
        self._is_over = False

    def connect(self, address: bytes) -> bool:
        """Begin to connect; False when there is no socket for it."""
        try:
            self.channel = self.services.port.connect_tcp(address + self._port.to_bytes(2, "big"), self)
        except OSError:
            return False
        return True

    def resolved(self, now_ms: int, addresses: list | None) -> None:
        """The name's addresses."""
        if self._is_over:
            return
        for address in addresses or ():
            if self._service.name_leads_to(address):
                if not self.connect(address):
                    break
                return
        self._refuse(now_ms)

    def _leave(self, reset: bool) -> None:
        self._is_over = True
        super()._leave(reset)

    def tcp_ready(self, now_ms: int, channel: object) -> None:
        self.join(now_ms)
        self.services.flush(now_ms, self)

    def tcp_failed(self, now_ms: int, channel: object) -> None:
        self._refuse(now_ms)

    def _refuse(self, now_ms: int) -> None:
        if self._service.reset:
            self.stream.abort(now_ms)
        self.hang_up(now_ms)
        self.services.flush(now_ms, self)


def _literal(host: str) -> bytes:
    """The address of a dotted host or of `localhost`; empty for a name."""
    return _LOOPBACK if host.lower() == "localhost" else parse_address(host)


def _is_host(address: bytes) -> bool:
    """Neither "any" nor multicast nor broadcast."""
    return 0 < address[0] < _MULTICAST_FIRST


def _parse(arguments: bytes) -> tuple | None:
    """(host, port) of a line's arguments, in any order, what is missing by default; None when they make no sense."""
    host, port = "", ""
    if not all(_BLANK <= octet < _DELETE for octet in arguments):
        return None
    words = arguments.decode().split(" ")
    for i in range(len(words)):
        word = words[i]
        if word.startswith("host=") and not host:
            host = word[5:]
        elif word.startswith("port=") and not port:
            port = word[5:] or "".join(words[i + 1 :][:1]) or "-"
    if len(host) > _HOST_MAX or (port and not port.isdigit()):
        return None
    number = int(port or _DEFAULT_PORT)
    if not 0 < number <= _PORT_MAX:
        return None
    return host.lower() or "localhost", number
