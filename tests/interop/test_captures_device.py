"""Our device against the reference device: played what the recorded peers sent and given the recorded random numbers,
it answers with the recorded octets, wherever the specification does not tell a careful device to differ.

Every difference is in DIFFERENCES, with its reason; anything else, one octet or one packet, fails. Left out are the
insecure attach, which we do not offer (row 21), and push, which the stack has no part in. Recordings of streams are
played as far as they are whole; `test_stream_captures` plays all of them against the stream machine.
"""

import pytest
from capture_replay import ABSENT, AGAIN, OTHER, Entry, Replay
from homeport_core import ticks
from homeport_core.rpc import UINT8, UINT32
from homeport_core.spec import AER_ACCEPTED, AER_READY, PT_DATA
from homeport_device.device import ANYONE
from homeport_device.device_config import DeviceConfig
from homeport_device.stream_device import StreamDevice
from vector_files import load

# (capture, datagram, what we do, why)
DIFFERENCES = (
    ("local_discovery", 1, OTHER, "row 14: no stray octets between the texts"),
    ("local_discovery", 3, OTHER, "row 14: no stray octets between the texts"),
    ("genvexnabto_client", 1, OTHER, "row 14: no stray octets between the texts"),
    ("connect_refused_by_acl", 11, ABSENT, "core 5.5: no rendezvous packets where the client wants none"),
    ("connect_refused_by_acl", 12, ABSENT, "core 5.5: no rendezvous packets where the client wants none"),
    ("oversize_datagram", 8, ABSENT, "core 5.5: no rendezvous packets where the client wants none"),
    ("oversize_datagram", 9, ABSENT, "core 5.5: no rendezvous packets where the client wants none"),
    ("retransmissions", 14, ABSENT, "row 1: a replayed request is not acknowledged as a new one"),
    ("retransmissions", 15, AGAIN, "row 1: nor run again; the first answer is sent again as it was"),
    ("retransmissions", 16, OTHER, "row 1: so there are fewer packets to report"),
    ("nsi_clash", 10, ABSENT, "row 22: local connections are not reported"),
    *(
        (capture, index, ABSENT, "core 5.5: no rendezvous packets where the client wants none")
        for capture in ("stream_handshake", "stream_echo", "tcp_fallback")
        for index in (7, 8)
    ),
    ("tunnel_echo_100k", 21, OTHER, "streams 7.1 row 7: the window is told as it is once the line was read"),
    ("tcp_fallback", 19, OTHER, "streams 7.1 row 7: the window is told as it is once the line was read"),
    ("stream_handshake", 16, ABSENT, "streams 7.3: the acknowledgment rides on the answer"),
    ("stream_handshake", 23, OTHER, "streams 2.3: data in the handshake's last packet is taken, and answered at once"),
    ("stream_handshake", 24, OTHER, "streams 3.5: so that when it comes again it is only acknowledged"),
    ("stream_echo", 10, OTHER, "the connection is reported as soon as it is open: it is a millisecond younger"),
    *(
        ("stream_echo", index, ABSENT, "streams 7.3: the acknowledgment rides on what comes back")
        for index in (14, 22, 25, 28, 31, 34)
    ),
    *(
        ("stream_echo", index, OTHER, "streams 7.1 row 7: the window is told as it is once the echo has read")
        for index in (23, 26, 29, 32, 35)
    ),
    ("stream_echo", 38, ABSENT, "streams 7.3: the acknowledgment rides on our FIN"),
    ("stream_echo", 42, OTHER, "streams 4: there were fewer packets to report"),
    ("stream_echo", 46, ABSENT, "streams 5.2: no such service is an end without an octet"),
    ("stream_echo", 47, OTHER, "streams 5.2: no such service is an end without an octet"),
    ("stream_echo", 50, OTHER, "streams 3.3: the window behind a FIN, which told none"),
    ("stream_echo", 51, OTHER, "streams 1.7: an RST is well formed"),
)
# (capture, packets the reference does not send, why)
EXTRA = (
    ("oversize_datagram", 1, "row 4: key material of a wrong size is refused, where the reference ends"),
    ("tunnel_echo_100k", 6, "acknowledgments of the last packets before the part left out, where the reference's are"),
    ("tcp_fallback", 8, "likewise"),
)

FINGERPRINT = bytes.fromhex("fd7cb72d697daca558d63ac7cc32c9ba")
KEY = bytes(range(16))
REFERENCE = {
    "version": (4, 6, 0),
    "version_label": "-alpha.0",
    "connection_statistics": True,
    "controllers": (b"\x7f\x00\x00\x01\x15\xbe",),
    "local_port": 15570,
    "tcp_fallback": False,
}


class Recorded(StreamDevice):
    """An application of the recorded device's kind; asynchronous handlers finish when the recording needs it."""

    def __init__(self, tmp_path, device_id="dev1.u.example.org", key=KEY, settings=None, **arguments):
        config = DeviceConfig(device_id, key, **{**REFERENCE, "state_dir": str(tmp_path), **(settings or {})})
        super().__init__(config, **arguments)
        self.acl.load()
        self.accepted = []

    def busy(self):
        return bool(self.accepted)

    def finish(self, now_ms):
        for request, payload in self.accepted:
            request.complete(now_ms, AER_READY, payload)
        self.accepted = []

    def dropped(self, request):
        """Nothing to cancel."""


