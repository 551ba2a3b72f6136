"""A device whose stream tags lead to no streams: packets are received, verified, decrypted and counted, or sealed and
sent, by the firmware's own loop. What streams on the same firmware are measured against.

A packet of four octets asks for a number: 0 for the octets counted so far, N for N full segments.
"""

from homeport_core.spec import PL_WINDOW, PT_DATA
from homeport_device.device import Device, load_config
from homeport_device.drops import TAKEN
from homeport_device.streams import packet_len

SEGMENT = bytes(1247)
WINDOW = bytes(16)
COMMAND_LEN = 4


class Counter:
    """Stands where the handler of streams would."""

    deadline_ms = None

    def __init__(self, stack):
        self.stack = stack
        self.octets = self.wanted = 0
        self.asking = None
        stack.offer_streams(self, packet_len(len(SEGMENT)))

    def data(self, now_ms, connection, packet, off, n):
        """Count, or note what is asked for."""
        connection.restart_timer(now_ms)
        if n == COMMAND_LEN:
            self.wanted = int.from_bytes(packet.buf[off : off + n], "big") or -1
            self.asking = connection
        else:
            self.octets += n
        return TAKEN

    def answer_held(self, now_ms):
        """Several packets came together."""
        self.flush(now_ms, self.asking)

    def flush(self, now_ms, connection):
        """Send what was asked for."""
        wanted, self.wanted = self.wanted, 0
        if wanted < 0:
            self.send(connection, self.octets.to_bytes(8, "big"))
        for _ in range(wanted):
            self.send(connection, SEGMENT)

    def send(self, connection, octets):
        """One packet, as streams would send it."""
        writer = self.stack.output.writer
        writer.begin(PT_DATA, connection.nsi, tag=0x1000)
        writer.add(PL_WINDOW, WINDOW)
        self.stack.send_data(connection, octets)

    def ignore(self, *arguments):
        """The rest of what the stack tells."""

    timeout = moved = closing = closed = ignore


class FlowDevice(Device):
    """Has the counter in its stack."""

    def _make_stack(self):
        stack = super()._make_stack()
        Counter(stack)
        return stack


device = FlowDevice(load_config(), name="Flow", type="Homeport flow", admit=lambda connection: True)
device.run()
