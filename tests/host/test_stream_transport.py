"""A stream as an asyncio transport, on a stream that the test plays."""

import asyncio

import pytest
from homeport.client.streams import transport as module
from homeport.client.streams.transport import StreamTransport
from homeport.errors import StreamError
from homeport_core.stream import ABORTED, CLOSED, ENDED, READABLE, WRITABLE
from homeport_core.stream_states import CLOSED as STATE_CLOSED
from played_stream import PlayedStream


class Notes(asyncio.Protocol):
    """Writes down what it is told. `keeps_open` is its answer to the end of the other direction."""

    def __init__(self, keeps_open=True):
        self.keeps_open = keeps_open
        self.data = bytearray()
        self.told = []
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def eof_received(self):
        self.told.append("eof")
        return self.keeps_open

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, error):
        self.lost.set_result(error)


class Fixture:
    """A transport with its stream and protocol."""

    def __init__(self, keeps_open=True):
        self.stream = PlayedStream()
        self.wakes = 0
        self.ended = 0
        info = {"device": "demo", "peername": ("192.0.2.1", 5570), "path": "direct"}
        self.transport = StreamTransport(self.stream, info.get, self._wake, self._end)
        self.notes = Notes(keeps_open)
        self.transport.set_protocol(self.notes)

    def _wake(self):
        self.wakes += 1

    def _end(self):
        self.ended += 1

    def arrive(self, data):
        self.stream.unread += data
        self.transport.changed(READABLE)

    def peer_closes(self):
        self.stream.peer_closed = True
        self.transport.changed(ENDED)

    def both_closed(self):
        self.stream.state = STATE_CLOSED
        self.transport.changed(CLOSED)

    async def loss(self):
        async with asyncio.timeout(5):
            return await self.notes.lost


@pytest.fixture
async def one():
    return Fixture()


async def test_what_arrives_goes_to_the_protocol(one):
    one.arrive(b"hello")
    assert one.notes.data == b"hello"
    assert one.wakes


async def test_what_arrived_before_there_was_a_protocol_is_not_lost():
    stream = PlayedStream()
    stream.unread += b"early"
    transport = StreamTransport(stream, {}.get, lambda: None, lambda: None)
    transport.changed(READABLE)
    notes = Notes()
    transport.set_protocol(notes)
    await asyncio.sleep(0)
    assert notes.data == b"early"


async def test_a_paused_protocol_gets_nothing_and_the_stream_keeps_it(one):
    one.transport.pause_reading()
    assert not one.transport.is_reading()
    one.arrive(b"later")
    one.peer_closes()
    one.both_closed()
    assert (one.notes.data, one.notes.told, one.stream.readable) == (b"", [], 5)
    one.transport.resume_reading()
    assert await one.loss() is None
    assert (one.notes.data, one.notes.told) == (b"later", ["eof"])


async def test_a_protocol_may_pause_within_what_it_receives(one, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4)

    def pause(data):
        one.notes.data += data
        one.transport.pause_reading()

    one.notes.data_received = pause
    one.arrive(b"12345678")
    assert (one.notes.data, one.stream.readable) == (b"1234", 4)


async def test_what_the_stream_does_not_take_waits_in_order(one):
    one.stream.room = 3
    one.transport.write(b"abcdef")
    one.transport.write(b"ghi")
    assert (one.stream.written, one.transport.get_write_buffer_size()) == (b"abc", 6)
    one.stream.room = 100
    one.transport.changed(WRITABLE)
    assert (one.stream.written, one.transport.get_write_buffer_size()) == (b"abcdefghi", 0)


async def test_a_writer_is_paused_above_the_high_mark_and_resumed_at_the_low_one(one):
    one.transport.set_write_buffer_limits(high=100, low=20)
    assert one.transport.get_write_buffer_limits() == (20, 100)
    one.stream.room = 0
    one.transport.write(bytes(100))
    assert one.notes.told == []
    one.transport.write(bytes(1))
    assert one.notes.told == ["pause"]
    for room, told in ((80, ["pause"]), (1, ["pause", "resume"])):
        one.stream.room = room
        one.transport.changed(WRITABLE)
        assert one.notes.told == told


async def test_lowering_the_marks_below_what_waits_pauses_at_once(one):
    one.stream.room = 0
    one.transport.write(bytes(100))
    one.transport.set_write_buffer_limits(high=0)
    assert one.notes.told == ["pause"]


async def test_marks_that_contradict_each_other_are_refused(one):
    with pytest.raises(ValueError, match="at least low"):
        one.transport.set_write_buffer_limits(high=1, low=2)


