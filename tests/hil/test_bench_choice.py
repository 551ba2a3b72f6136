"""`make hil` never tests another board than it was asked for."""

import pytest
from bench_choice import Choice, choose

REAL = {"HIL_BOARD": "esp32", "HIL_PORT": "/dev/null", "HIL_WIFI": "House"}


def test_a_real_board_is_the_one_at_the_port():
    assert choose(REAL) == Choice("esp32", "/dev/null", "House")


@pytest.mark.parametrize("environment", [{}, {"HIL_BOARD": "unix"}])
def test_the_simulated_board_needs_nothing(environment):
    assert choose(environment) == Choice("unix", None, "home")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"HIL_BOARD": ""}, "one of esp32, esp32_c3, esp32_s3, pico2_w, pico_w, unix"),
        ({"HIL_BOARD": "esp99"}, "no board 'esp99'"),
        ({"HIL_BOARD": "linux"}, "no board 'linux'"),
        ({"HIL_PORT": None}, "needs a port"),
        ({"HIL_WIFI": None}, "and a network"),
        ({"HIL_PORT": "/dev/nowhere"}, "no port /dev/nowhere"),
    ],
)
def test_what_is_missing_or_wrong_is_named(wrong, words):
    environment = {name: value for name, value in (REAL | wrong).items() if value is not None}
    with pytest.raises(ValueError, match=words):
        choose(environment)
