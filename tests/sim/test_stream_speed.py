"""How fast streams are on simulated paths, against plain senders on the same links, and how much they waste.

Time is virtual and chance is seeded: these are properties, not measurements of the machine that runs them.
"""

import pytest
from reno import reno_goodput
from stream_link import Link
from stream_pairs import OURS, REFERENCE, links
from stream_speed import RUN_MS, goodput


@pytest.mark.parametrize("right", [OURS, REFERENCE])
def test_three_percent_loss_at_50_ms_is_five_times_as_fast_as_a_window_of_four(right):
    for seed in range(3):
        ours, wasted = goodput(*links(seed, delay_ms=25, loss=0.03), right)
        plain = reno_goodput(*links(seed, delay_ms=25, loss=0.03), RUN_MS)
        assert ours >= 5 * plain, (seed, ours, plain)
        assert wasted <= 0.05, (seed, wasted)


def test_without_loss_the_window_is_used():
    ours, wasted = goodput(*links(1, delay_ms=25), run_ms=4_000)
    assert ours >= 0.7 * 255 * 1247 / 0.05
    assert wasted == 0


@pytest.mark.parametrize("queue", [15_000, 60_000, 250_000])
def test_a_bottleneck_is_filled_without_wasting_it(queue):
    there, back = Link(1, 25, bandwidth=1250, queue=queue), Link(2, 25)
    ours, wasted = goodput(there, back)
    assert ours >= 0.5 * 1_250_000, ours
    assert wasted <= 0.10, wasted
    assert there.overflowed <= 0.15 * there.datagrams


def test_reordering_is_not_taken_for_loss():
    plain, _ = goodput(*links(1, delay_ms=25), run_ms=3_000)
    ours, wasted = goodput(*links(1, delay_ms=25, reorder=0.05, reorder_ms=8), run_ms=3_000)
    assert ours >= 0.5 * plain
    assert wasted <= 0.05


def test_round_trips_that_vary_cost_no_repetitions():
    _, wasted = goodput(*links(1, delay_ms=25, jitter_ms=10), run_ms=3_000)
    assert wasted <= 0.05
