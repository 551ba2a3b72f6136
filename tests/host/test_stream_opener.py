"""What a service answers to its command, and which commands there can be."""

import asyncio

import pytest
from homeport.client.session.events import StreamChanged
from homeport.client.session.states import State
from homeport.client.streams import opener
from homeport.client.streams.opener import COMMAND_MAX, DeviceStreams, take_answer
from homeport.errors import ConfigError, StreamError, Timeout
from homeport_core.stream import OPENED
from homeport_core.stream_states import ABORTED, ESTABLISHED


def reader_with(data, ends=False):
    reader = asyncio.StreamReader(limit=600)
    reader.feed_data(data)
    if ends:
        reader.feed_eof()
    return reader


async def test_a_yes_is_taken_and_what_follows_is_left():
    reader = reader_with(b"+ ready\nfirst octets")
    await take_answer(reader, "echo")
    assert await reader.readexactly(12) == b"first octets"


async def test_a_no_is_an_error_with_the_services_words_made_printable():
    with pytest.raises(StreamError, match="cannot open uart\ufffd") as caught:
        await take_answer(reader_with(b"-cannot open uart\x07\n"), "uart")
    assert caught.value.cause == "refused"
    assert caught.value.next_step


async def test_an_end_without_an_answer_means_that_there_is_no_such_service():
    with pytest.raises(StreamError, match="does not offer 'fly'") as caught:
        await take_answer(reader_with(b"", ends=True), "fly")
    assert caught.value.cause == "unknown"


async def test_a_service_that_answers_no_line_is_told_apart():
    with pytest.raises(StreamError, match="did not answer by a line"):
        await take_answer(reader_with(bytes(5_000)), "echo")


async def test_a_service_that_says_nothing_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(opener, "ANSWER_S", 0)
    with pytest.raises(Timeout, match="'echo' did not answer"):
        await take_answer(reader_with(b""), "echo")


@pytest.mark.parametrize("command", [b"two\nlines", b"x" * COMMAND_MAX])
async def test_a_command_is_one_line_of_bounded_size(command):
    with pytest.raises(ConfigError, match="one line"):
        await DeviceStreams("demo", None, None).open(command)


class BusyHub:
    """A hub and a session in one, too busy to send what its stream has."""

    state, path = State.OPEN, None

    def open_stream(self, now_ms, is_own_address=False):
        return Opened(self)

    def wake_streams(self, now_ms):
        return False

    def arm(self): ...

    def timeout(self, now_ms): ...

    def flush(self, session): ...


class Opened:
    """That stream."""

    def __init__(self, hub):
        self.state, self.has_unsent, self.reason = ESTABLISHED, True, "reset by the peer"
        self.written = b""
        self.is_released = False
        hub.stream = self

    def write(self, now_ms, data):
        self.written += data
        return len(data)

    def abort(self, now_ms): ...

    def release(self):
        self.is_released = True


async def opening(hub):
    """An `open` that waits for its command to leave."""
    streams = DeviceStreams("demo", hub, hub)
    task = asyncio.create_task(streams.open(b"echo"))
    await asyncio.sleep(0)
    streams.changed(StreamChanged(hub.stream, OPENED))
    while not hub.stream.written:
        await asyncio.sleep(0)
    return task


async def test_nothing_can_be_written_before_the_command_has_left():
    """The reference takes all of its segment for the command."""
    hub = BusyHub()
    task = await opening(hub)
    await asyncio.sleep(0.01)
    assert not task.done()
    hub.stream.has_unsent = False
    await task
    assert hub.stream.written == b"echo\n"


async def test_a_stream_that_ends_before_its_command_has_left_is_an_error():
    hub = BusyHub()
    task = await opening(hub)
    hub.stream.state = ABORTED
    with pytest.raises(StreamError, match="reset by the peer"):
        await task
    assert hub.stream.is_released
