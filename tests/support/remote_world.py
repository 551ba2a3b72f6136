"""One installation for tests of the client library: a basestation, a device, a profile, and the ports of everything."""

from homeport.client import Client, Interface, Profile, sync
from homeport.client.queries.builtin import BUILTIN
from processes import KEY, Ports, answer, device, homeport


class World:
    """`app` is the example application that the device runs, `options` are its own."""

    def __init__(self, path, app="heat_pump", *options):
        self.path = path
        self.app = app
        self.options = options
        self.ports = Ports()
        self.root = path / "base"
        self.pin = answer("basestation", "init", self.root)["pin"]
        answer("device", "add", "demo", "--dir", self.root, "--key", KEY)
        self.profile = Profile.create(path / "home", "me", basestation=f"127.0.0.1:{self.ports.gate}", pin=self.pin)
        xml = homeport("interface", app).stdout.encode()
        self.interface = Interface.parse(xml).extended_by(BUILTIN)
        self.local = f"demo@127.0.0.1:{self.ports.local}"

    def client(self, profile=None):
        """A client that looks for devices at this world's local port only."""
        return Client(profile or self.profile, search=[("127.0.0.1", self.ports.local)])

    def device(self, until="attached"):
        """The device."""
        return device(self.ports, self.path / "state", *self.options, app=self.app, until=until)

    def pair(self):
        """Make the profile the device's owner."""
        with sync.Client(self.profile) as client, client.connect(self.local) as found:
            assert found.pair("me").is_owner
