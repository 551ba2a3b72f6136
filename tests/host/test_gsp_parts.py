"""The small parts under the GSP: token buckets, timing wheel, event queue, NSIs."""

from gsp_peers import make_rng
from homeport.basestation.events import DeviceLost, EventQueue
from homeport.basestation.gsp.nsi import fresh_nsi
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.gsp.wheel import TICK_MS, Wheel
from homeport.basestation.limits import Buckets


def test_a_bucket_gives_its_burst_and_then_its_rate():
    buckets = Buckets(3, 2.0, 10)
    taken = [now_ms for now_ms in range(0, 3_000, 100) if buckets.take("a", now_ms)]
    assert taken == [0, 100, 200, 500, 1_000, 1_500, 2_000, 2_500]


def test_buckets_of_different_keys_are_independent():
    buckets = Buckets(1, 1.0, 10)
    assert buckets.take("a", 0)
    assert not buckets.take("a", 0)
    assert buckets.take("b", 0)


def test_a_refused_take_costs_nothing():
    buckets = Buckets(1, 1.0, 10)
    buckets.take("a", 0)
    for now_ms in range(0, 1_000, 10):
        assert not buckets.take("a", now_ms)
    assert buckets.take("a", 1_000)


def test_full_buckets_are_forgotten():
    buckets = Buckets(1, 1.0, 1_000)
    for n in range(100):
        buckets.take(n, 0)
    for n in range(100, 250):
        buckets.take(n, 2_000)
    assert len(buckets) <= 152


def test_the_table_never_outgrows_its_capacity():
    buckets = Buckets(1, 0.001, 50)
    for n in range(10_000):
        buckets.take(n, 0)
        assert len(buckets) <= 50


def test_the_bucket_longest_unused_makes_room():
    buckets = Buckets(2, 0.001, 2)
    buckets.take("old", 0)
    buckets.take("used", 0)
    buckets.take("old", 0)
    buckets.take("new", 0)
    assert not buckets.take("old", 0)
    assert buckets.take("used", 0)


def test_the_wheel_gives_items_out_in_order_and_never_early():
    wheel = Wheel()
    for at_ms in (250, 50, 100, 1_000_000):
        wheel.add(at_ms, at_ms)
    seen = []
    for now_ms in range(0, 500, 10):
        for item in wheel.due(now_ms):
            assert item <= now_ms < item + TICK_MS
            seen.append(item)
    assert seen == [50, 100, 250]
    assert wheel.deadline_ms == 1_000_000


def test_an_empty_wheel_has_no_deadline():
    wheel = Wheel()
    assert wheel.deadline_ms is None
    wheel.add(10, "x")
    assert wheel.deadline_ms == TICK_MS
    wheel.due(TICK_MS)
    assert wheel.deadline_ms is None


def test_an_item_may_be_added_for_the_past():
    wheel = Wheel()
    wheel.add(-5, "x")
    assert wheel.due(0) == ["x"]


def queue(capacity=10):
    return EventQueue(capacity, RateLimit(2, 1.0), RateLimit(5, 1.0))


LOST = DeviceLost(b"d", ("198.51.100.7", 1), "silent")


def test_reports_are_rationed_by_key():
    events = queue()
    for _ in range(5):
        events.report(0, "a", LOST)
    assert [events.next(), events.next(), events.next()] == [LOST, LOST, None]
    assert events.suppressed == 3


def test_reports_are_rationed_in_all():
    events = queue()
    for n in range(100):
        events.report(0, n, LOST)
    assert events.suppressed == 95


def test_reports_do_not_outgrow_the_queue_but_awaited_facts_always_fit():
    events = queue(capacity=1)
    events.put(LOST)
    events.report(0, "a", LOST)
    events.put(LOST)
    assert [events.next(), events.next(), events.next()] == [LOST, LOST, None]


def test_nsis_stay_out_of_the_range_of_devices_and_of_what_is_taken():
    numbers = [1_000, 100, 0, 5_000, 5_001, 6_000]
    rng = iter(number.to_bytes(4, "big") for number in numbers)
    nsi = fresh_nsi(lambda n: next(rng), {(5_000).to_bytes(4, "big")}, {(5_001).to_bytes(4, "big"): None})
    assert int.from_bytes(nsi, "big") == 6_000
    assert int.from_bytes(fresh_nsi(make_rng()), "big") > 1_000
