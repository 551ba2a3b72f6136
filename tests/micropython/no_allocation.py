"""What runs for every packet, request and timer takes no memory where the language permits: with the heap locked, it
would fail. What it does not permit is bounded, in octets for each request (`WholeRequests`):

- a port's `recvfrom` makes the datagram, for there is no other call;
- the header's NSI, MACs and payloads that are kept, and a view of the buffer for the cipher, are objects of their own;
- `hashlib` and `cryptolib` make an object for each hash and cipher, and a hash its 32 octets;
- what returns two values makes a pair, and so does `struct` for each number that is read;
- a user's permissions are copied out of the list of users.
"""

import gc
import unittest

import micropython
from device_bench import CLIENT, REMOTE, Bench
from homeport_core import ticks
from homeport_core.backend_micropython import ct_equal, octet_sum
from homeport_core.crypto import NullContext
from homeport_core.packet import Packet, encode
from homeport_core.rpc import UINT8, UINT16, Writer
from homeport_core.spec import PL_CRYPTO, PL_NOTIFY, PL_PIGGY, PT_DATA
from homeport_core.stream_wire import Window
from homeport_device.acl import Acl
from homeport_device.panel import Panel
from panel_bench import PanelDevice, PanelHardware

# From a datagram at hand to the answer handed to the port: 64-bit objects; a 32-bit board takes two thirds.
REQUEST_MAX = 3_800
REPEAT_MAX = 2_200
REQUESTS = 50


def locked(step):
    """Run a step with the heap locked; the step was made before."""
    micropython.heap_lock()
    try:
        return step()
    finally:
        micropython.heap_unlock()


class Looks:
    """Steps of a panel, 20 ms apart."""

    def __init__(self, panel):
        self.panel = panel
        self.now_ms = 1000

    def take(self):
        self.now_ms += 20
        self.panel.step(self.now_ms)


class HotPaths(unittest.TestCase):
    def test_finding_a_user_in_a_full_list(self):
        acl = Acl()
        for number in range(32):
            acl.add((number + 1).to_bytes(16, "big"), b"n" * 63)
        known, unknown = (32).to_bytes(16, "big"), b"\xee" * 16
        self.assertEqual(locked(lambda: acl.find(known)), 31)
        self.assertEqual(locked(lambda: acl.find(unknown)), -1)

    def test_looking_at_button_switch_and_light_while_nothing_happens(self):
        for names in ((), ("LED",), ("LED", "RED", "GREEN", "BLUE", "BUTTON", "SWITCH")):
            with self.subTest(names=names):
                looks = Looks(Panel(1000, PanelDevice(), PanelHardware(names), None))
                look = looks.take
                look()
                for _ in range(500):
                    locked(look)

    def test_arithmetic_of_ticks(self):
        later = locked(lambda: ticks.add(ticks.PERIOD - 1, 5))
        self.assertEqual(locked(lambda: ticks.diff(later, ticks.PERIOD - 1)), 5)

    def test_finding_a_payload(self):
        packet = Packet()
        packet.decode_from(encode(PT_DATA, ((PL_NOTIFY, bytes(4)), (PL_PIGGY, b"x"))))
        self.assertTrue(locked(lambda: packet.find(PL_PIGGY)) > 0)
        self.assertEqual(locked(lambda: packet.find(PL_CRYPTO)), -1)

    def test_comparing_macs_and_summing_octets(self):
        ours, theirs, octets = bytes(16), bytearray(16), b"\xff" * 300
        self.assertTrue(locked(lambda: ct_equal(ours, theirs)))
        self.assertEqual(locked(lambda: octet_sum(octets, 300)), 300 * 255 & 0xFFFF)

    def test_checking_a_clear_packet(self):
        context = NullContext()
        packet = Packet()
        packet.decode_from(encode(PT_DATA, context=context, plaintext=b"request"))
        locked(lambda: context.verify(packet))

    def test_finding_a_connection_and_keeping_its_times(self):
        bench = Bench()
        bench.connected()
        connections = bench.stack.connections
        connection = [each for each in connections.slots if each is not None][0]
        nsi = connection.nsi
        self.assertIs(locked(lambda: connections.find(nsi)), connection)
        locked(lambda: connection.restart_timer(1000))
        locked(lambda: connection.traffic.count_received(100))
        locked(lambda: connection.traffic.count_sent(100))
        self.assertTrue(locked(lambda: bench.stack.deadline_ms) is not None)

    def test_writing_numbers(self):
        writer = Writer(bytearray(3))
        locked(lambda: writer.write_number(UINT8, 5))
        locked(lambda: writer.write_number(UINT16, 6))
        self.assertEqual(bytes(writer.buf), b"\x05\x00\x06")

    def test_reading_a_streams_window(self):
        window = Window()
        octets = bytes(18)
        locked(lambda: window.read(octets, 0, 18))

    def test_the_lock_works(self):
        with self.assertRaises(MemoryError):
            locked(lambda: bytearray(1000))


def cost_of(stack: object, packets: list) -> int:
    """Octets that these datagrams take, each; nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for octets in packets:
        stack.datagram(1000, REMOTE, octets, CLIENT)
    taken = gc.mem_alloc() - before
    gc.enable()
    return taken // len(packets)


class WholeRequests(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.bench.connected()
        self.bench.port.send = lambda socket, endpoint, buf, n: None

    def test_a_request_takes_a_bounded_amount(self):
        packets = [self.bench.query(2) for _ in range(REQUESTS)]
        runs = self.bench.app.runs
        self.assertTrue(cost_of(self.bench.stack, packets) < REQUEST_MAX)
        self.assertEqual(self.bench.app.runs, runs + REQUESTS)

    def test_a_repeated_request_takes_less(self):
        packets = [self.bench.query(2)] * REQUESTS
        self.bench.stack.datagram(1000, REMOTE, packets[0], CLIENT)
        self.assertTrue(cost_of(self.bench.stack, packets) < REPEAT_MAX)


if __name__ == "__main__":
    unittest.main()
