"""A stream costs a bounded time and memory, whatever its peer does or does not do: slots come back."""

import gc
import math

import pytest
from homeport_core.errors import FullError
from homeport_core.stream import ABORTED, CLOSED, Stream
from stream_ends import Writer
from stream_frames import SYN, Block, Frame, Wire
from stream_pairs import OURS, REFERENCE, Pair, data, echo, links, our_end, reference_end

SLOTS = 4
# Limits in ms (streams 2.5, 2.8 and the FIN gate of 2.5).
OPEN_MS = 13_500
SILENT_DATA_MS = 145_000
FIN_MS = 10_000 + 14_000
TOMBSTONE_MS = 33_000
SHORT_STREAMS, BATCH = 10_000, 4


def quiet(pair, *names):
    """From now on nothing leaves these ends."""
    for name in names or ("left", "right"):
        pair.world.links[name].outages = [(pair.world.now_ms, math.inf)]


def loud(pair):
    """The network works again."""
    for link in pair.world.links.values():
        link.outages = []


def forget(pair):
    """No application does anything any more, and all streams are released."""
    pair.world.applications = {"left": [], "right": []}
    for end in (pair.left, pair.right):
        for stream in list(end.changes):
            stream.release()
        end.changes.clear()
    for name in ("left", "right"):
        pair.world.settle(name)


def assert_all_slots_free(pair):
    """As many streams as there are slots can be opened at both ends, at the same time."""
    loud(pair)
    pair.world.applications = {"left": [], "right": []}
    sides = [pair.connect() for _ in range(SLOTS)]
    assert len({left.stream.tag for left, _ in sides}) == SLOTS


def pair_of_ours(**network):
    return Pair(our_end(True, streams=SLOTS), our_end(False, 2, streams=SLOTS), *links(1, delay_ms=20, **network))


def test_an_open_that_nobody_answers_fails_in_time():
    pair = pair_of_ours()
    quiet(pair)
    sides = [pair.open() for _ in range(SLOTS)]
    pair.world.until(lambda: all(side.is_over for side in sides), OPEN_MS)
    assert pair.world.links["left"].datagrams == 13 * SLOTS
    assert all(pair.left.changes[side.stream] & ABORTED and side.stream.reason for side in sides)
    forget(pair)
    assert pair.left.streams.deadline_ms is None
    assert_all_slots_free(pair)


def test_a_half_open_stream_whose_initiator_is_gone_is_forgotten_in_time():
    pair = pair_of_ours()
    quiet(pair, "right")
    sides = [pair.open() for _ in range(SLOTS)]
    pair.world.run(100)
    quiet(pair)
    for side in sides:
        side.stream.release()
    pair.world.settle("left")
    pair.world.run(OPEN_MS)
    assert not pair.right.opened
    assert_all_slots_free(pair)


def test_data_that_nobody_acknowledges_aborts_the_stream_in_time():
    pair = pair_of_ours()
    sides = [pair.connect() for _ in range(SLOTS)]
    for left, right in sides:
        pair.use("left", Writer(left, data(10_000), close=False))
        pair.use("right", Writer(right, data(10_000), close=False))
    quiet(pair)
    pair.world.settle("left")
    pair.world.until(lambda: all(side.is_over for pair_ in sides for side in pair_), SILENT_DATA_MS)
    assert all(side.end.changes[side.stream] & ABORTED for pair_ in sides for side in pair_)
    forget(pair)
    assert_all_slots_free(pair)


@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
def test_a_close_that_nobody_answers_ends_in_time(unread):
    pair = pair_of_ours()
    sides = [pair.connect() for _ in range(SLOTS)]
    for left, _ in sides:
        left.write(pair.world.now_ms, b"octets that the peer acknowledges and does not read" if unread else b"")
    pair.world.settle("left")
    pair.world.run(1_000)
    quiet(pair)
    for left, _ in sides:
        left.close(pair.world.now_ms)
    pair.world.settle("left")
    pair.world.until(lambda: all(left.is_over for left, _ in sides), FIN_MS)
    forget(pair)
    pair.world.run(TOMBSTONE_MS)
    assert_all_slots_free(pair)


def test_last_words_that_nobody_answers_end_in_time():
    pair = pair_of_ours()
    sides = [pair.connect() for _ in range(SLOTS)]
    for left, _ in sides:
        left.close(pair.world.now_ms)
    pair.world.settle("left")
    pair.world.run(1_000)
    assert all(right.at_eof for _, right in sides)
    quiet(pair)
    for _, right in sides:
        right.close(pair.world.now_ms)
    pair.world.settle("right")
    pair.world.until(lambda: all(right.is_over for _, right in sides), FIN_MS)
    forget(pair)
    pair.world.run(SILENT_DATA_MS)
    assert_all_slots_free(pair)


