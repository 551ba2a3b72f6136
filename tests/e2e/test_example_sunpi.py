"""The solar station in processes of its own: what old pages ask, what new ones ask, and pins that really move."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from homeport.client.queries.interface import Interface
from processes import KEY, CommandLine, Ports, device, homeport, only_error_line, wait_for_line
from simulated_board import SimulatedBoard

MAKE_FIRMWARE = Path(__file__).resolve().parents[2] / "tools/make_firmware.py"
RELAY = 3
RUNTIMES = ["micropython", "cpython"]
# The published query file, as old pages bring it (application 2.8).
PUBLISHED = """<unabto_queries>
<query name="light_write.json" id="1"><request><parameter name="light_id" type="uint8"/>
<parameter name="light_on" type="uint8"/></request>
<response format="json"><parameter name="light_state" type="uint8"/></response></query>
<query name="light_read.json" id="2"><request><parameter name="light_id" type="uint8"/></request>
<response format="json"><parameter name="light_state" type="uint8"/></response></query>
<query name="ina_data.json" id="3"><request></request><response format="json">
<parameter name="voltage_v" type="uint32"/><parameter name="power_w" type="uint32"/></response></query>
<query name="rpi_temperature.json" id="4"><request></request><response format="json">
<parameter name="temperature_c" type="uint32"/></response></query>
</unabto_queries>"""


class World(CommandLine):
    """The owner of a station."""

    def __init__(self, path, ports):
        super().__init__(path / "home")
        self.target = f"demo@127.0.0.1:{ports.local}"
        self.interface = path / "published.xml"
        self.interface.write_text(PUBLISHED)
        self.answer("profile", "create", "me", "--no-password")
        assert self.answer("pair", self.target)["role"] == "owner"

    def ask(self, query, *parameters):
        return self.answer("call", self.target, query, *parameters, "--interface", self.interface)["result"]

    def ask_new(self):
        self.interface.write_text(homeport("interface", "sunpi").stdout)
        return self.ask("station_get_state")


@contextlib.contextmanager
def station(path, runtime, *options):
    ports = Ports()
    with device(ports, path / "state", *options, app="sunpi", runtime=runtime):
        yield World(path, ports)


@pytest.fixture(scope="module", params=RUNTIMES)
def world(request, tmp_path_factory):
    """A station whose parts are simulated, in memory."""
    with station(tmp_path_factory.mktemp("sunpi"), request.param) as world:
        yield world


def test_the_published_queries_are_declared_as_published():
    published = Interface.parse(PUBLISHED.encode())
    ours = Interface.parse(homeport("interface", "sunpi").stdout.encode())
    for name in ("light_write", "light_read", "ina_data", "rpi_temperature"):
        assert ours.query(name) == published.query(name)


def shown_by_old_page(power_w):
    watts = power_w / 10000
    return watts - 200 if watts > 100 else watts


def test_an_old_page_shows_a_battery_and_its_charge(world):
    shown = world.ask("ina_data")
    assert 11.8 <= shown["voltage_v"] / 10000 <= 13.4
    assert -1 <= shown_by_old_page(shown["power_w"]) <= 12.1


def test_an_old_page_shows_a_temperature(world):
    assert 24 <= world.ask("rpi_temperature")["temperature_c"] / 10000 <= 34


def test_an_old_page_switches_every_light(world):
    for light_id in range(4):
        for wanted in (1, 0):
            written = world.ask("light_write", f"light_id={light_id}", f"light_on={wanted}")
            assert written == world.ask("light_read", f"light_id={light_id}") == {"light_state": wanted}


def test_a_light_that_there_is_not_is_refused(world):
    done = world.run("call", world.target, "light_read", "light_id=4", "--interface", world.interface)
    assert only_error_line(done) == "error: the device is out of resources"


def test_old_and_new_queries_tell_the_same(world):
    """Values move between two questions, but not far."""
    old = world.ask("ina_data")
    new = world.ask_new()
    assert abs(old["voltage_v"] / 10 - new["voltage_mv"]) < 300
    assert abs(shown_by_old_page(old["power_w"]) * 1000 - new["power_mw"]) < 3000
    assert 24000 <= new["temperature_mc"] <= 34000
    assert (new["red"], new["green"], new["blue"], new["relay"]) == (0, 0, 0, 0)


def test_values_move(world):
    first = world.ask("rpi_temperature")
    give_up_at = time.monotonic() + 20
    for _ in itertools.takewhile(lambda _: time.monotonic() < give_up_at, itertools.count()):
        if world.ask("rpi_temperature") != first:
            return
    raise AssertionError("nothing moves")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_relay_and_the_lamp_are_switched_at_the_boards_pins(tmp_path, runtime):
    ports = Ports()
    board = SimulatedBoard(tmp_path / "board", key=KEY)
    with device(ports, tmp_path / "state", "--board", board.folder, app="sunpi", runtime=runtime, until="joined"):
        board.press()
        world = World(tmp_path, ports)
        assert board.pin("RELAY") == "0"
        world.ask("light_write", f"light_id={RELAY}", "light_on=1")
        world.ask("light_write", "light_id=1", "light_on=40")
        assert (board.pin("RELAY"), board.pin("LAMP_GREEN"), board.pin("LAMP_RED")) == ("1", "40", "0")
        world.ask("light_write", f"light_id={RELAY}", "light_on=0")
        assert board.pin("RELAY") == "0"
        assert world.ask_new()["green"] == 40


def test_the_station_as_boards_get_it_does_the_same(tmp_path):
    """Compiled with everything that it needs, in a folder where there is nothing else."""
    ports = Ports()
    board = SimulatedBoard(tmp_path / "board", key=KEY)
    subprocess.run([sys.executable, MAKE_FIRMWARE, "unix", "--out", tmp_path / "made"], check=True, capture_output=True)
    micropython = Path(sys.executable).with_name("micropython")
    with subprocess.Popen(
        [micropython, "-X", "heapsize=300k", "main.py", "--board", board.folder, "--local-port", str(ports.local)],
        cwd=tmp_path / "made/files",
        env={**os.environ, "MICROPYPATH": ".frozen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            wait_for_line(process, "joined")
            board.press()
            world = World(tmp_path, ports)
            world.ask("light_write", f"light_id={RELAY}", "light_on=1")
            assert board.pin("RELAY") == "1"
            assert 11_800 <= world.ask_new()["voltage_mv"] <= 13_400
        finally:
            process.kill()
