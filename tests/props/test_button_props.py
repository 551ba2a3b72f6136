"""Whatever contacts do and however late samples come: no reset without ten watched seconds, no press from nothing."""

from homeport_core import ticks
from homeport_device.button import ARMED, CANCELLED, NOTHING, PRESSED, RESET, Button
from hypothesis import given
from hypothesis import strategies as st

WATCHED_MAX_MS = 100
HALF_WAY_MS = 5_000  # from nothing to armed, and from armed to the reset

# Stretches of one level: (is down, gap between samples, how many).
STRETCHES = st.lists(
    st.tuples(st.booleans(), st.sampled_from((1, 20, 20, 99, 100, 5000, 60_000)), st.integers(1, 600)), max_size=12
)


@given(start_ms=st.sampled_from((0, ticks.PERIOD - 3000)), stretches=STRETCHES)
def test_resets_are_earned(start_ms, stretches):
    button = Button(start_ms)
    now_ms = start_ms
    down_ms = 0  # watched, since power-on or what was told last
    told = [NOTHING]
    for is_down, gap_ms, count in stretches:
        for _ in range(count):
            now_ms = ticks.add(now_ms, gap_ms)
            down_ms += min(gap_ms, WATCHED_MAX_MS) * is_down
            meaning = button.step(now_ms, is_down)
            if meaning == NOTHING:
                continue
            if meaning in (ARMED, RESET):
                assert down_ms >= HALF_WAY_MS - WATCHED_MAX_MS
            if meaning in (PRESSED, CANCELLED):
                assert not is_down
            assert (told[-1] == ARMED) == (meaning in (RESET, CANCELLED))
            told.append(meaning)
            down_ms = 0


@given(levels=st.lists(st.booleans(), max_size=60))
def test_a_button_let_go_works_again_whatever_was_before(levels):
    button = Button(0)
    now_ms = 0
    for is_down in (*levels, *[False] * 10):
        now_ms += 20
        button.step(now_ms, is_down)
    meanings = []
    for is_down in (*[True] * 10, *[False] * 10):
        now_ms += 20
        meanings.append(button.step(now_ms, is_down))
    assert [meaning for meaning in meanings if meaning != NOTHING] == [PRESSED]
