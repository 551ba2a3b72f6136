"""The basestation against the reference device: recorded answers of the real C device are accepted, and given the
recorded random numbers the basestation's own packets are the recorded ones, octet for octet.

What the recorded peer sent and our basestation never does is left out: requests without FP or without a client id to
a device that takes both, deliberately bad ones, and its own numbering of U_ALIVE.
"""

import pytest
import vector_files
from gsp_peers import Inventory, drain, make_rng, opened
from homeport.basestation.controller import Controller
from homeport.basestation.events import (
    AttachFailed,
    AttachFailure,
    Connected,
    ConnectRefused,
    DeviceAttached,
    DeviceEvent,
    InviteRefused,
    Refusal,
)
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import ControllerSettings, GspSettings
from homeport.wire import endpoint, parse_address
from homeport_core.payloads import parse_fp, parse_id, parse_ipx
from homeport_core.spec import (
    FL_RESPONSE,
    IPX_NAT_MASK,
    IPX_NO_RENDEZVOUS,
    KEY_MATERIAL_LEN,
    LOCAL_NSI_MAX,
    PL_CP_ID,
    PL_FP,
    PL_IPX,
    PL_NONCE,
    PT_PROBE,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
)

CONTROLLER = ("127.0.0.1", 5566)
GSP = ("127.0.0.1", 5562)
ATTACHES = (
    "secure_attach", "keepalive", "connect_rpc_relayed", "connect_rendezvous_rpc_direct", "connect_refused_by_acl",
    "nsi_clash", "oversize_datagram", "piggyback_events", "push", "reattach_after_gsp_silence",
    "rendezvous_client_symmetric", "retransmissions", "stream_echo", "stream_handshake", "tunnel_echo_100k",
)  # fmt: skip
CONNECTS = (
    "connect_rpc_relayed", "connect_rendezvous_rpc_direct", "connect_refused_by_acl", "oversize_datagram",
    "piggyback_events", "rendezvous_client_symmetric", "retransmissions", "stream_echo", "stream_handshake",
)  # fmt: skip


class Datagram:
    """One recorded datagram between the device and the recorded peer's controller or GSP."""

    def __init__(self, entry):
        self.data = bytes.fromhex(entry["hex"])
        self.packet = opened(self.data)
        self.at_ms = int(entry["t"] * 1000)
        self.from_device = entry["dir"] == "d2p"
        self.device = parse_address(entry["src"] if self.from_device else entry["dst"])
        self.peer = parse_address(entry["dst"] if self.from_device else entry["src"])
        self.plaintext = next(
            (bytes.fromhex(p.get("plain", "")) for p in entry["decoded"]["payloads"] if p["p"] == "CRYPTO"), b""
        )

    @property
    def iv(self):
        start = self.packet.crypto_off + 2
        return bytes(self.packet.buf[start : start + 16])


