"""Each example on a simulated board: a press of the button, pairing, and what it is for."""

import contextlib
import socket
import threading

import pytest
from homeport.client import Profile, sync
from homeport.client.queries.interface import Interface
from processes import KEY, Ports, device, homeport
from simulated_board import SimulatedBoard

RUNTIMES = ["micropython", "cpython"]
PATIENCE_S = 10


@contextlib.contextmanager
def owner(path, app, runtime, *options):
    """A connection to an example on a board, by somebody who pressed the button and paired; and the board."""
    ports = Ports()
    board = SimulatedBoard(path / "board", key=KEY)
    options = ("--board", board.folder, *options)
    interface = Interface.parse(homeport("interface", app).stdout.encode())
    with device(ports, path / "state", *options, app=app, runtime=runtime, until="joined"):
        board.press()
        profile = Profile.create(path / "home", "me")
        target = f"demo@127.0.0.1:{ports.local}"
        with sync.Client(profile) as client, client.connect(target, interface=interface) as connection:
            assert connection.pair("me").is_owner
            yield connection, board


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_light_is_the_boards_relay(tmp_path, runtime):
    with owner(tmp_path, "light", runtime) as (connection, board):
        for light_on in (1, 0):
            assert connection.call("light_write", light_id=1, light_on=light_on) == {"light_state": light_on}
            assert board.pin("RELAY") == str(light_on)
        connection.call("light_write", light_id=2, light_on=1)
        assert board.pin("RELAY") == "0"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_heat_pump_warms_its_room(tmp_path, runtime):
    with owner(tmp_path, "heat_pump", runtime) as (connection, _):
        connection.call("heatpump_set_target_temperature", temperature=20)
        assert connection.call("heatpump_get_full_state")["room_temperature"] in (19, 20)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_weather_station_knows_the_boards_temperature(tmp_path, runtime):
    with owner(tmp_path, "weather_station", runtime) as (connection, _):
        assert 240 <= connection.call("house_temperature", sensor_id=4)["temperature"] <= 340
        assert 0 <= connection.call("wind_speed")["speed_m_s"] <= 14
        assert 15_000 <= connection.call("weather_station")["temperature"] <= 28_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_gateway_reaches_what_is_behind_its_board(tmp_path, runtime):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"hello " + connection.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        with (
            owner(tmp_path, "tunnel_gateway", runtime, "--allow-port", port) as (connection, _),
            connection.open_tunnel("127.0.0.1", port) as tunnel,
        ):
            tunnel.send(b"you")
            assert tunnel.receive(100) == b"hello you"
