"""The master switch of a running device, watched on the basestation's socket (design, section 6 rule 5)."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_process import RUNTIMES, DeviceProcess, command, environment
from homeport_core.packet import encode
from homeport_core.spec import PT_U_ALIVE
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from scripted_world import GSP_NSI, Basestation, Client, LanClient

KEY = bytes(range(16))
OWNER = bytes(range(0x10, 0x20))
SET_SETTINGS = 11040
LOCAL_ONLY = (0xA0000000).to_bytes(4, "big") + (0x80000000).to_bytes(4, "big")
ALL_OPEN = (0xE0000000).to_bytes(4, "big") + (0x80000000).to_bytes(4, "big")
QUIET_S = 2.5


@contextlib.contextmanager
def device(runtime: str, state: Path, basestation: Basestation, *more: str) -> Iterator[DeviceProcess]:
    options = ["--id", "dev1", "--key", KEY.hex(), "--local-port", "0", "--state", str(state), *more]
    process = subprocess.Popen(
        [*command(runtime, "light"), *options, "--controller", f"127.0.0.1:{basestation.address[1]}"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = DeviceProcess(process)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_switched_off_it_answers_that_request_and_then_nothing(runtime: str, tmp_path: Path) -> None:
    Acl(AclFile(f"{tmp_path}/acl.bin")).add(OWNER, b"owner")
    basestation = Basestation("dev1", KEY)
    client = Client()
    with contextlib.closing(basestation), contextlib.closing(client), device(runtime, tmp_path, basestation):
        basestation.attach()
        basestation.introduce(client, os.urandom(4), OWNER)
        assert client.call(SET_SETTINGS, LOCAL_ONLY) == b"\x00" + LOCAL_ONLY
        basestation.socket.settimeout(QUIET_S)
        client.socket.settimeout(QUIET_S)
        basestation.socket.sendto(encode(PT_U_ALIVE, sp=GSP_NSI, seq=9), basestation.device)
        with pytest.raises(TimeoutError):
            client.call(2, b"\x01")
        with pytest.raises(TimeoutError):
            basestation.socket.recv(2000)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_setting_is_as_good_as_the_permission(runtime: str, tmp_path: Path) -> None:
    basestation = Basestation("dev1", KEY)
    basestation.socket.settimeout(QUIET_S)
    with (
        contextlib.closing(basestation),
        device(runtime, tmp_path, basestation, "--master-switch", "off") as running,
        pytest.raises(TimeoutError),
    ):
        assert any("remote=off" in line for line in running.lines)
        basestation.socket.recv(2000)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_off_survives_a_restart_and_an_owner_at_home_switches_it_on_again(runtime: str, tmp_path: Path) -> None:
    acl = Acl(AclFile(f"{tmp_path}/acl.bin"))
    acl.add(OWNER, b"owner")
    acl.set_settings(0xA0000000, 0x80000000)
    basestation = Basestation("dev1", KEY)
    basestation.socket.settimeout(QUIET_S)
    with contextlib.closing(basestation), device(runtime, tmp_path, basestation) as running:
        assert any("remote=off" in line for line in running.lines)
        with pytest.raises(TimeoutError):
            basestation.socket.recv(2000)
        with contextlib.closing(LanClient(running.local_port, OWNER)) as client:
            assert client.call(SET_SETTINGS, ALL_OPEN) == (True, b"\x00" + ALL_OPEN)
        basestation.attach()
