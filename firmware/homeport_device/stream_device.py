"""A device that offers services on streams: tunnels, the serial line, the echo, and an application's own.

    device = StreamDevice(load_config())
    device.tunnel(ports=(22, 80))

    @device.service("log")
    async def send_log(stream, arguments):
        for line in lines:
            await stream.write(line)

Apart from `Device`, so that devices without streams need no memory for any of it.
"""

from homeport_device.device import ANYONE, GUEST, OWNER, Device, load_config
from homeport_device.services import Services

__all__ = ["ANYONE", "GUEST", "OWNER", "StreamDevice", "load_config"]


class StreamDevice(Device):
    """As `Device`. A service is for paired users unless `allow` says otherwise, as with queries."""

    def __init__(self, config: object, **arguments: object) -> None:
        super().__init__(config, **arguments)
        self.services = Services(self)

    def tunnel(self, ports: object, hosts: object = ("127.0.0.1",), allow: int = GUEST, reset: bool = False) -> None:
        """Let clients reach these TCP ports of these hosts (addresses and names; "*" for all).

        `reset` tells of a failed connect by RST, where the reference closes the stream. Raises ConfigError for
        lists that allow nothing.
        """
        from homeport_device.tunnel import TunnelService

        self.services.add(b"tunnel", TunnelService(hosts, ports, allow, self.config.stream_segment, reset))

    def echo(self, allow: int = GUEST) -> None:
        """Offer the echo stream, for trying the way."""
        from homeport_device.echo import EchoService

        self.services.add(b"echo", EchoService(allow))

    def uart(self, path: str, allow: int = GUEST) -> None:
        """Offer the serial line at `path`, 115200 8N1, to one client at a time."""
        from homeport_device.uart import UartService

        self.services.add(b"uart", UartService(path, allow))

    def service(self, name: str, allow: int = GUEST) -> object:
        """Declare the decorated async function as a service of this name: see `own_service.OwnStream`."""
        from homeport_device.own_service import OwnService

        def declare(handler: object) -> object:
            self.services.add(name.encode(), OwnService(name, allow, handler))
            return handler

        return declare

    def service_allowed(self, connection: object, allow: int) -> bool:
        """Whether the client may use a service."""
        return allow == ANYONE or self.acl.tunnel_allowed(connection, allow)

    def _make_stack(self) -> object:
        stack = super()._make_stack()
        self.services.start(stack)
        return stack
