"""The device stack on a board without a radio, at the end of a serial line: cryptography, flash, an attachment.

On MicroPython's Unix port always; with RP2040_UF2 naming an official image for the Raspberry Pi Pico also as machine
code of an emulated RP2040, on its emulated flash. What that proves: 32 bits, that build's cryptography, its memory and
its flash driver. What it does not: the radio, real flash and its timing.
"""

import ast
import os
import random
import select
import socket
import threading
from pathlib import Path

import pytest
import vector_files as vectors
from emulated_boards import IMAGE_VARIABLE, Pico, UnixBoard, file_system
from homeport.client import Client, Profile
from homeport_device.output import LOCAL, REMOTE
from processes import KEY, Ports, answer, basestation

CRYPTO = vectors.load("vectors-crypto.json")
BOARDS = ["unix", *(["rp2040"] if IMAGE_VARIABLE in os.environ else [])]

OPEN = """
from homeport_core.crypto import AesContext, NullContext
from homeport_core.packet import Packet
from homeport_core.errors import ProtocolError
def opened(octets, material, initiator):
    packet = Packet()
    context = AesContext(material, initiator) if material else NullContext()
    try:
        packet.decode_from(octets)
        return context.open(packet)
    except ProtocolError:
        return None
"""
RECORDS = """
from homeport_device.record_store import RecordStore
from homeport_device.file_slots import FileSlots
from homeport_core.record import USERS
store = RecordStore(FileSlots("records"))
"""
WRITE_ON = """
number = {first}
while True:
    store.write(USERS, bytes((number & 0xFF,)) * {length})
    print(number)
    number += 1
"""
CUTS = 12
PAYLOAD_LEN = 1498  # four users


@pytest.fixture(scope="module", params=BOARDS)
def kind(request):
    """A board's class, its file system and its firmware."""
    if request.param == "unix":
        return UnixBoard, file_system(UnixBoard.blocks)
    return Pico, file_system(Pico.blocks), Path(os.environ[IMAGE_VARIABLE]).resolve()


@pytest.fixture
def board(kind, tmp_path):
    made = kind[0](tmp_path / "board", *kind[1:])
    yield made
    made.switch_off()


def test_sealed_packets_of_the_vectors_are_opened_and_false_ones_refused(board):
    prompt = board.switch_on()
    prompt.run(OPEN)

    def opened(vector, initiator):
        material = None if vector["suite"] == "000a" else bytes.fromhex(vector["key_material"])
        packet = f"bytearray({bytes.fromhex(vector['packet'])!r})"
        return ast.literal_eval(prompt.run(f"print(opened({packet}, {material!r}, {initiator}))"))

    for vector in CRYPTO["sealed_packets"]:
        assert opened(vector, not vector["sender_is_initiator"]) == bytes.fromhex(vector["plaintext"]), vector["name"]
    for vector in CRYPTO["must_reject"]:
        assert opened(vector, vector["receiver_is_initiator"]) is None, vector["name"]
    prompt.close()


def test_a_record_whose_writing_is_cut_is_the_old_one_or_the_new_one(board):
    choose = random.Random(4)
    number = 0
    for _ in range(CUTS):
        prompt = board.switch_on()
        prompt.run(RECORDS)
        prompt.start(WRITE_ON.format(first=number + 1, length=PAYLOAD_LEN))
        for _ in range(choose.randrange(1, 4)):
            number = int(prompt.line())
        # Somewhere within the next writes.
        select.select([], [], [], choose.random() / 50)
        board.switch_off()
        prompt.close()
        prompt = board.switch_on()
        prompt.run(RECORDS)
        found = ast.literal_eval(prompt.run("print(store.read(USERS))"))
        prompt.close()
        board.switch_off()
        assert len(found) == PAYLOAD_LEN and set(found) == {found[0]}, f"cut after {number}: {found[:8]!r}"
        ahead = (found[0] - number) & 0xFF
        assert ahead < 128, f"record {number} was there and is gone"
        number += ahead


class Line:
    """Carries a board's datagrams between its serial line and two real sockets, as a network card would."""

    def __init__(self, prompt, local_port):
        self._prompt = prompt
        self._sockets = {LOCAL: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)}
        self._sockets[REMOTE] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets[LOCAL].bind(("127.0.0.1", local_port))
        self._sockets[REMOTE].bind(("127.0.0.1", 0))
        self.said = []
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def wait_for(self, words):
        with self._changed:
            assert self._changed.wait_for(lambda: any(words in line for line in self.said), 120), self.said

    def close(self):
        self._ending = True
        self._thread.join()
        for sock in self._sockets.values():
            sock.close()

    def _carry(self):
        serial = self._prompt.transport.serial
        while not self._ending:
            readable, _, _ = select.select([serial, *self._sockets.values()], [], [], 0.2)
            if serial in readable:
                self._leave(self._prompt.line())
            for number, sock in self._sockets.items():
                if sock in readable:
                    data, (address, port) = sock.recvfrom(2048)
                    endpoint = socket.inet_aton(address) + port.to_bytes(2, "big")
                    self._prompt.tell(f"< {number} {endpoint.hex()} {data.hex()}")
        self._prompt.tell(".")

    def _leave(self, line):
        if line is None:
            self._ending = True
        elif line.startswith("> "):
            _, number, endpoint, data = line.split()
            octets = bytes.fromhex(endpoint)
            address = socket.inet_ntoa(octets[:4]), int.from_bytes(octets[4:], "big")
            self._sockets[int(number)].sendto(bytes.fromhex(data), address)
        else:
            with self._changed:
                self.said.append(line)
                self._changed.notify_all()


async def test_a_board_attaches_to_a_real_basestation_is_paired_and_called(board, tmp_path):
    ports = Ports()
    root = tmp_path / "base"
    pin = answer("basestation", "init", root)["pin"]
    answer("device", "add", "demo", "--dir", root, "--key", KEY)
    profile = Profile.create(tmp_path / "home", "me", basestation=f"127.0.0.1:{ports.gate}", pin=pin)
    controller = socket.inet_aton("127.0.0.1") + ports.controller.to_bytes(2, "big")
    prompt = board.switch_on()
    with basestation(root, ports):
        prompt.start(
            f"from serial_line_device import run\nrun('demo', {bytes.fromhex(KEY)!r}, {controller!r}, 'state')"
        )
        line = Line(prompt, ports.local)
        try:
            line.wait_for("attached to")
            async with Client(profile, search=[("127.0.0.1", ports.local)]) as client:
                near = await client.connect(f"demo@127.0.0.1:{ports.local}")
                assert (await near.pair("me")).is_owner
                await near.close()
            async with Client(profile, search=[]) as client:
                far = await client.connect("demo")
                assert await far.request(bytes((0, 0, 0, 1, 0, 1))) == b"\x01"
        finally:
            line.close()
            prompt.close()
