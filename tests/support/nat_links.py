"""NATs in virtual time, and a world in which a client and a device stand behind one each."""

from homeport.client.session.events import SearchWanted
from homeport.client.session.paths import PathKind
from homeport_core.spec import ENDPOINT_ZERO, IPX_CP_ASYNC, NAT_SYMMETRIC, NAT_UNKNOWN, PT_DATA
from homeport_device.output import REMOTE
from session_world import CLIENT, DEVICE_PRIVATE, GSP, NSI
from stack_world import StackWorld

CLIENT_PUBLIC = bytes((203, 0, 113, 20))
DEVICE_PUBLIC = bytes((198, 51, 100, 5))
KEEP_ALIVE_LEN = 72  # the datagram that binds a client's relay address
PORT_MIN = 1024


class SimNat:
    """A NAT. `filtering` says who may send to a mapping: anyone, an address or an endpoint that was sent to.

    A symmetric one has a random port for each destination, others one for all. A mapping lives for `lifetime_ms`
    after the last packet from inside.
    """

    def __init__(self, address, filtering="endpoint", symmetric=False, rng=None, ports=0x10000 - PORT_MIN):
        self.address = address
        self.filtering = filtering
        self.symmetric = symmetric
        self.lifetime_ms = 120_000
        self._rng = rng
        self._ports = ports
        self._mappings = {}  # key -> [port, inner, sent to, last used]
        self._by_port = {}

    @property
    def nat_type(self):
        """As in an IPX."""
        return NAT_SYMMETRIC if self.symmetric else NAT_UNKNOWN

    def forget(self):
        """As a router that was switched off and on."""
        self._mappings.clear()
        self._by_port.clear()

    def out(self, now, inner, to):
        """The public endpoint that a packet from inside gets."""
        key = (inner, to) if self.symmetric else inner
        mapping = self._mappings.get(key)
        if mapping is None or now - mapping[3] > self.lifetime_ms:
            port = self._free_port() if self.symmetric else int.from_bytes(inner[4:])
            mapping = self._mappings[key] = self._by_port[port] = [port, inner, set(), now]
        mapping[2].add(to)
        mapping[3] = now
        return self.address + mapping[0].to_bytes(2)

    def into(self, now, port, source):
        """Where a packet from outside goes; None for one that is dropped."""
        mapping = self._by_port.get(port)
        if mapping is None or now - mapping[3] > self.lifetime_ms:
            return None
        known = mapping[2] if self.filtering == "endpoint" else {to[:4] for to in mapping[2]}
        who = source if self.filtering == "endpoint" else source[:4]
        return mapping[1] if self.filtering == "anyone" or who in known else None

    def _free_port(self):
        while True:
            port = PORT_MIN + self._rng.randrange(self._ports)
            if port not in self._by_port:
                return port


class NatWorld(StackWorld):
    """Client and device behind NATs; a GSP that relays as ours does, and an adapter that searches when asked."""

    def __init__(self, client_nat, device_nat, **network):
        super().__init__(**network)
        self.client_nat, self.device_nat = client_nat, device_nat
        client_nat._rng = device_nat._rng = self.random
        self._inner = {}  # a device's endpoint inside -> its socket
        self.bound = None
        device = self._endpoint_of(REMOTE)
        self.device_seen_as = device_nat.out(self.now, device, GSP)
        self.bench.stack.attach.nat_type = device_nat.nat_type
        self.bench.stack.attach.seen_as = self.device_seen_as

    def introduce_both(self, *kinds):
        public = self.client_nat.out(self.now, CLIENT, GSP)
        flags = IPX_CP_ASYNC | self.client_nat.nat_type
        assert self.bench.introduce(flags=flags, private=ENDPOINT_ZERO, global_=public, nsi=NSI) == 1
        self._collect_device()
        kinds = kinds or (PathKind.DIRECT, PathKind.RELAY)
        self.introduce(*kinds, private=ENDPOINT_ZERO, global_=self.device_seen_as, nat=self.device_nat.nat_type)

    def post(self, data, source, to):
        if source == CLIENT:
            source = self.client_nat.out(self.now, source, to)
        elif source in self._inner:
            source = self.device_nat.out(self.now, source, to)
        super().post(data, source, to)

    def _arrive(self, to, data, source):
        if to == GSP:
            self._pass_on(data, source)
        elif to[:4] == self.client_nat.address:
            if self.client_nat.into(self.now, int.from_bytes(to[4:]), source) is not None:
                self.session.datagram(self.now, data, source)
        elif to[:4] == self.device_nat.address:
            inner = self.device_nat.into(self.now, int.from_bytes(to[4:]), source)
            if inner is not None:
                self._give(self._inner[inner], data, source)

    def _pass_on(self, data, source):
        """The GSP: a keep-alive moves the client's end of the relay."""
        if not self.relay_works or data[8] != PT_DATA:
            return
        if source == self.device_seen_as:
            if self.bound is not None:
                self.post(data, GSP, self.bound)
            return
        if len(data) == KEEP_ALIVE_LEN:
            self.bound = source
        if source == self.bound:
            self.post(data, GSP, self.device_seen_as)

    def _collect_device(self):
        for sock, endpoint, data in self.bench.port.take():
            self.post(data, self._endpoint_of(sock), endpoint)

    def _collect(self):
        before = len(self.events)
        super()._collect()
        if any(isinstance(event, SearchWanted) for event in self.events[before:]):
            public = self.client_nat.out(self.now, CLIENT, GSP)
            self.session.search(self.now, CLIENT, public, self.client_nat.nat_type)
            super()._collect()

    def _endpoint_of(self, sock):
        port = int.from_bytes(DEVICE_PRIVATE[4:]) + sock
        endpoint = DEVICE_PRIVATE[:4] + port.to_bytes(2)
        self._inner[endpoint] = sock
        return endpoint
