"""Real client, basestation and device with a relay between them that has the keys which the basestation chose.

It reads what it can, and forges and replays at every packet (`evil_relay`). Against a device without an end-to-end key
it succeeds, which shows that it tries; with a key it gets nothing.
"""

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

import pytest
from evil_relay import FORGED_ANSWER
from homeport import wire
from homeport.client import Client, Profile
from homeport.client.keys import Psk
from homeport.client.pairing import pair
from homeport_core.spec import AER_NO_ACCESS, FRAMING_END_TO_END, FRAMING_KEEP_ALIVE
from processes import KEY, CommandLine, Ports, basestation, device

LABEL = "00112233445566778899aabbccddeeff"
GET_STATE, SET_TARGET = (20000).to_bytes(4), (20020).to_bytes(4)  # queries of the heat pump
WANTED, FORGED = (27).to_bytes(4), (5).to_bytes(4)
SCRIPT = Path(__file__).resolve().parent.parent / "support" / "evil_relay.py"


class Evil:
    """Puts an evil relay in the way of each connection that a client's gate introduces."""

    def __init__(self, client):
        self.processes = []
        link = client._gate()
        connect = link.connect

        async def connect_through_us(*arguments, **options):
            answer = await connect(*arguments, **options)
            return dataclasses.replace(answer, gsp=await self.start(answer))

        link.connect = connect_through_us

    async def start(self, answer):
        host, port = wire.address(answer.gsp)
        arguments = [host, str(port), answer.nsi.hex(), answer.key.hex(), (SET_TARGET + FORGED).hex()]
        process = await asyncio.create_subprocess_exec(
            sys.executable, SCRIPT, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self.processes.append(process)
        own_port = int(await process.stdout.readline())
        return wire.endpoint((host, own_port))

    async def reports(self):
        outputs = [(await process.communicate(b""))[0] for process in self.processes]
        return [json.loads(output) for output in outputs]


@pytest.fixture(params=["micropython", "cpython"])
def site(request, tmp_path):
    """A client of a basestation with one device, and where the device is on the local network."""
    ports = Ports()
    operator = CommandLine(tmp_path / "nobody")
    pin = operator.answer("basestation", "init", tmp_path / "var")["pin"]
    operator.answer("device", "add", "demo", "--key", KEY, "--dir", tmp_path / "var")
    with (
        basestation(tmp_path / "var", ports),
        device(ports, tmp_path / "device", until="attached to", runtime=request.param, label=LABEL),
    ):
        profile = Profile.create(tmp_path, "me", None, f"127.0.0.1:{ports.gate}", pin)
        yield Client(profile), f"demo@127.0.0.1:{ports.local}"


async def visit(client):
    """Set the temperature through the evil relay and ask for it; returns whether that was end to end, both answers,
    and what the relay has read."""
    evil = Evil(client)
    try:
        async with await client.connect("demo", "relay") as device:
            end_to_end = device.end_to_end
            first = await device.request(SET_TARGET + WANTED)
            await asyncio.sleep(0.2)  # its forgeries have their chance
            second = await device.request(GET_STATE)
    finally:
        reports = await evil.reports()
    return end_to_end, (first, second), reports[0]


async def test_with_an_end_to_end_key_it_reads_forges_and_replays_in_vain(site):
    client, target = site
    async with client:
        assert (await pair(client, target, "me", Psk.of_label(LABEL))).end_to_end
        end_to_end, answers, report = await visit(client)
    assert end_to_end is True
    assert (answers[0], answers[1][5:9]) == (WANTED, WANTED)
    framing = {FRAMING_KEEP_ALIVE.to_bytes(4).hex(), FRAMING_END_TO_END.to_bytes(4).hex()}
    assert {text[:8] for text in report["up"]} == framing
    # Its own requests before the exchange are refused, and it hears so.
    assert {text[:8] for text in report["down"]} - {AER_NO_ACCESS.to_bytes(4).hex()} == framing
    assert report["sealed"] > 4


async def test_without_one_it_has_all_it_wants(site):
    client, target = site
    async with client:
        assert not (await pair(client, target, "me")).end_to_end
        end_to_end, answers, report = await visit(client)
    assert end_to_end is False
    assert FORGED_ANSWER in answers
    assert (SET_TARGET + WANTED).hex() in report["up"]
    assert FORGED.hex() in report["down"]
