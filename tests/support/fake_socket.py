"""`socket` as ESP32 and RP2 have it, over the sockets of MicroPython's Unix port (the real ones, on loopback).

Addresses are (text, port) and names are waited for. What the boards do not have is not there: getsockname, peeking,
datagrams into a buffer. A socket of the RP2 calls itself writable before it is connected, and connect() says what it
knows each time it is asked. `fakes/PLATFORM_sockets` put it in place of `socket`.

Errors that `errno` names have the numbers of this system, because the compiler puts those into the code here (on a
board the board's are looked up); the one that `errno` does not know, "is connected", has the platform's.

Not shown: lwIP's little memory. It drops what does not fit: the fifth datagram waiting, on an RP2. Shown on demand, by
`Rp2Socket.room`: how few datagram sockets the RP2 has.
"""

import io

import uerrno
import usocket

_POLL = 3
_FILENO = 10
_READABLE = 1
_WRITABLE = 4
# How often the RP2 says that it is still connecting, for a handshake that takes no time here.
_CONNECT_ROUNDS = 2
_NEW, _CONNECTING, _CONNECTED, _FAILED = range(4)


def to_tuple(address):
    """The board's form of an address of this system."""
    _, octets, port = usocket.sockaddr(address)
    return ".".join(str(octet) for octet in octets), port


def to_system(address):
    """The other way; boards take tuples only."""
    host, port = address
    return usocket.getaddrinfo(host or "0.0.0.0", port)[0][-1]


class BoardSocket(io.IOBase):
    """What both platforms share. `numbers` translates errors, `options` are those that setsockopt knows."""

    numbers = {}
    options = {}
    polls_by_number = True

    def __init__(self, af=2, type=1, proto=0, opened=None):
        self._opened = opened or usocket.socket(af, type)
        self._state = _CONNECTED if opened else _NEW
        self._is_stream = type == usocket.SOCK_STREAM
        self._rounds = _CONNECT_ROUNDS

    def setblocking(self, flag):
        self._opened.setblocking(flag)

    def settimeout(self, seconds):
        self._opened.settimeout(seconds)

    def setsockopt(self, level, option, value):
        if option not in self.options:
            print("Warning: lwip.setsockopt() not implemented")
            return
        self._do(lambda: self._opened.setsockopt(*self.options[option], value))

    def bind(self, address):
        self._do(lambda: self._opened.bind(to_system(address)))

    def listen(self, backlog=2):
        self._opened.listen(backlog)

    def accept(self):
        opened, address = self._do(self._opened.accept)
        return self.__class__(opened=opened), to_tuple(address)

    def connect(self, address):
        self._do(lambda: self._opened.connect(to_system(address)))

    def sendto(self, octets, address):
        return self._do(lambda: self._opened.sendto(octets, to_system(address)))

    def recvfrom(self, n):
        octets, address = self._do(lambda: self._opened.recvfrom(n))
        return octets, to_tuple(address)

    def send(self, octets):
        return self._do(lambda: self._opened.send(octets))

    def recv(self, n):
        return self._do(lambda: self._opened.recv(n))

    def write(self, octets):
        return self._do(lambda: self._opened.write(octets))

    def read(self, n):
        return self._do(lambda: self._opened.read(n))

    def readinto(self, buf):
        return self._do(lambda: self._opened.readinto(buf))

    def close(self):
        self._opened.close()

    def ioctl(self, request, argument):
        if request == _FILENO and self.polls_by_number:
            return self._opened.fileno()
        if request == _POLL and not self.polls_by_number:
            return self._poll(argument)
        return -1

    def _do(self, work):
        try:
            return work()
        except OSError as error:
            raise OSError(self.numbers.get(error.errno, error.errno))

    def _poll(self, wanted):
        import select

        poller = select.poll()
        poller.register(self._opened, wanted)
        found = poller.poll(0)
        ready = found[0][1] if found else 0
        if self._is_stream and self._state == _CONNECTING:
            ready |= wanted & _WRITABLE
        return ready


class Esp32Socket(BoardSocket):
    """The ESP32's: lwIP's own sockets, numbers of newlib, polled by select()."""

    numbers = {106: 127}
    options = {4: (1, 2), 1: (6, 1)}  # SO_REUSEADDR, TCP_NODELAY


class Rp2Socket(BoardSocket):
    """The RP2's: MicroPython's own on lwIP's raw interface."""

    options = {4: (1, 2), 0x40: (6, 1)}
    polls_by_number = False
    # How many datagram sockets there may be now: a function. lwIP has five, of which mDNS and DHCP take one each, and
    # the DHCP server of an access point another.
    room = None
    open_now = 0

    def __init__(self, af=2, type=1, proto=0, opened=None):
        self._counts = type == usocket.SOCK_DGRAM
        if self._counts:
            if Rp2Socket.room and Rp2Socket.open_now >= Rp2Socket.room():
                raise OSError(uerrno.ENOMEM)
            Rp2Socket.open_now += 1
        super().__init__(af, type, proto, opened)

    def close(self):
        if self._counts:
            self._counts = False
            Rp2Socket.open_now -= 1
        super().close()

    def connect(self, address):
        if not self._is_stream:
            super().connect(address)
        elif self._state == _FAILED:
            raise OSError(uerrno.EBADF)
        elif self._state == _CONNECTED:
            raise OSError(106)
        elif self._state == _NEW:
            self._state = _CONNECTING
            try:
                self._opened.connect(to_system(address))
            except OSError as error:
                if error.errno != uerrno.EINPROGRESS:
                    self._state = _NEW
                    raise
            raise OSError(uerrno.EINPROGRESS)
        else:
            self._settle(address)

    def _settle(self, address):
        """The state of a connection on its way, as an error: 114 for still, 106 for done, 9 for failed."""
        import select

        poller = select.poll()
        poller.register(self._opened, _WRITABLE)
        self._rounds -= 1
        if self._rounds > 0 or not poller.poll(0):
            raise OSError(uerrno.EALREADY)
        try:
            self._opened.connect(to_system(address))
        except OSError as error:
            if error.errno != 106:
                self._state = _FAILED
                raise OSError(uerrno.EBADF)
        self._state = _CONNECTED
        raise OSError(106)


def getaddrinfo(host, port, af=0, type=0, failure=-2):
    """Only one address, whatever the name has; `failure` is the platform's number for none."""
    try:
        found = usocket.getaddrinfo(host, port, usocket.AF_INET, usocket.SOCK_STREAM)
    except OSError:
        raise OSError(failure)
    return [(2, 1, 0, "", to_tuple(found[0][-1]))]
