"""Network namespaces that nobody has to clean up.

A namespace is kept by an open file of this process and by the processes started in it, and those die with this
process, however it ends. There are no names, so nothing is left behind and parallel runs cannot meet.
"""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000
_OWN_NAMESPACE = "/proc/thread-self/ns/net"
_ETH_P_ALL = 3
_ETH_P_IP = 0x0800
_PACKET_MAX = 2048
_PACKET_OUTGOING = 4
_STOP_WAIT_S = 5

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """This machine cannot do what the test needs; says what and how to get it."""


def _syscall(what: str, result: int) -> None:
    if result != 0:
        raise NamespaceError(
            f"cannot {what}: {os.strerror(ctypes.get_errno())}. The tests in tests/nat make network namespaces: "
            "run them as root, where CAP_SYS_ADMIN and CAP_NET_ADMIN are allowed"
        )


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    """One network namespace: a computer or a router. `with node:` puts the calling thread inside it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._outside: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        home = os.open(_OWN_NAMESPACE, os.O_RDONLY)
        try:
            _syscall("make a network namespace", _libc.unshare(_CLONE_NEWNET))
            self._namespace = os.open(_OWN_NAMESPACE, os.O_RDONLY)
            _syscall("return from a network namespace", _libc.setns(home, _CLONE_NEWNET))
        finally:
            os.close(home)
        self.ip("link set lo up")

    def __enter__(self) -> "Node":
        self._outside.append(os.open(_OWN_NAMESPACE, os.O_RDONLY))
        _syscall(f"enter the namespace {self.name}", _libc.setns(self._namespace, _CLONE_NEWNET))
        return self

    def __exit__(self, *exc: object) -> None:
        outside = self._outside.pop()
        _syscall(f"leave the namespace {self.name}", _libc.setns(outside, _CLONE_NEWNET))
        os.close(outside)

    def close(self) -> None:
        """Ends the processes started here and lets the namespace go."""
        for process in self._processes:
            stop(process)
        os.close(self._namespace)

    def run(self, *command: str, text: str = "", code: int = 0) -> str:
        """Standard output of a command that exits with `code`. Raises NamespaceError with what it had to say."""
        try:
            with self:
                done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError as missing:
            raise NamespaceError(f"{command[0]}: command not found; install iproute2 and nftables") from missing
        if done.returncode != code:
            raise NamespaceError(f"{self.name}: {' '.join(command)}: {done.stderr.strip()}\n{text}")
        return done.stdout

    def ip(self, arguments: str) -> str:
        """`ip ARGUMENTS`, as on a command line."""
        return self.run("ip", *arguments.split())

    def nft(self, rules: str) -> None:
        """Adds to the rule set."""
        self.run("nft", "-f", "-", text=rules + "\n")

    def counter(self, name: str) -> tuple[int, int]:
        """Packets and octets counted by the named counter of table `ip count`."""
        words = self.run("nft", "list", "counter", "ip", "count", name).split()
        return int(words[words.index("packets") + 1]), int(words[words.index("bytes") + 1])

    def sysctl(self, name: str, value: int) -> None:
        """Sets a value under /proc/sys/net, which shows every thread the namespace it is in."""
        path = Path("/proc/sys/net", name)
        try:
            with self:
                path.write_text(str(value))
        except OSError as error:
            raise NamespaceError(
                f"cannot set {path} to {value}: {error.strerror}; /proc/sys must be writable"
            ) from error

    def start(self, *command: str, log: Path, **options: Any) -> "subprocess.Popen[bytes]":
        """Starts a command here, its standard error in `log`. It ends with this node, and with this process."""
        with self, log.open("ab") as errors:
            options = {"stdin": subprocess.DEVNULL, "stdout": errors, "stderr": errors, **options}
            process = subprocess.Popen(command, preexec_fn=_die_with_parent, **options)  # noqa: PLW1509 (no threads here)
        self._processes.append(process)
        return process

    def udp(self, address: str = "", port: int = 0) -> socket.socket:
        """A UDP socket bound in this namespace."""
        with self:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, port))
        return made

    def tcp(self) -> socket.socket:
        """A TCP socket of this namespace."""
        with self:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def raw(self) -> socket.socket:
        """A socket that sends whole IPv4 packets, so that the source address is the caller's choice."""
        with self:
            return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def watch(self, interface: str = "") -> socket.socket:
        """A socket that sees what passes an interface (or all of them) both ways: see `frames`."""
        with self:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        if interface:
            made.bind((interface, _ETH_P_ALL))
        return made


def frames(watched: socket.socket) -> tuple[list[bytes], list[bytes]]:
    """The IPv4 packets that a socket of `Node.watch` has seen since the last call: (sent by its machine, heard)."""
    sent: list[bytes] = []
    heard: list[bytes] = []
    watched.setblocking(False)
    while True:
        try:
            packet, (_, protocol, kind, *_) = watched.recvfrom(_PACKET_MAX)
        except BlockingIOError:
            return sent, heard
        except OSError as error:
            if error.errno != errno.ENETDOWN:  # told once when the interface goes down; it goes on when that is up
                raise
            continue
        if protocol == _ETH_P_IP:
            (sent if kind == _PACKET_OUTGOING else heard).append(packet)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks a process to end, and makes it if it will not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def link(near: Node, near_name: str, far: Node, far_name: str) -> None:
    """A cable between two nodes, both ends up."""
    far_namespace = f"/proc/{os.getpid()}/fd/{far._namespace}"
    near.ip(f"link add {near_name} type veth peer name {far_name} netns {far_namespace}")
    near.ip(f"link set {near_name} up")
    far.ip(f"link set {far_name} up")


def wait_until(true: Callable[[], object], what: str, seconds: float = 10, evidence: Callable[[], str] = str) -> None:
    """Calls `true` until it is. Raises AssertionError naming what did not happen, with the `evidence` there is."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{evidence()}")
        time.sleep(0.02)