class Recorded:
    """A capture, and a GSP that draws the recorded random numbers."""

    def __init__(self, name):
        capture = vector_files.capture(name)
        self.device_id = capture["device_id"].encode()
        self.inventory = Inventory()
        self.inventory.provision(self.device_id, bytes.fromhex(capture["psk"] or "00" * 16))
        self.datagrams = [Datagram(entry) for entry in capture["datagrams"] if _is_packet(entry)]
        self.numbers = []
        self.gsp = Gsp(GspSettings(), self.inventory, self._rng)
        self.compared = 0
        self.events = []

    def _rng(self, n):
        number = self.numbers.pop(0)
        assert len(number) == n
        return number

    def replay(self):
        """Feed the device's packets and compare ours with the recorded peer's; returns self."""
        invite = None
        sent = set()
        for datagram in self.datagrams:
            if datagram.from_device and datagram.peer == GSP:
                if datagram.packet.type == PT_U_INVITE:
                    invite = datagram
                else:
                    self.gsp.datagram(datagram.at_ms, datagram.data, datagram.device)
                    self.events += drain(self.gsp)
            elif datagram.packet.type == PT_U_ATTACH and invite is not None:
                self._compare_attach(invite, datagram)
                invite = None
            elif _is_ours(datagram) and datagram.data not in sent:
                sent.add(datagram.data)
                self._compare_connect(datagram)
        return self

    def _compare_attach(self, invite, expected):
        packet = expected.packet
        self.numbers = [packet.sp, packet.get(PL_NONCE), expected.plaintext[32:], expected.iv]
        assert self.gsp.datagram(invite.at_ms, invite.data, invite.device) == ((expected.data, expected.device),)
        self.compared += 1

    def _compare_connect(self, expected):
        packet = expected.packet
        ipx = parse_ipx(packet.get(PL_IPX))
        self.numbers = [ipx.sp, expected.plaintext, packet.seq.to_bytes(2, "big"), expected.iv]
        request = ConnectRequest(
            self.device_id,
            parse_fp(packet.get(PL_FP)),
            parse_id(packet.get(PL_CP_ID))[1].decode(),
            ipx.private,
            ipx.global_,
            ipx.flags & IPX_NAT_MASK,
            not ipx.flags & IPX_NO_RENDEZVOUS,
        )
        self.gsp.connect(expected.at_ms, request)
        out = self.gsp.timeout(expected.at_ms + 100)
        assert (expected.data, expected.device) in out
        self.compared += 1


def _is_packet(entry):
    """Whether it is a packet over UDP, and neither a remark nor the legacy protocol."""
    return entry.get("via") == "udp" and "payloads" in entry.get("decoded", {})


def _is_ours(datagram):
    """Whether it is a U_CONNECT of the kind that our GSP sends."""
    packet = datagram.packet
    return (
        not datagram.from_device
        and packet.type == PT_U_CONNECT
        and packet.first == PL_IPX
        and packet.get(PL_CP_ID) is not None
        and packet.get(PL_FP) is not None
        and len(datagram.plaintext) == KEY_MATERIAL_LEN
        and packet.n <= 272
        and int.from_bytes(parse_ipx(packet.get(PL_IPX)).sp, "big") > LOCAL_NSI_MAX
    )


def outcomes(recorded, kind):
    return [event for event in recorded.events if isinstance(event, kind)]


@pytest.mark.parametrize("name", ATTACHES)
def test_u_attach_is_the_recorded_one_and_the_reference_devices_answer_is_accepted(name):
    recorded = Recorded(name).replay()
    assert recorded.compared >= 1
    attached = outcomes(recorded, DeviceAttached)
    assert attached
    assert attached[0].stack_version == "4.6.0-alpha.0"
    assert recorded.gsp.attached == 1
    assert recorded.gsp.counters.drop_auth == 0


@pytest.mark.parametrize("name", CONNECTS)
def test_u_connect_is_the_recorded_one_and_the_reference_devices_answer_is_understood(name):
    recorded = Recorded(name).replay()
    answers = outcomes(recorded, Connected) + outcomes(recorded, ConnectRefused)
    assert len(answers) == recorded.gsp.counters.connects >= 1


def test_the_key_of_a_recorded_attach_is_the_one_both_sides_derived():
    recorded = Recorded("secure_attach").replay()
    expected = vector_files.capture("secure_attach")["secrets"]["key96_connectC"]
    assert recorded.gsp.attachment(recorded.device_id).key.hex() == expected


def test_a_refusal_by_access_control_is_passed_on():
    assert 0x8004 in [event.code for event in outcomes(Recorded("connect_refused_by_acl").replay(), ConnectRefused)]


def test_a_reference_device_without_free_slots_is_busy():
    assert 0x8009 in [event.code for event in outcomes(Recorded("retransmissions").replay(), ConnectRefused)]


def test_a_reattach_of_the_reference_device_replaces_its_registration():
    first, second = outcomes(Recorded("reattach_after_gsp_silence").replay(), DeviceAttached)
    assert first.previous is None
    assert second.previous == first.address


