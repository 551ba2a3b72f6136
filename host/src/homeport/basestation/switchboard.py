"""The gate's view of the session server, when both run in one process."""

from __future__ import annotations

import asyncio
import socket

from homeport_core.spec import ENDPOINT_ZERO, NSI_LEN

from homeport.basestation.carrier import Carrier
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.udp import UdpEndpoint, monotonic_ms
from homeport.gate_messages import Connect
from homeport.wire import endpoint

_ANYWHERE = "192.0.2.1"  # an address on the internet, of no host
_ANY_PORT = 9  # no packet is sent there: a UDP socket is only asked which address it would send from


class GspSwitchboard:
    """Implements `gate.Switchboard`. `public` is the session server's endpoint, `controller` the controller's, which
    answers probes too; address 0.0.0.0: see `reached_at`."""

    def __init__(self, gsp: Gsp, udp: UdpEndpoint, public: bytes, controller: bytes) -> None:
        self._gsp = gsp
        self._udp = udp
        self._public = public
        self._controller = controller

    def relay_endpoint(self, reached: str) -> bytes:
        """The session server's endpoint for a client that reached us at `reached`."""
        return fill_address(self._public, _ipv4_of(reached))

    def second_probe_endpoint(self, reached: str) -> bytes:
        """The controller's endpoint for such a client."""
        return fill_address(self._controller, _ipv4_of(reached))

    def add_probe(self, probe_id: bytes, key_material: bytes) -> None:
        """Answer probes of this id."""
        self._gsp.add_probe(probe_id, key_material)

    def remove_probe(self, probe_id: bytes) -> None:
        """Answer them no longer."""
        self._gsp.remove_probe(probe_id)

    def introduce(self, fingerprint: bytes, probe_id: bytes, request: Connect) -> int:
        """Ask the device; returns the connect id of the answer, which never comes before this returns."""
        public = None if request.probe is None else self._gsp.probed(probe_id, request.probe)
        connect = ConnectRequest(
            device_id=request.device.encode(),
            fingerprint=fingerprint,
            client_id=request.client_id,
            private=request.private or ENDPOINT_ZERO,
            global_=public or ENDPOINT_ZERO,
            nat_type=request.nat_type,
            rendezvous=request.rendezvous,
            tcp=request.tcp,
        )
        connect_id = self._gsp.connect(monotonic_ms(), connect)
        self._wake_soon()
        return connect_id

    def hang_up(self, nsi: bytes) -> None:
        """Forget a connection."""
        self._gsp.disconnect(nsi)
        self._wake_soon()

    def carry(self, carrier: Carrier, fingerprint: bytes, data: bytes) -> bool:
        """Take a DATA datagram of that client, if its NSI is of a connection that the client made."""
        if not self._gsp.is_of(data[NSI_LEN : 2 * NSI_LEN], fingerprint):
            return False
        self._udp.receive(data, carrier)
        return True

    def carrier_lost(self, carrier: Carrier) -> None:
        """A client's link has ended: nothing is relayed to it until it is bound again."""
        self._gsp.carrier_lost(monotonic_ms(), carrier)
        self._wake_soon()

    def in_use(self, carrier: Carrier) -> bool:
        """Whether an attachment or a session depends on a connection."""
        return self._gsp.in_use(carrier)

    def _wake_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._udp.wake)


def _ipv4_of(reached: str) -> str:
    """For a client that reached us over IPv6: the IPv4 address of this machine that the internet would see, if any."""
    if ":" not in reached:
        return reached
    return "127.0.0.1" if reached == "::1" else reached_at(_ANYWHERE)


def fill_address(public: bytes, address: str) -> bytes:
    """`public`, with `address` in place of 0.0.0.0."""
    return public if any(public[:4]) else endpoint((address, public[4] << 8 | public[5]))


def reached_at(peer: str) -> str:
    """The address of this machine that talks to IPv4 address `peer`: what to call ourselves towards it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, _ANY_PORT))
        except OSError:
            return "0.0.0.0"
        return str(probe.getsockname()[0])