def test_a_stream_that_its_user_closed_and_released_ends_although_the_peer_never_closes():
    pair = pair_of_ours()
    sides = [pair.connect() for _ in range(SLOTS)]
    for left, _ in sides:
        left.close(pair.world.now_ms)
    pair.world.settle("left")
    pair.world.run(1_000)
    quiet(pair)
    for left, _ in sides:
        left.stream.release()
    pair.world.settle("left")
    pair.world.run(SILENT_DATA_MS)
    assert pair.left.streams.deadline_ms is None
    forget(pair)
    pair.world.run(SILENT_DATA_MS)
    assert_all_slots_free(pair)


def test_a_stream_that_is_released_while_open_is_reset():
    pair = pair_of_ours()
    sides = [pair.connect() for _ in range(SLOTS)]
    for left, _ in sides:
        left.stream.release()
    pair.world.settle("left")
    pair.world.run(100)
    assert all(pair.right.changes[right.stream] & ABORTED for _, right in sides)
    forget(pair)
    assert_all_slots_free(pair)


def test_tombstones_take_no_slots():
    pair = pair_of_ours()
    for _ in range(3 * SLOTS):
        left, right = pair.connect()
        readers = pair.exchange(left, right, b"a", b"b")
        pair.world.until(lambda right=right, readers=readers: right.is_over and readers[1].is_complete, 1_000)
        left.stream.release()
        right.stream.release()
        for name in ("left", "right"):
            pair.world.settle(name)
    assert pair.world.now_ms < 3_000


def test_one_stream_too_many_is_refused_here():
    pair = pair_of_ours()
    for _ in range(SLOTS):
        pair.open()
    with pytest.raises(FullError):
        pair.open()


@pytest.mark.parametrize("kind", [OURS, REFERENCE])
def test_one_stream_too_many_for_the_peer_fails_at_once(kind):
    right = our_end(False, 2, streams=SLOTS) if kind == OURS else reference_end(streams=SLOTS)
    pair = Pair(our_end(True, streams=SLOTS + 1), right, *links(1, delay_ms=20))
    for _ in range(SLOTS):
        pair.connect()
    side = pair.open()
    pair.world.run(100)
    assert pair.left.changes[side.stream] & ABORTED
    assert side.stream.reason


def test_a_reference_without_buffers_fails_the_open_at_once():
    right = reference_end(4)
    right.peer.pool = 4
    pair = Pair(our_end(True), right, *links(1, delay_ms=20))
    pair.connect()
    side = pair.open()
    pair.world.run(100)
    assert pair.left.changes[side.stream] & ABORTED


def test_admission_is_asked_for_each_stream_of_the_peer():
    asked = []

    def admit():
        asked.append(True)
        return len(asked) <= 2

    pair = Pair(our_end(True), our_end(False, 2, admit=admit), *links(1, delay_ms=20))
    pair.connect()
    pair.connect()
    side = pair.open()
    pair.world.run(100)
    assert pair.left.changes[side.stream] & ABORTED
    assert len(pair.accepted) == 2


def test_syns_without_end_take_no_more_than_the_slots():
    end = our_end(False, streams=SLOTS)
    wire = Wire()
    answers = []
    for number in range(2_000):
        tag = 0x1000 + number % 0x1000
        end.take(number, wire.encode(Frame(tag, SYN, 1 + number, 0, 10, 0, block=Block())))
        answers += [wire.decode(datagram) for datagram in end.datagrams(number)]
    accepted = {answer.tag for answer in answers if answer.flags == 0x90}
    assert len(accepted) == SLOTS
    resets = [answer for answer in answers if answer.flags & 0x20]
    assert 1 <= len(resets) <= 40, "resets are limited in rate"


def test_ten_thousand_short_streams_leave_nothing_behind():
    pair = Pair(our_end(True, streams=BATCH), our_end(False, 2, streams=BATCH), *links(1, delay_ms=2, loss=0.01))
    pair.world.watch = None
    echo(pair)
    content = b"GET / HTTP/1.0\n"
    for _ in range(SHORT_STREAMS // BATCH):
        sides = [pair.open() for _ in range(BATCH)]
        for side in sides:
            pair.use("left", Writer(side, content))
        pair.world.until(lambda sides=sides: all(side.is_over for side in sides + pair.accepted), 60_000)
        assert len(pair.accepted) == BATCH
        for end, used in ((pair.left, sides), (pair.right, pair.accepted)):
            for side in used:
                assert end.changes.pop(side.stream) & (CLOSED | ABORTED) == CLOSED
                assert end is pair.right or side.read(0) == content
                side.stream.release()
            end.opened.clear()
        pair.accepted.clear()
        pair.world.applications = {"left": [], "right": []}
        for name in ("left", "right"):
            pair.world.settle(name)
        pair.world.run(100)
    del sides, side, used
    pair.world.run(60_000)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Stream)]
    assert pair.left.streams.deadline_ms is None and pair.right.streams.deadline_ms is None