async def test_the_end_of_our_direction_follows_what_was_written(one):
    one.stream.room = 2
    one.transport.write(b"abc")
    one.transport.write_eof()
    assert not one.stream.closed
    one.stream.room = 10
    one.transport.changed(WRITABLE)
    assert (one.stream.written, one.stream.closed) == (b"abc", True)
    with pytest.raises(RuntimeError):
        one.transport.write(b"more")


async def test_after_our_end_the_other_direction_goes_on(one):
    one.transport.write_eof()
    one.arrive(b"still")
    assert one.notes.data == b"still"
    assert not one.transport.is_closing()


async def test_the_peers_end_is_told_once_and_we_may_go_on(one):
    one.peer_closes()
    one.transport.changed(READABLE)
    assert one.notes.told == ["eof"]
    one.transport.write(b"x")
    assert one.stream.written == b"x"


async def test_a_protocol_that_does_not_keep_it_open_closes_at_the_peers_end():
    one = Fixture(keeps_open=False)
    one.peer_closes()
    assert one.transport.is_closing()
    assert one.stream.closed


async def test_when_both_ends_are_closed_the_protocol_is_told_and_the_stream_given_back(one):
    one.transport.write_eof()
    one.peer_closes()
    one.both_closed()
    assert await one.loss() is None
    assert (one.stream.released, one.ended) == (True, 1)


async def test_closing_sends_what_waits_and_drops_what_arrives(one):
    one.stream.room = 0
    one.transport.write(b"last words")
    one.transport.close()
    one.transport.close()
    one.arrive(b"nobody reads this")
    assert (one.notes.data, one.stream.readable) == (b"", 0)
    one.stream.room = 100
    one.transport.changed(WRITABLE)
    assert (one.stream.written, one.stream.closed) == (b"last words", True)
    one.transport.write(b"ignored")
    one.both_closed()
    assert await one.loss() is None
    assert one.stream.written == b"last words"


async def test_a_peer_that_never_closes_is_cut_off_in_the_end(monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 0)
    one = Fixture()
    one.transport.close()
    assert await one.loss() is None
    assert one.stream.aborted


async def test_a_peer_that_takes_what_was_written_is_waited_for_as_long_as_it_does(monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 0)
    one = Fixture()
    one.transport.write(bytes(100))
    one.transport.close()
    for _ in range(20):
        one.stream.progress += 1
        await asyncio.sleep(0)
    assert not one.stream.aborted
    assert await one.loss() is None
    assert one.stream.aborted


async def test_aborting_resets_the_stream(one):
    one.transport.write(b"x")
    one.transport.abort()
    one.transport.abort()
    assert await one.loss() is None
    assert (one.stream.aborted, one.stream.released, one.ended) == (True, True, 1)


async def test_a_reset_is_an_error_with_its_reason(one):
    one.stream.reason = "reset by the peer"
    one.transport.changed(ABORTED)
    error = await one.loss()
    assert isinstance(error, StreamError)
    assert isinstance(error, ConnectionError)
    assert (error.cause, str(error)) == ("reset", "the stream was cut off: reset by the peer")


async def test_a_protocol_that_fails_loses_its_stream_and_the_loop_is_told(one):
    contexts = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context))
    failure = ValueError("a protocol")

    def fail(data):
        raise failure

    one.notes.data_received = fail
    one.arrive(b"x")
    assert await one.loss() is failure
    assert one.stream.aborted
    assert one.ended == 1
    assert [context["exception"] for context in contexts] == [failure]


async def test_nothing_is_told_after_the_end(one):
    one.transport.abort()
    one.arrive(b"late")
    one.transport.changed(ABORTED)
    await one.loss()
    assert one.notes.data == b""


async def test_what_asyncio_asks_for_is_known(one):
    assert one.transport.get_extra_info("peername") == ("192.0.2.1", 5570)
    assert one.transport.get_extra_info("device") == "demo"
    assert one.transport.get_extra_info("socket", "none") == "none"
    assert one.transport.can_write_eof()
    assert one.transport.get_protocol() is one.notes


async def test_readers_and_writers_of_asyncio_work_on_it():
    stream = PlayedStream()
    transport = StreamTransport(stream, {}.get, lambda: None, lambda: None)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=8, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    writer.writelines([b"li", b"ne\n"])
    await writer.drain()
    assert stream.written == b"line\n"
    stream.unread += b"first\nsecond\n" + bytes(100)
    transport.changed(READABLE)
    stream.unread += b"kept back"
    transport.changed(READABLE)
    assert stream.readable == 9, "a full reader pauses the transport"
    assert await reader.readline() == b"first\n"
    assert await reader.readline() == b"second\n"
    assert await reader.readexactly(109) == bytes(100) + b"kept back"
    stream.peer_closed = True
    transport.changed(ENDED)
    assert await reader.read() == b""
    writer.close()
    stream.state = STATE_CLOSED
    transport.changed(CLOSED)
    await writer.wait_closed()
