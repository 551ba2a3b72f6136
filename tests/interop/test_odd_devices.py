"""Our basestation opposite a device whose packets are unusual, but legal: octets that nobody reads, payloads that
nobody knows, another order."""

import pytest
from gsp_peers import FINGERPRINT, Device, drain, make_gsp, opened
from homeport.basestation.controller import Controller
from homeport.basestation.events import Connected, DeviceEvent
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.settings import ControllerSettings
from homeport.wire import endpoint
from homeport_core.crypto import key_material
from homeport_core.payloads import (
    build_capability,
    build_id,
    build_ipx,
    build_notify,
    build_piggy,
    build_version,
    parse_ipx,
)
from homeport_core.spec import (
    DESCR_APPLICATION,
    FL_RESPONSE,
    ID_URL,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_DESCR,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_PIGGY,
    PL_SP_ID,
    PL_VERSION,
    PLF_OPTIONAL,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    SUITE_AES,
    SUITE_NULL,
)
from scripted_world import build

ODD = {"version": 0, "retrans": 5, "cp": b"\x00\x00\x00\x63"}
UNKNOWN = (0x7E, b"?")
UNKNOWN_OPTIONAL = (0x7D, b"", PLF_OPTIONAL)
OLD_VERSION = (PL_VERSION, build_version(5, 3, 2), PLF_OPTIONAL)
NOTIFY = (PL_NOTIFY, build_notify(NOTIFY_OK), PLF_OPTIONAL)


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def gsp(device):
    return make_gsp(device.device_id)[0]


def sp_id(device):
    return PL_SP_ID, build_id(ID_URL, device.device_id), PLF_OPTIONAL


def attach(gsp, device):
    """Payloads backwards, each with a flag, others between them; returns the first alive request."""
    payloads = [
        sp_id(device),
        UNKNOWN,
        (PL_CAPABILITY, build_capability(0, 0, (SUITE_NULL, SUITE_AES)), PLF_OPTIONAL),
        (PL_DESCR, build_id(DESCR_APPLICATION, b"")),
        (PL_NONCE, device.nonce, PLF_OPTIONAL),
        OLD_VERSION,
    ]
    ((packet, _),) = gsp.datagram(0, build(PT_U_INVITE, payloads, seq=77, **ODD), device.address)
    request = opened(packet)
    nonce, seed, own = request.get(PL_NONCE), device.context().open(request)[32:], bytes(range(32))
    device.nsi = request.sp
    device.key = key_material(nonce + device.nonce, seed + own)
    payloads = [
        UNKNOWN,
        NOTIFY,
        (PL_IPX, build_ipx(bytes(6), endpoint(device.address), 0x87, bytes(4), bytes(8), bytes(4)), PLF_OPTIONAL),
        (PL_CAPABILITY, build_capability(device.capabilities, 0xB3C, (SUITE_AES,)), PLF_OPTIONAL),
        UNKNOWN_OPTIONAL,
    ]
    answer = build(
        PT_U_ATTACH, payloads, device.context(), nonce + own, sp=request.sp, flags=FL_RESPONSE, seq=4711, **ODD
    )
    ((alive, _),) = gsp.datagram(0, answer, device.address)
    return opened(alive)


def test_the_controller_answers_it(device, gsp):
    inventory = make_gsp(device.device_id)[1]
    controller = Controller(ControllerSettings((endpoint(("192.0.2.1", 5565)),)), inventory)
    invite = build(PT_U_INVITE, [UNKNOWN_OPTIONAL, sp_id(device), OLD_VERSION], seq=9, **ODD)
    ((answer, to),) = controller.datagram(0, invite, device.address)
    packet = opened(answer)
    assert (to, packet.flags, packet.sp, packet.seq) == (device.address, FL_RESPONSE, bytes(4), 9)
    assert parse_ipx(packet.get(PL_IPX)).global_ == endpoint(device.address)


def test_it_attaches(device, gsp):
    assert attach(gsp, device).sp == device.nsi
    attachment = gsp.attachment(device.device_id)
    assert (attachment.key, attachment.nat_type, attachment.takes_fingerprint) == (device.key, 7, True)


def test_its_alive_answer_counts_and_its_event_is_taken(device, gsp):
    alive = attach(gsp, device)
    drain(gsp)
    payloads = [UNKNOWN, (PL_PIGGY, build_piggy(b"event"), PLF_OPTIONAL), NOTIFY]
    answer = build(PT_U_ALIVE, payloads, sp=device.nsi, flags=FL_RESPONSE, seq=alive.seq, **ODD)
    gsp.datagram(10, answer, device.address)
    assert drain(gsp) == [DeviceEvent(device.device_id, b"event")]
    assert gsp.attachment(device.device_id).answered


def test_it_is_introduced(device, gsp):
    attach(gsp, device)
    drain(gsp)
    gsp.connect(20, ConnectRequest(device.device_id, FINGERPRINT, "me"))
    ((packet, _),) = [sent for sent in gsp.timeout(gsp.deadline_ms) if sent[0][8] == PT_U_CONNECT]
    request = opened(packet)
    nsi = parse_ipx(request.get(PL_IPX)).sp
    payloads = [
        UNKNOWN,
        (PL_CAPABILITY, build_capability(0, 0)),
        (PL_NOTIFY, build_notify(NOTIFY_OK, nsi), PLF_OPTIONAL),
    ]
    answer = build(PT_U_CONNECT, payloads, sp=request.sp, flags=FL_RESPONSE, seq=request.seq, **ODD)
    gsp.datagram(30, answer, device.address)
    (event,) = drain(gsp)
    assert isinstance(event, Connected)
    assert (event.nsi, event.device_private) == (nsi, bytes(6))
