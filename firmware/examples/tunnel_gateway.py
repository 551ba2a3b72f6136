"""A gateway: clients reach TCP ports of this machine, and of others that it is told (specification, application 4.3).

It offers the echo stream too, and the serial line that it is told of.
"""

import sys

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
        elif not value.isdigit() or not 0 < int(value) <= 65535:
            refuse("--allow-port must be 1 to 65535, not " + value)
        elif self.ports != ALL:
            self.ports.append(int(value))


def refuse(reason):
    """End as every command does that was called wrongly."""
    print("error:", reason)
    sys.exit(2)


def make():
    """The device of this process's command line."""
    allowed = Allowed()
    if "--help" in sys.argv or "-h" in sys.argv:
        print(HELP, end="")
    else:
        allowed.take_options(sys.argv)
    gateway = StreamDevice(load_config(SETTINGS), name="Tunnel", type="Homeport tunnel gateway")
    if allowed.ports:
        gateway.tunnel(allowed.ports, allowed.hosts)
    if allowed.uart:
        gateway.uart(allowed.uart)
    gateway.echo()
    return gateway


device = make()

if __name__ == "__main__":
    device.run()
