"""Streams over a bad network, ours with ours and with the reference in both roles: every octet arrives, in order, once.

All time is virtual and all chance is seeded. The rules of the wire are checked on each packet that we send.
"""

import pytest
from homeport_core import ticks
from stream_link import Link
from stream_pairs import OURS, REFERENCE, ROLES, Pair, data, links, our_end, reference_end

MEGABYTE = 1_000_000
WRAPPING = ticks.PERIOD - 3_000


def transfer(pair, forth_len, back_len, seed=1):
    left, right = pair.connect()
    readers = pair.exchange(left, right, data(forth_len, seed), data(back_len, seed + 1))
    pair.finish(readers)
    return readers


def test_ten_megabytes_arrive_whole_in_both_directions_at_once():
    bad = {"loss": 0.03, "duplicates": 0.02, "reorder": 0.03, "jitter_ms": 3, "outages": [(3_000, 5_000)]}
    pair = Pair(there=Link(1, 15, **bad), back=Link(2, 15, **bad), base_ms=WRAPPING)
    readers = transfer(pair, 10 * MEGABYTE, 10 * MEGABYTE)
    assert all(reader.is_complete for reader in readers)


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.15, 0.30])
@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_arrives_whole_whatever_is_lost(roles, loss):
    for seed in (1, 2):
        pair = Pair(*roles, *links(seed, delay_ms=20, loss=loss))
        transfer(pair, 60_000, 50_000, seed)


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_arrives_whole_when_packets_overtake_and_repeat(roles):
    pair = Pair(*roles, *links(3, delay_ms=10, jitter_ms=60, duplicates=0.3, reorder=0.3, loss=0.02))
    transfer(pair, 250_000, 200_000)


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_goes_on_after_outages_of_two_seconds(roles):
    outages = [(start, start + 2_000) for start in (1_000, 4_000, 7_500)]
    pair = Pair(*roles, *links(4, delay_ms=20, loss=0.01, bandwidth=500, outages=outages))
    transfer(pair, 1_500_000, 300_000)
    assert pair.world.now_ms > 6_000


@pytest.mark.parametrize("queue", [15_000, 100_000])
@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_arrives_whole_through_a_bottleneck(roles, queue):
    pair = Pair(*roles, *links(5, delay_ms=20, bandwidth=1250, queue=queue))
    transfer(pair, 1_000_000, 100_000)


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_small_windows_and_segments_carry_the_same_data(roles):
    small = {"segment": 239, "receive_window": 4, "send_window": 4}
    left = our_end(True, **small) if roles[0] == OURS else reference_end(4, 239)
    right = our_end(False, fixed=True, **small) if roles[1] == OURS else reference_end(4, 239)
    pair = Pair(left, right, *links(6, delay_ms=5, loss=0.05))
    transfer(pair, 40_000, 40_000)


def test_a_window_of_one_segment_still_moves():
    pair = Pair(our_end(True), our_end(False, receive_window=1, send_window=1), *links(7, delay_ms=5, loss=0.1))
    transfer(pair, 20_000, 20_000)


def test_several_streams_share_a_connection_fairly():
    pair = Pair(there=Link(1, 20, bandwidth=1250, queue=50_000), back=Link(2, 20))
    content = data(600_000)
    pairs = [pair.connect() for _ in range(4)]
    readers = [pair.exchange(left, right, content, b"") for left, right in pairs]
    pair.world.until(lambda: any(mine.is_complete for mine, _ in readers))
    shares = [mine.at for mine, _ in readers]
    assert min(shares) > 0.4 * max(shares)
    for mine, theirs in readers:
        pair.finish((mine, theirs))


@pytest.mark.parametrize("roles", [(OURS, OURS), (OURS, REFERENCE)], ids="-".join)
def test_a_change_of_path_in_mid_transfer_loses_nothing_and_is_used_at_once(roles):
    pair = Pair(*roles, *links(8, delay_ms=100, bandwidth=100, queue=20_000))
    left, right = pair.connect()
    readers = pair.exchange(left, right, data(3 * MEGABYTE), data(100_000, 2))
    pair.world.run(5_000)
    arrived = readers[0].at
    assert 0 < arrived < MEGABYTE
    pair.world.links = dict(zip(("left", "right"), links(9, delay_ms=3), strict=True))
    for end in (pair.left, pair.right):
        if hasattr(end, "streams"):
            end.streams.path_changed(end.ticks(pair.world.now_ms))
    for name in ("left", "right"):
        pair.world.settle(name)
    pair.finish(readers)
    assert pair.world.now_ms < 15_000


@pytest.mark.parametrize("roles", ROLES, ids="-".join)
def test_over_a_reliable_carrier_nothing_is_sent_twice(roles):
    stalls = [(500, 4_500)]
    pair = Pair(*roles, *links(10, delay_ms=20, stalls=stalls))
    for end in (pair.left, pair.right):
        if hasattr(end, "streams"):
            end.streams.reliable = True
    left, right = pair.connect()
    readers = pair.exchange(left, right, data(2 * MEGABYTE), data(MEGABYTE, 2))
    pair.finish(readers)
    for name, end in (("left", pair.left), ("right", pair.right)):
        assert not hasattr(end, "streams") or pair.watch.again[name] == 0


def test_data_that_stops_being_lost_by_a_carrier_is_sent_again_on_the_path_after_it():
    pair = Pair(there=Link(1, 20, outages=[(300, 1_500)]), back=Link(2, 20))
    pair.left.streams.reliable = True
    left, right = pair.connect()
    readers = pair.exchange(left, right, data(MEGABYTE), b"")
    pair.world.run(1_500 - pair.world.now_ms)
    pair.left.streams.reliable = False
    pair.left.streams.path_changed(pair.left.ticks(pair.world.now_ms))
    pair.world.settle("left")
    pair.finish(readers)
