"""Fuzz target of the basestation's machines: whatever arrives, they neither raise nor lose what they hold, and send
no more than they got."""

from gsp_peers import FINGERPRINT, Client, Device, attach, drain, exchange, make_gsp
from homeport.basestation.controller import Controller
from homeport.basestation.events import Connected
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.settings import ControllerSettings
from homeport_core.spec import PT_U_INVITE

STRANGER = ("192.0.2.66", 666)
_U_ATTACH_LEN = 180


def basestation(data: bytes) -> None:
    """The octets as they are, and with the names of a real attachment and session, from everyone there is."""
    gsp, controller, device, client = _world()
    names = (data[4:8], device.nsi, client.nsi)
    for n, name in enumerate(names):
        packet = (data[:4] + name + data[8:14] + len(data).to_bytes(2, "big") + data[16:])[: len(data)] if n else data
        for source in (device.address, client.address, STRANGER):
            _feed(gsp, controller, packet, source)
    attachment = gsp.attachment(device.device_id)
    if attachment is None or attachment.nsi != device.nsi or attachment.address != device.address:
        raise AssertionError("the registration changed")
    gsp.timeout(1_000_000)
    drain(gsp)
    drain(controller)


def _feed(gsp, controller, packet, source) -> None:
    for machine in (gsp, controller):
        sent = sum(len(out) for out, _ in machine.datagram(2_000, packet, source))
        allowed = _U_ATTACH_LEN if packet[8:9] == bytes((PT_U_INVITE,)) else len(packet)
        if sent > allowed:
            raise AssertionError(f"{sent} octets sent for {len(packet)} received")


def _world():
    """A GSP with one device attached and one session relayed, a controller, and the two peers."""
    device = Device()
    gsp, inventory = make_gsp(device.device_id)
    exchange(gsp, device, attach(gsp, device))
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(0))
    connected = next(event for event in drain(gsp) if isinstance(event, Connected))
    client = Client(connected.nsi, connected.key_material)
    gsp.datagram(0, client.keep_alive(), client.address)
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    gsp.timeout(0)
    return gsp, Controller(ControllerSettings((bytes(6),)), inventory), device, client
