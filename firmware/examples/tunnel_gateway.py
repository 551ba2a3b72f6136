"""A gateway: clients reach TCP ports of this machine, and of others that it is told (specification, application 4.3).

It offers the echo stream too, and the serial line that it is told of. A board is told by the file tunnels.json beside
the application: {"ports": [80, 443], "hosts": ["192.168.1.10", "nas.lan"]}, "*" in place of a list for all.
"""

import json
import sys

from homeport_core.errors import ConfigError
from homeport_device import log
from homeport_device.hardware import is_board
from homeport_device.stream_device import StreamDevice, load_config

HELP = """tunnels:
  --allow-port N           clients may reach this TCP port (may be repeated)
  --allow-all-ports        they may reach every port
  --allow-host HOST        besides this machine, 127.0.0.1, this one: address or name (may be repeated)
  --allow-all-hosts        every host
  --uart-device FILE       they may use this serial line
"""
ALL = "*"
# A browser keeps six connections open to each host.
SETTINGS = {"streams": 32, "streams_per_client": 16, "connections": 16}
# What the smallest boards have room for; provisioning may set more.
BOARD_SETTINGS = {"streams": 2, "streams_per_client": 2, "connections": 2, "stream_window": 2}
FILE = "tunnels.json"
FILE_MAX = 2048
PORT_MAX = 65535


class Allowed:
    """What clients may reach."""

    def __init__(self):
        self.ports = []
        self.hosts = ["127.0.0.1"]
        self.uart = ""

    def take_options(self, arguments):
        """Take this application's options out of `arguments`, which keeps the others."""
        rest = []
        while arguments:
            word = arguments.pop(0)
            if word == "--allow-all-ports":
                self.ports = ALL
            elif word == "--allow-all-hosts":
                self.hosts = ALL
            elif word in ("--allow-port", "--allow-host", "--uart-device"):
                if not arguments:
                    refuse("option " + word + " needs a value")
                self.add(word, arguments.pop(0))
            else:
                rest.append(word)
        arguments.extend(rest)
        if not self.ports and not self.uart and "--interface" not in arguments:
            refuse("nothing to reach: --allow-port N, --allow-all-ports or --uart-device FILE")

    def add(self, word, value):
        """One option with its value."""
        if word == "--uart-device":
            self.uart = value
        elif word == "--allow-host":
            if self.hosts != ALL:
                self.hosts.append(value)
        elif not value.isdigit() or not 0 < int(value) <= PORT_MAX:
            refuse("--allow-port must be 1 to %d, not %s" % (PORT_MAX, value))
        elif self.ports != ALL:
            self.ports.append(int(value))

    def read(self, path):
        """Take what the file says, all of it or nothing. Raises ConfigError."""
        try:
            with open(path) as file:
                wanted = json.loads(file.read(FILE_MAX))
        except (OSError, ValueError) as error:
            raise ConfigError("%s cannot be read: %s" % (path, log.printable(error)))
        if not isinstance(wanted, dict) or not wanted or not all(name in ("ports", "hosts") for name in wanted):
            raise ConfigError(path + ' must be an object of "ports" and "hosts"')
        ports, hosts = wanted.get("ports", []), wanted.get("hosts", [])
        if not is_list(ports, lambda port: type(port) is int and 0 < port <= PORT_MAX) or not ports:
            raise ConfigError('%s: ports must be a list of numbers from 1 to %d, or "*"' % (path, PORT_MAX))
        if not is_list(hosts, lambda host: isinstance(host, str) and host):
            raise ConfigError(path + ': hosts must be a list of addresses and names, or "*"')
        self.ports = ports
        self.hosts = hosts if hosts == ALL else self.hosts + hosts


def is_list(value, is_good):
    """Whether it is "*" or a list of nothing but good values."""
    return value == ALL or isinstance(value, list) and all(is_good(one) for one in value)


def refuse(reason):
    """End as every command does that was called wrongly."""
    print("error:", reason)
    sys.exit(2)


def of_command_line():
    """What this process's options allow."""
    allowed = Allowed()
    if "--help" in sys.argv or "-h" in sys.argv:
        print(HELP, end="")
    else:
        allowed.take_options(sys.argv)
    return allowed


def of_file(path=FILE):
    """What a board's file allows. A board without a good one lives, reaches nothing, and says so."""
    allowed = Allowed()
    try:
        allowed.read(path)
    except ConfigError as error:
        log.event(log.FAULT, "no tunnels:", error)
    return allowed


def make():
    """The device of this process or board."""
    allowed = of_file() if is_board() else of_command_line()
    settings = BOARD_SETTINGS if is_board() else SETTINGS
    gateway = StreamDevice(load_config(settings), name="Tunnel", type="Homeport tunnel gateway")
    if allowed.ports:
        gateway.tunnel(allowed.ports, allowed.hosts)
    if allowed.uart:
        gateway.uart(allowed.uart)
    gateway.echo()
    return gateway


device = make()

if __name__ == "__main__":
    device.run()
