"""Whether a serial port can be used, and if not, why: said in one line before anything is done with it."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from homeport.boards.tools import tool
from homeport.errors import ConfigError
from homeport.wire import printable

_NAME_MAX = 60
NO_PORTS = (
    "there is no serial port on this machine: is the cable a data cable, and the board plugged in? "
    "boards with a CP210x or CH340 chip need its driver on Windows and macOS"
)


def port_names() -> list[str]:
    """The serial ports of USB devices that there are now."""
    ports = tool("serial.tools.list_ports").comports()
    return sorted(port.device for port in ports if port.vid is not None or sys.platform == "win32")


def is_address(port: str) -> bool:
    """Whether it is no local port but something like socket://HOST:PORT."""
    return "://" in port


def choose_port(port: str | None) -> str:
    """The port to use: `port`, checked, or the only one there is. Raises ConfigError."""
    if port is None:
        names = port_names()
        if len(names) == 1:
            return names[0]
        raise ConfigError(f"say which port with --port: there are {', '.join(names)}" if names else NO_PORTS)
    check_port(port)
    return port


def check_port(port: str) -> None:
    """Raise ConfigError when there is no such port, it may not be opened, or another process has it open."""
    if is_address(port):
        return
    if sys.platform == "win32":  # there a port is no file, and who opens it keeps it for himself
        if port.upper() not in port_names():
            raise ConfigError(_no_port(port))
        return
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(_why_not(port, error)) from None
    try:
        if not os.isatty(handle):
            raise ConfigError(f"{port} is no serial port")
        is_locked = not _lock(handle)
    finally:
        os.close(handle)
    holder = find_holder(port)
    if is_locked or holder is not None:
        raise ConfigError(f"port {port} is in use by {holder or 'another process'}: end that first")


def find_holder(port: str, processes: Path = Path("/proc")) -> str | None:
    """Another process that has the port open, as its name and number; None where there is none, or it is not to be
    seen: not on this system, or another user's."""
    device = os.path.realpath(port)
    for process in processes.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(link) == device for link in (process / "fd").iterdir()):
                name = (process / "comm").read_bytes().decode("utf-8", "replace").strip()
                return f"{printable(name, _NAME_MAX)} (process {process.name})"
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look into
    return None


def _lock(handle: int) -> bool:
    """Whether nobody has locked it, as programs do that want a port for themselves."""
    import fcntl  # not on Windows

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _no_port(port: str) -> str:
    names = port_names()
    return f"there is no port {port}: " + (f"there are {', '.join(names)}" if names else NO_PORTS)


def _why_not(port: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return _no_port(port)
    if error.errno in (errno.EACCES, errno.EPERM):
        group = _group(port)
        hint = f": 'sudo usermod -aG {group} $USER', then log in again" if group else ""
        return f"no permission to use {port}{hint}"
    if error.errno == errno.EBUSY:
        return f"port {port} is in use by another process: end that first"
    return f"cannot open {port}: {error.strerror}"


def _group(port: str) -> str | None:
    try:
        return Path(port).group()
    except (OSError, KeyError):
        return None
