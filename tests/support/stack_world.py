"""A world whose device is a real stack: our client's session against our device, in virtual time."""

from device_bench import CONTROLLER, Bench
from homeport.client.session.paths import PathKind
from homeport_core import ticks
from homeport_core.spec import ENDPOINT_ZERO, IPX_CP_ASYNC, IPX_NO_RENDEZVOUS, PT_DATA
from homeport_device.output import LOCAL, REMOTE
from session_world import CLIENT, DEVICE_GLOBAL, DEVICE_LOCAL, GSP, KEY_ID, NSI, PSK, World


class StackWorld(World):
    """A World whose device is a real stack, registered at GSP."""

    def __init__(self, start_ms=1_000, **network):
        super().__init__(**network)
        self.bench = Bench(start_ms=start_ms, local_psk=True)
        self.bench.app.keys[KEY_ID] = (PSK, None)
        self.bench.attach()
        self._bench_ms = self.bench.now_ms - self.now
        self.endpoints = {DEVICE_LOCAL, DEVICE_GLOBAL}

    def introduce_both(self, *kinds):
        """The GSP's part and the client's."""
        flags = IPX_CP_ASYNC | (0 if PathKind.DIRECT in kinds else IPX_NO_RENDEZVOUS)
        assert self.bench.introduce(flags=flags, private=ENDPOINT_ZERO, global_=CLIENT, nsi=NSI) == 1
        self._collect_device()
        self.introduce(*kinds, private=ENDPOINT_ZERO)

    def device_deadline(self):
        deadline = self.bench.stack.deadline_ms
        return None if deadline is None else self.now + max(0, ticks.diff(deadline, self._ticks()))

    def device_timeout(self):
        self.bench.now_ms = self._ticks()
        self.bench.stack.timeout(self.bench.now_ms)
        self._collect_device()

    def _ticks(self):
        return ticks.add(self._bench_ms, self.now)

    def _arrive(self, to, data, source):
        if to not in self.endpoints:
            super()._arrive(to, data, source)
            return
        self._give(LOCAL if to == DEVICE_LOCAL else REMOTE, data, source)

    def _relay(self, data, source):
        if source == CLIENT and self.relay_works:
            self._give(REMOTE, data, GSP)

    def _give(self, sock, data, source):
        self.bench.now_ms = self._ticks()
        self.bench.stack.datagram(self.bench.now_ms, sock, data, source)
        self._collect_device()

    def _collect_device(self):
        for sock, endpoint, data in self.bench.port.take():
            source = DEVICE_LOCAL if sock == LOCAL else DEVICE_GLOBAL
            if endpoint == GSP and data[8] == PT_DATA:
                self.post(data, GSP, CLIENT)
            elif endpoint not in (GSP, CONTROLLER):
                self.post(data, source, endpoint)