def light(tmp_path, settings=None):
    """pc_demo: one lamp, no access control."""
    settings = {"connections": 4, "local_psk": False, **(settings or {})}
    device = Recorded(tmp_path, settings=settings, admit=lambda _: True)
    state = [0]

    @device.query(1, "light_write.json", (("light_id", UINT8), ("light_on", UINT8)), (("light_state", UINT8),), ANYONE)
    def light_write(request, light_id, light_on):
        state[0] = light_on
        return state[0]

    @device.query(2, "light_read.json", (("light_id", UINT8),), (("light_state", UINT8),), ANYONE)
    def light_read(request, light_id):
        return state[0]

    return device


def weather(tmp_path):
    """weather_station: its second query is asynchronous."""
    device = Recorded(tmp_path, settings={"local_psk": False}, admit=lambda _: True)
    answer = device.request

    @device.query(1, "house_temperature.json", (("sensor_id", UINT32),), (("temperature", UINT32),), ANYONE)
    def house_temperature(request, sensor_id):
        device.stack.publish_event(b"1:L:37\nEOM\n")
        return 37

    def request(request, reader, writer):
        if request.query_id != 2:
            return answer(request, reader, writer)
        device.accepted.append((request, bytes(4)))
        return AER_ACCEPTED

    device.request = request
    return device


def tunnel(tmp_path, paired=False, **settings):
    """unabto_tunnel: the access control list and the common queries."""
    device = Recorded(
        tmp_path,
        settings={"client_names": False, "tcp_fallback": True, "legacy_local": True, **settings},
        name="Tunnel",
        type="uNabto Video",
        icon="chip.png",
        interface=("8eee78e7-8f22-4019-8cee-4dcbc1c8186c", 1, 0),
        permissions=(0xE0000000, 0xC0000000, 0xE0000000),
    )
    if paired:
        device.acl.add(FINGERPRINT, b"alice")
    return device


def stream_echo(tmp_path):
    """The stand-alone echo of streams."""
    streams = {"streams": 100, "streams_per_client": 100, "stream_segment": 1247, "stream_window": 16}
    settings = {"local_psk": False, "client_names": False, "tcp_fallback": True, **streams}
    device = Recorded(tmp_path, settings=settings, admit=lambda _: True)
    device.echo(ANYONE)
    return device


def tunnel_echo(tmp_path):
    """unabto_tunnel with tunnels, to all ports."""
    streams = {"streams": 16, "streams_per_client": 16, "stream_segment": 1247, "stream_window": 100}
    device = tunnel(tmp_path, True, **streams)
    device.tunnel("*")
    return device


def tunnel_with_psk(tmp_path):
    device = tunnel(tmp_path, True, label_secret=bytes(16), reference_psk=True)
    device.connection_allowed = lambda connection: True  # the reference does not ask for PSK connections
    device.acl.set_psk(device.acl.find(FINGERPRINT), bytes(range(0x10, 0x20)), KEY)
    return device


def ventilation(tmp_path):
    """A ventilation unit's look-alike, that knows the recorded answers only."""
    settings = {"local_port": 5570, "local_psk": False}
    device = Recorded(tmp_path, "123456.remote.lscontrol.dk", b"", settings, admit=lambda _: True)
    answers = [Entry(i, record) for i, record in enumerate(load("captures/genvexnabto_client.json")["datagrams"])]
    answers = [entry for entry in answers if entry.from_device and entry.packet and entry.packet.type == PT_DATA]

    def request(request, reader, writer):
        answer = next(entry for entry in answers if entry.packet.seq == request.seq)
        answers.remove(answer)
        for octet in answer.plaintext():
            writer.write_number(UINT8, octet)
        return AER_READY

    device.request = request
    return device


SCENARIOS = {
    "secure_attach": light,
    "keepalive": light,
    "attach_wrong_key": light,
    "invite_schedule": light,
    "connect_rpc_relayed": light,
    "connect_rendezvous_rpc_direct": light,
    "connect_refused_by_acl": lambda path: tunnel(path, True),
    "piggyback_events": weather,
    "local_connect_rpc_pairing": tunnel,
    "local_discovery": tunnel,
    "legacy_rpc": lambda path: light(path, {"legacy_rpc": True}),
    "local_psk": tunnel_with_psk,
    "local_edge_cases": light,
    "retransmissions": light,
    "reattach_after_gsp_silence": light,
    "rendezvous_client_symmetric": lambda path: tunnel(path, True),
    "nsi_clash": light,
    "stream_handshake": stream_echo,
    "stream_echo": stream_echo,
    "tunnel_echo_100k": tunnel_echo,
    "tcp_fallback": tunnel_echo,
    "genvexnabto_client": ventilation,
    "oversize_datagram": lambda path: light(path, {"packet_max": 272}),
}


def text(value):
    return value.hex() if isinstance(value, (bytes, bytearray)) else str(value)


@pytest.mark.parametrize("start_ms", (1000, ticks.PERIOD - 30), ids=("", "wrapping"))
@pytest.mark.parametrize("name", SCENARIOS)
def test_answers_as_the_reference(name, start_ms, tmp_path):
    differences = {index: what for capture, index, what, _ in DIFFERENCES if capture == name}
    extra = sum(count for capture, count, _ in EXTRA if capture == name)
    device = SCENARIOS[name](tmp_path)
    found = Replay(name, device.config, device, differences, start_ms).run()
    unexpected = [entry for entry in found if entry[0] != "extra"]
    assert not unexpected, "\n".join(" | ".join(text(value) for value in entry) for entry in unexpected)
    assert len(found) == extra, found
