"""Our streams in the place of each end of the recorded ones, packet by packet: each recorded packet is understood, the
recorded octets are delivered, and what we answer is what the recorded end answered, but for the differences listed.
"""

import pytest
from homeport_core.stream import ABORTED
from homeport_core.stream_states import CLOSED, ESTABLISHED, TIME_WAIT
from stream_ends import OurEnd
from stream_frames import ACK, RST
from stream_pairs import our_end
from stream_replay import Replay, conversation, data_of, described

DEVICE, CLIENT = False, True
BARE = "the recorded client was made to acknowledge 31, to see what comes of it"
FEWER = "we acknowledge with the data that follows, or only what is new"
LATER = "the recording is stretched in time, so that we send a segment again that the recorded device acknowledged late"
GATE = "our FIN waits until the device says by its window that it has read all"

# (capture, tag, our part): recorded packets that we do not send, why, and how many of ours the recording has not
STREAMS = {
    ("stream_handshake", 0x1001, DEVICE): ((), "", 0),
    ("stream_handshake", 0x1001, CLIENT): ((12,), BARE, 2),
    ("stream_handshake", 0x1002, DEVICE): ((), "", 1),
    ("stream_handshake", 0x1002, CLIENT): ((), "", 2),
    ("stream_handshake", 0x1003, DEVICE): ((29, 30, 31, 34, 35, 36, 39, 40, 41, 43), FEWER, 0),
    ("stream_handshake", 0x1003, CLIENT): ((), "", 5),
    ("stream_echo", 0x1000, DEVICE): ((25, 28, 31, 34), FEWER, 4),
    ("stream_echo", 0x1000, CLIENT): ((37, 40), GATE, 4),
    ("stream_echo", 0x1001, DEVICE): ((), "", 0),
    ("stream_echo", 0x1001, CLIENT): ((), "", 2),
    ("tunnel_echo_100k", 0x1000, DEVICE): ((39,), FEWER, 3),
    ("tunnel_echo_100k", 0x1000, CLIENT): ((29, 30), LATER, 2),
}
# Those that the recording follows to their end.
ENDED = {("stream_handshake", 0x1003), ("stream_echo", 0x1000), ("tunnel_echo_100k", 0x1000)}


def name_of(key):
    return "%s-%x-%s" % (key[0], key[1], "client" if key[2] else "device")


@pytest.mark.parametrize("key", STREAMS, ids=name_of)
def test_a_recorded_stream_is_understood_and_answered_as_recorded(key):
    name, tag, as_client = key
    differences, _, extra = STREAMS[key]
    packets = conversation(name, tag)
    replay = Replay(packets, as_client, differences)
    unexpected = replay.run()
    assert not unexpected, [(what, index, described(frame)) for what, index, frame, *_ in unexpected]
    assert replay.received == data_of(packets, as_client)
    assert len(replay.extra) <= extra, [described(frame) for frame in replay.extra]
    assert replay.stream.reason == ""


@pytest.mark.parametrize("key", [key for key in STREAMS if key[:2] in ENDED], ids=name_of)
def test_a_recorded_stream_ends_cleanly(key):
    name, tag, as_client = key
    replay = Replay(conversation(name, tag), as_client)
    replay.run()
    replay.finish()
    assert replay.stream.at_eof
    assert replay.stream.state in (TIME_WAIT, CLOSED), replay.stream.state
    assert not replay.end.changes[replay.stream] & ABORTED


def test_the_recorded_answer_to_the_wrong_acknowledgment_is_ours_too():
    packets = [packet for packet in conversation("stream_handshake", 0x1001) if packet.index <= 13]
    replay = Replay(packets, DEVICE)
    assert not replay.run()
    assert replay.stream is None, "opened by ack 31"


def test_the_recorded_malformed_reset_ends_our_stream():
    """As if we had had such a stream: its ids are those of our packet."""
    (reset,) = [packet.frame for packet in conversation("stream_echo", 0x1002) if packet.from_device]
    assert reset.malformed and reset.flags == RST
    packets = conversation("stream_echo", 0x1001)[:3]
    replay = Replay(packets, CLIENT)
    replay.run()
    stream = replay.stream
    assert stream.state == ESTABLISHED
    ours = reset._replace(tag=stream.tag, initiator=stream.initiator_id, responder=stream.responder_id)
    replay.end.take(replay.now_ms, replay.wire.encode(ours))
    assert replay.end.changes[stream] & ABORTED and stream.reason


def test_our_reset_of_an_unknown_stream_is_the_recorded_one_well_formed():
    stray, recorded = (packet.frame for packet in conversation("stream_echo", 0x1002))
    end = our_end(False)
    assert isinstance(end, OurEnd)
    wire = Replay(conversation("stream_echo", 0x1001), DEVICE).wire
    end.take(0, wire.encode(stray))
    (answer,) = [wire.decode(datagram) for datagram in end.datagrams(0)]
    assert answer == recorded._replace(malformed=False)
    assert stray.flags == ACK
