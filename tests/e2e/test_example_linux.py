"""The solar station on Linux: the same application, Adafruit's driver, fakes of what Blinka finds on a Raspberry Pi."""

from pathlib import Path

import pytest
from homeport.client import Profile, sync
from homeport.client.queries.interface import Interface
from homeport.errors import RefusedError
from processes import Ports, device, homeport, wait_for_line

ROOT = Path(__file__).resolve().parents[2]
RELAY, GREEN = 3, 1


class Pi:
    """What is connected to the machine."""

    def __init__(self, folder):
        self.folder = folder

    def measure(self, voltage_mv, drop_uv):
        """Let the sensor see this, from now on."""
        new = self.folder / "ina219.new"
        new.write_text(f"{voltage_mv} {drop_uv}")
        new.replace(self.folder / "ina219")

    def unplug(self):
        (self.folder / "ina219").unlink()

    def pin(self, name):
        return int((self.folder / name).read_text())


@pytest.fixture
def pi(tmp_path, monkeypatch):
    """A machine with our pins.py, whose pins are files."""
    (tmp_path / "pins").mkdir()
    fakes = ROOT / "tests/support"
    monkeypatch.setenv("PYTHONPATH", f"{fakes / 'fakes/blinka'}:{fakes}:{ROOT / 'boards/linux'}")
    monkeypatch.setenv("FAKE_PINS", str(tmp_path / "pins"))
    found = Pi(tmp_path / "pins")
    found.measure(13_120, -8_500)
    return found


@pytest.fixture
def station(pi, tmp_path):
    """A paired connection to the station; `process` is what runs it."""
    ports = Ports()
    interface = Interface.parse(homeport("interface", "sunpi", "--runtime", "cpython").stdout.encode())
    with device(ports, tmp_path / "state", app="sunpi", runtime="cpython") as process:
        profile = Profile.create(tmp_path / "home", "me")
        target = f"demo@127.0.0.1:{ports.local}"
        with sync.Client(profile) as client, client.connect(target, interface=interface) as connection:
            connection.pair("me")
            connection.process = process
            yield connection


def test_the_interface_is_printed_without_touching_a_pin(pi):
    assert "station_get_state" in homeport("interface", "sunpi", "--runtime", "cpython").stdout
    assert [path.name for path in pi.folder.iterdir()] == ["ina219"]


def test_the_sensor_is_read_by_adafruits_driver(pi, station):
    assert station.call("ina_data") == {"voltage_v": 131_200, "power_w": 2_000_000 - 11_150}
    pi.measure(12_000, 10_000)
    assert station.call("ina_data") == {"voltage_v": 120_000, "power_w": 12_000}


def test_relay_and_lamp_are_the_machines_pins(pi, station):
    # The relay's module pulls at a low level (boards/linux/pins.py).
    assert (pi.pin("D23"), pi.pin("D27")) == (1, 0)
    station.call("light_write", light_id=RELAY, light_on=1)
    station.call("light_write", light_id=GREEN, light_on=51)
    assert (pi.pin("D23"), pi.pin("D27")) == (0, 51 * 257)
    station.call("light_write", light_id=RELAY, light_on=0)
    assert pi.pin("D23") == 1


def test_an_unplugged_sensor_is_refused_and_found_again(pi, station):
    station.call("ina_data")
    pi.unplug()
    for _ in range(2):
        with pytest.raises(RefusedError):
            station.call("ina_data")
    wait_for_line(station.process, "power sensor fails")
    pi.measure(12_000, 10_000)
    assert station.call("ina_data") == {"voltage_v": 120_000, "power_w": 12_000}
    wait_for_line(station.process, "power sensor works again")