def test_the_reference_devices_keep_alive_answers_and_polls_are_recognised():
    recorded = Recorded("keepalive").replay()
    assert recorded.gsp.counters.alive_answers == 3
    assert recorded.gsp.counters.alive_polls == 1


def test_event_data_of_the_reference_device_is_reported():
    recorded = Recorded("piggyback_events")
    recorded.replay()
    answers = [d for d in recorded.datagrams if d.from_device and d.packet.type == PT_U_ALIVE and d.packet.n > 24]
    attachment = recorded.gsp.attachment(recorded.device_id)
    reported = []
    for answer in answers:
        attachment.seq = answer.packet.seq
        attachment.answered = False
        recorded.gsp.datagram(answer.at_ms, answer.data, answer.device)
        reported += [event.data for event in drain(recorded.gsp) if isinstance(event, DeviceEvent)]
    assert reported == [answer.packet.get(0x3C)[4:] for answer in answers] != []


@pytest.mark.parametrize("name", ATTACHES)
def test_the_controllers_answer_is_the_recorded_one(name):
    recorded = Recorded(name)
    invites = [d for d in recorded.datagrams if d.packet.type == PT_U_INVITE and d.peer == CONTROLLER]
    for invite, expected in zip(invites[0::2], invites[1::2]):
        advertised = parse_ipx(expected.packet.get(PL_IPX)).private
        controller = Controller(ControllerSettings((advertised,)), recorded.inventory)
        assert controller.datagram(0, invite.data, invite.device) == ((expected.data, invite.device),)
        assert advertised == endpoint(GSP)


def test_a_wrong_key_shows_in_the_devices_report_and_in_its_repeated_invite():
    recorded = Recorded("attach_wrong_key")
    controller = Controller(ControllerSettings((endpoint(GSP),)), recorded.inventory)
    for datagram in recorded.datagrams:
        if datagram.from_device and datagram.packet.type == PT_STATS:
            controller.datagram(datagram.at_ms, datagram.data, datagram.device)
    (event,) = drain(controller)
    assert (event.device_id, event.reason, event.status) == (recorded.device_id, AttachFailure.REPORTED, 9)

    invite = next(d for d in recorded.datagrams if d.packet.type == PT_U_INVITE and d.peer == GSP)
    recorded.numbers = [b"\x01\x02\x03\x04", bytes(32), bytes(32), bytes(16)]
    answers = {recorded.gsp.datagram(at_ms, invite.data, invite.device) for at_ms in (0, 4_000, 12_000)}
    assert len(answers) == 1
    (event,) = drain(recorded.gsp)
    assert isinstance(event, AttachFailed)
    assert event.reason is AttachFailure.UNANSWERED


def test_the_reference_devices_insecure_attach_is_refused_in_silence_with_a_reason():
    recorded = Recorded("attach_plain_8byte_nonce")
    invites = [d for d in recorded.datagrams if d.packet.type == PT_U_INVITE and d.from_device and d.peer == GSP]
    assert invites
    for invite in invites:
        assert not recorded.gsp.datagram(invite.at_ms, invite.data, invite.device)
    event = drain(recorded.gsp)[0]
    assert isinstance(event, InviteRefused)
    assert event.reason is Refusal.INSECURE


def test_nothing_recorded_makes_the_machines_raise_or_answer_a_response():
    for name in vector_files.CAPTURES:
        recorded = Recorded(name)
        recorded.gsp = Gsp(GspSettings(), recorded.inventory, make_rng())
        controller = Controller(ControllerSettings((endpoint(GSP),)), recorded.inventory)
        for datagram in recorded.datagrams:
            for machine in (recorded.gsp, controller):
                out = machine.datagram(datagram.at_ms, datagram.data, datagram.device)
                assert not (out and datagram.packet.flags & FL_RESPONSE and datagram.packet.type != PT_PROBE)
