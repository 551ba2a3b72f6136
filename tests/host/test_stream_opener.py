"""What a service answers to its command, and which commands there can be."""

import asyncio

import pytest
from homeport.client.streams import opener
from homeport.client.streams.opener import COMMAND_MAX, DeviceStreams, take_answer
from homeport.errors import ConfigError, StreamError, Timeout


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
