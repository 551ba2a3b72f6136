"""Slow readers: the window closes, opens again even when the packet that says so is lost, and memory stays bounded."""

import pytest
from stream_ends import OurSide, Reader, Writer
from stream_pairs import OURS, ROLES, Pair, data, links, our_end, reference_end

WINDOW = 8
SEGMENT = 1247


def pair_of(roles, seed=1, **network):
    """Small windows, so that they close soon."""
    limits = {"receive_window": WINDOW, "send_window": WINDOW}
    left = our_end(True, **limits) if roles[0] == OURS else reference_end(WINDOW)
    right = our_end(False, **limits) if roles[1] == OURS else reference_end(WINDOW)
    return Pair(left, right, *links(seed, delay_ms=20, **network))


def slowly(pair, reader, period_ms, octets):
    """The right application is allowed some octets again and again."""

    def more():
        reader.grant += octets
        return not reader.is_complete

    pair.world.every(period_ms, "right", more)


def started(pair, content):
    """A transfer to the right, whose reader has read nothing yet."""
    left, right = pair.connect()
    reader = Reader(right, content, grant=0)
    pair.use("right", reader)
    pair.use("left", Writer(left, content))
    return left, right, reader


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_a_slow_reader_gets_everything(roles, loss):
    pair = pair_of(roles, loss=loss)
    _, _, reader = started(pair, data(150_000))
    slowly(pair, reader, 100, 2_000)
    pair.world.until(lambda: reader.is_complete)


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_a_reader_that_pauses_for_a_minute_goes_on_although_the_announcement_is_lost(roles):
    pair = pair_of(roles)
    _, _, reader = started(pair, data(100_000))
    pair.world.run(60_000)
    now_ms = pair.world.now_ms
    for link in pair.world.links.values():
        link.outages = [(now_ms, now_ms + 300)]
    reader.grant = 10**9
    pair.world.settle("right")
    pair.world.until(lambda: reader.is_complete, 15_000)


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_a_closed_window_costs_few_packets(roles):
    pair = pair_of(roles)
    started(pair, data(100_000))
    pair.world.run(5_000)
    before = [link.datagrams for link in pair.world.links.values()]
    pair.world.run(60_000)
    grown = [link.datagrams - old for link, old in zip(pair.world.links.values(), before, strict=True)]
    assert max(grown) <= 60, grown


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_what_waits_to_be_read_is_bounded_by_the_window(roles):
    pair = pair_of(roles)
    left, right, _ = started(pair, data(500_000))
    pair.world.run(10_000)
    if isinstance(right, OurSide):
        assert 0 < right.stream.readable <= WINDOW * SEGMENT
    if isinstance(left, OurSide):
        assert left.stream.writable == 0


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_single_octets_are_carried_too(roles):
    pair = pair_of(roles, loss=0.05)
    left, right = pair.connect()
    content = data(400)
    reader = Reader(right, content)
    pair.use("right", reader)
    at = 0

    def one():
        nonlocal at
        at += left.write(pair.world.now_ms, content[at : at + 1])
        return at < len(content)

    pair.world.every(2, "left", one)
    pair.world.until(lambda: reader.at == len(content), 60_000)


def test_small_writes_share_segments():
    pair = Pair(*(OURS, OURS), *links(1, delay_ms=20))
    left, right = pair.connect()
    content = data(2_000)
    reader = Reader(right, content)
    pair.use("right", reader)
    for octet in content:
        assert left.write(pair.world.now_ms, bytes((octet,))) == 1
    pair.world.settle("left")
    pair.world.until(lambda: reader.at == len(content))
    assert pair.watch.data["left"] <= 6


def test_a_first_small_write_leaves_at_once():
    pair = Pair(*(OURS, OURS), *links(1, delay_ms=20))
    left, right = pair.connect()
    reader = Reader(right, b"x")
    pair.use("right", reader)
    sent_ms = pair.world.now_ms
    left.write(sent_ms, b"x")
    pair.world.settle("left")
    pair.world.until(lambda: reader.at == 1)
    assert pair.world.now_ms - sent_ms <= 20


def test_updates_of_the_window_do_not_make_the_reference_send_again():
    pair = Pair(reference_end(100), OURS, *links(1, delay_ms=20))
    _, _, reader = started(pair, data(300_000))
    slowly(pair, reader, 5, 3_000)
    pair.world.until(lambda: reader.at == 300_000)
    assert pair.watch.again["left"] == 0
