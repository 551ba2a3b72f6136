"""Streams end in every order, ours with ours and with the reference in both roles, and no end loses data by it."""

import pytest
from homeport_core.stream import ABORTED, CLOSED
from reference_stream_states import State
from stream_ends import OurSide, Reader, Writer
from stream_pairs import OURS, REFERENCE, ROLES, Pair, data, links

FORTH, BACK = data(30_000, 1), data(20_000, 2)
PLENTY = data(5_000_000, 3)
ORDERS = ("left first", "right first", "both at once")
LOSSES = (0.0, 0.2)


class After(Writer):
    """Writes and closes when `condition(side)` is true for the first time."""

    def __init__(self, side, octets, condition):
        super().__init__(side, octets)
        self.condition, self.started = condition, False

    def __call__(self, now_ms):
        self.started = self.started or self.condition(self.side)
        if self.started:
            super().__call__(now_ms)


def ended(side):
    return side.at_eof


def at_once(side):
    return True


def run(pair, left, right, forth, back, left_when=at_once, right_when=at_once):
    readers = Reader(right, forth), Reader(left, back)
    pair.use("right", readers[0], After(right, back, right_when))
    pair.use("left", readers[1], After(left, forth, left_when))
    pair.finish(readers)
    assert_clean(pair)


def assert_clean(pair):
    for end in (pair.left, pair.right):
        for stream, changes in getattr(end, "changes", {}).items():
            assert changes & CLOSED and not changes & ABORTED, (changes, stream.reason)
            assert stream.reason == ""


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_ends_in_any_order_without_loss_of_data(roles, order, loss):
    for seed in range(3):
        pair = Pair(*roles, *links(seed, delay_ms=20, loss=loss))
        left, right = pair.connect()
        run(
            pair, left, right, FORTH, BACK,
            ended if order == "right first" else at_once,
            ended if order == "left first" else at_once,
        )  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_a_stream_without_data_ends(roles, loss):
    for seed in range(3):
        pair = Pair(*roles, *links(seed, delay_ms=20, loss=loss))
        left, right = pair.connect()
        run(pair, left, right, b"", b"")


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_one_direction_goes_on_long_after_the_other_closed(roles):
    pair = Pair(*roles, *links(1, delay_ms=20, loss=0.02))
    left, right = pair.connect()
    run(pair, left, right, FORTH, data(300_000), right_when=ended)
    pair = Pair(*roles, *links(2, delay_ms=20, loss=0.02))
    left, right = pair.connect()
    run(pair, left, right, data(300_000), BACK, left_when=ended)


@pytest.mark.parametrize("right", [OURS, REFERENCE])
def test_what_is_written_before_the_stream_is_open_arrives(right):
    pair = Pair(OURS, right, *links(1, delay_ms=20, loss=0.1))
    side = pair.open()
    writer = Writer(side, FORTH)
    pair.use("left", writer)
    pair.world.until(lambda: pair.accepted)
    reader = Reader(pair.accepted[0], FORTH)
    pair.use("right", reader)
    pair.world.until(lambda: reader.is_complete)


@pytest.mark.parametrize("right", [OURS, REFERENCE])
def test_a_stream_that_is_closed_before_it_is_open_ends_and_leaves_no_slot_taken(right):
    """Silence or a finished handshake: a FIN in the handshake leaks a slot of the reference (streams 7.1)."""
    pair = Pair(OURS, right, *links(1, delay_ms=20))
    side = pair.open()
    side.close(pair.world.now_ms)
    pair.world.settle("left")
    pair.world.run(40_000)
    assert side.is_over
    if right == REFERENCE:
        assert not pair.right.peer.lost_slots


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_what_was_received_is_read_after_the_stream_closed(roles):
    pair = Pair(*roles, *links(1, delay_ms=20))
    left, right = pair.connect()
    late, early = (right, left) if isinstance(right, OurSide) else (left, right)
    sender, receiver = ("left", "right") if early is left else ("right", "left")
    content = data(3_000)
    pair.use(sender, Writer(early, content))
    pair.use(receiver, late.close)
    pair.world.run(60_000)
    assert pair.world.ends[receiver].changes[late.stream] & CLOSED
    reader = Reader(late, content)
    pair.use(receiver, reader)
    assert reader.is_complete


def test_the_reference_acknowledges_our_fin_because_we_waited_until_it_had_read():
    pair = Pair(OURS, REFERENCE, *links(1, delay_ms=20))
    left, right = pair.connect()
    pair.use("left", Writer(left, FORTH))
    reader = Reader(right, FORTH, grant=0)
    pair.use("right", reader)
    for _ in range(40):
        reader.grant += 1_247
        pair.world.settle("right")
        pair.world.run(100)
    assert reader.is_complete
    assert right.stream.top == right.stream.fin + 1, "its FIN was never acknowledged"


def test_a_lost_last_ack_is_repeated_from_time_wait():
    pair = Pair(there=links(1, delay_ms=20)[0], back=links(2, delay_ms=20)[0])
    left, right = pair.connect()
    pair.use("left", Writer(left, b""))
    pair.world.run(500)
    pair.world.links["left"].outages = [(pair.world.now_ms, pair.world.now_ms + 1_500)]
    pair.use("right", Writer(right, b""))
    pair.world.run(4_000)
    assert right.is_over
    assert_clean(pair)


def test_an_abort_is_told_to_the_other_side_with_its_reason():
    for aborting in ("left", "right"):
        pair = Pair(*(OURS, OURS), *links(1, delay_ms=20))
        left, right = pair.connect()
        readers = pair.exchange(left, right, PLENTY, PLENTY)
        pair.world.run(300)
        actor, other = (left, right) if aborting == "left" else (right, left)
        pair.world.applications = {"left": [], "right": []}
        actor.stream.abort(actor.end.ticks(pair.world.now_ms))
        pair.world.settle(aborting)
        pair.world.run(200)
        for side in (actor, other):
            assert side.end.changes[side.stream] & ABORTED
            assert side.stream.reason
        assert readers[0].at < len(PLENTY)


def test_the_loss_of_the_connection_ends_all_streams_without_a_packet():
    pair = Pair(*(OURS, OURS), *links(1, delay_ms=20))
    sides = [pair.connect() for _ in range(3)]
    sent = pair.world.links["left"].datagrams
    pair.left.streams.fail_all()
    pair.world.settle("left")
    assert pair.world.links["left"].datagrams == sent
    for left, _ in sides:
        assert pair.left.changes[left.stream] & ABORTED and left.stream.reason
    assert pair.left.streams.deadline_ms is None


def test_the_close_of_the_connection_resets_all_streams():
    pair = Pair(*(OURS, OURS), *links(1, delay_ms=20))
    sides = [pair.connect() for _ in range(3)]
    pair.left.streams.reset_all(pair.left.ticks(pair.world.now_ms))
    pair.world.settle("left")
    pair.world.run(100)
    for left, right in sides:
        assert pair.left.changes[left.stream] & ABORTED
        assert pair.right.changes[right.stream] & ABORTED


def test_a_fin_is_acknowledged_although_data_before_it_is_unread():
    pair = Pair(REFERENCE, OURS, *links(1, delay_ms=20))
    left, right = pair.connect()
    pair.use("left", Writer(left, FORTH))
    pair.world.run(2_000)
    assert right.stream.readable == len(FORTH)
    assert left.stream.state is State.FIN_WAIT_2
