"""The device's TCP link against any octets in any pieces: packets come out whole, and nothing else comes of it."""

from device_bench import FakeChannel
from homeport_core.spec import PACKET_MAX
from homeport_device.tcp_link import TcpLink
from hypothesis import given
from hypothesis import strategies as st

ENDPOINT = bytes((192, 0, 2, 1, 0x15, 0xBE))


class Stack:
    """Takes what the link delivers."""

    packet_max = PACKET_MAX

    def __init__(self):
        self.port = self
        self.taken = []
        self.is_down = False

    def connect_tcp(self, endpoint, owner):
        return FakeChannel(endpoint, owner)

    def datagram(self, now_ms, socket, data, endpoint):
        self.taken.append(bytes(data))

    def link_up(self, now_ms, link):
        self.channel = link._channel

    def link_down(self, now_ms, link):
        self.is_down = True

    def link_full(self, link):
        pass

    def link_takes(self, now_ms, packet):
        return True


def connected():
    stack = Stack()
    link = TcpLink(stack, ENDPOINT, stack)
    link.tcp_ready(0, link._channel)
    return stack, link


def feed(stack, link, octets, cuts):
    while octets and not stack.is_down:
        n = cuts.pop() if cuts else len(octets)
        stack.channel.arriving += octets[:n]
        octets = octets[n:]
        while stack.channel.arriving and not stack.is_down:
            link.tcp_readable(0, stack.channel)


def packet(size):
    return bytes(14) + size.to_bytes(2, "big") + bytes(size % 251 for _ in range(size - 16))


@given(st.lists(st.integers(16, PACKET_MAX), max_size=6), st.lists(st.integers(1, 2000)))
def test_packets_come_out_as_they_went_in(sizes, cuts):
    stack, link = connected()
    packets = [packet(size) for size in sizes]
    feed(stack, link, b"".join(packets), cuts)
    assert stack.taken == packets
    assert not stack.is_down


@given(st.binary(max_size=6000), st.lists(st.integers(1, 2000)))
def test_any_octets_are_packets_or_the_end(octets, cuts):
    stack, link = connected()
    feed(stack, link, octets, cuts)
    assert b"".join(stack.taken) == octets[: sum(map(len, stack.taken))]
    assert all(int.from_bytes(taken[14:16], "big") == len(taken) for taken in stack.taken)


@given(st.lists(st.tuples(st.integers(16, PACKET_MAX), st.integers(0, 3000)), max_size=30))
def test_what_is_sent_arrives_whole_packet_by_packet_or_is_counted_as_lost(steps):
    stack, link = connected()
    for size, room in steps:
        stack.channel.room = room
        if stack.channel.watched[1]:
            link.tcp_writable(0, stack.channel)
        link.send(packet(size), size)
    stack.channel.room = 1 << 20
    if stack.channel.watched[1]:
        link.tcp_writable(0, stack.channel)
    arrived = stack.channel.take()
    assert stack.channel.sent == b""
    assert len(arrived) + link.lost == len(steps)
    sent = iter(packet(size) for size, _ in steps)
    assert all(any(each == candidate for candidate in sent) for each in arrived)
