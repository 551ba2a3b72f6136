"""The raw prompt, spoken with a line of paper: each thing that a board may say instead has its error."""

import pytest
from homeport.boards.descriptors import load_board
from homeport.errors import BoardError, ConfigError
from homeport.provisioning.board import Facts, SerialTarget, check_board
from homeport.provisioning.raw_repl import ProgramFailed, RawRepl

BANNER = b"raw REPL; CTRL-B to exit\r\n>"
REBOOT = b"\r\nMPY: soft reboot\r\n"


class Clock:
    """Time that passes only while somebody waits in vain."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Line:
    """Answers what the host says by `answers`: (what it ends with, what comes back), each in turn."""

    def __init__(self, *answers):
        self.clock = Clock()
        self.sent = b""
        self.is_closed = False
        self._answers = list(answers)
        self._waiting = b""

    def write(self, data):
        self.sent += data
        if self._answers and self.sent.endswith(self._answers[0][0]):
            self._waiting += self._answers.pop(0)[1]

    def read(self, size):
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        if not data:
            self.clock.now_s += 0.05
        return data

    def close(self):
        self.is_closed = True


def repl(*answers):
    line = Line(*answers)
    return RawRepl(line, line.clock), line


ENTER = [(b"\r\x01", b"junk\r\n" + BANNER), (b"\x04", REBOOT + BANNER)]


def paste(printed=b"", failure=b"", window=b"\x00\x01"):
    """What a board that can paste says to one program."""
    return [(b"\x05A\x01", b"R\x01" + window), (b"\x04", b"\x04" + printed + b"\x04" + failure + b"\x04>")]


def test_it_enters_and_runs():
    prompt, line = repl(*ENTER, *paste(b"42\r\n"))
    prompt.enter()
    assert prompt.run("print(42)") == "42\r\n"
    assert line.sent.startswith(b"\r\x03\r\x01\x04\x05A\x01")
    assert line.sent.endswith(b"print(42)\x04")


def test_a_board_that_answers_late_is_asked_again():
    prompt, line = repl((b"\r\x03\r\x01\r\x03\r\x01", BANNER), (b"\x04", REBOOT + BANNER))
    prompt.enter()
    assert line.sent.count(b"\x03") == 2


def test_no_more_is_pasted_than_there_is_room_for():
    program = "x" * 250
    prompt, line = repl(
        (b"\x05A\x01", b"R\x01\x64\x00"), (b"x" * 100, b"\x01"), (b"x" * 200, b"\x01"), (b"\x04", b"\x04\x04\x04>")
    )
    assert prompt.run(program) == ""
    assert line.sent.endswith(program.encode() + b"\x04")


@pytest.mark.parametrize("refusal", [b"R\x00", b"ra" + BANNER])
def test_a_board_that_cannot_paste_is_typed_to(refusal):
    prompt, line = repl((b"\x05A\x01", refusal), (b"\x04", b"OK7\r\n\x04\x04>"), (b"\x04", b"OK8\r\n\x04\x04>"))
    assert prompt.run("print(7)") == "7\r\n"
    assert prompt.run("print(8)") == "8\r\n"
    assert line.sent.count(b"\x05") == 1


@pytest.mark.parametrize("window", [b"\x00\x00", b"\x00\x01"])
def test_a_board_that_grants_room_without_end_is_given_up(window):
    class Generous(Line):
        def read(self, size):
            self.clock.now_s += 0.05
            return super().read(size) or b"\x01" * size

    line = Generous((b"\x05A\x01", b"R\x01" + window))
    with pytest.raises(BoardError, match="lost track"):
        RawRepl(line, line.clock).run("print(42)")


def test_an_exception_is_told_by_its_name_alone():
    traceback = b'Traceback (most recent call last):\r\n  File "<stdin>", line 1\r\nOSError: secret\r\n'
    prompt, _ = repl(*paste(b"", traceback))
    with pytest.raises(ProgramFailed) as caught:
        prompt.run("secret")
    assert (caught.value.kind, str(caught.value)) == ("OSError", "the board's program failed: OSError")


def test_a_traceback_of_nonsense_is_not_repeated():
    prompt, _ = repl(*paste(b"", b"\x1b[2J secret"))
    with pytest.raises(ProgramFailed, match="the board's program failed: unknown error"):
        prompt.run("secret")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "the board does not answer"),
        ([(b"\r\x01", b"login: ")], "the board does not answer"),
        ([(b"\r\x01", BANNER)], "does not start anew"),
        ([(b"\r\x01", BANNER), (b"\x04", REBOOT)], "does not start anew"),
    ],
)
def test_what_does_not_enter_is_given_up(answers, reason):
    prompt, _ = repl(*answers)
    with pytest.raises(BoardError, match=reason):
        prompt.enter()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "does not answer"),
        ([(b"\x05A\x01", b"R\x01")], "does not answer"),
        ([(b"\x05A\x01", b"R\x01\x01\x00"), (b"s", b"?")], "lost track"),
        ([(b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"?")], "lost track"),
        ([(b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"\x04abc")], "did not finish in time"),
        ([(b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"\x04\x04\x04?")], "lost track"),
        ([(b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"\x04" + b"x" * 70_000)], "talks without end"),
        ([(b"\x05A\x01", b"R\x00"), (b"\x04", b"??")], "lost track"),
    ],
)
def test_a_program_that_gets_no_sound_answer_fails(answers, reason):
    prompt, _ = repl(*answers)
    with pytest.raises(BoardError, match=reason):
        prompt.run("secret")


@pytest.mark.parametrize("method", ["read", "write"])
def test_a_lost_line_is_called_that(method):
    prompt, line = repl(*ENTER)

    def fail(_):
        raise OSError(5, "Input/output error")

    setattr(line, method, fail)
    with pytest.raises(BoardError, match="the line to the board was lost"):
        prompt.enter()


def test_listening_ends_with_the_line_that_was_waited_for():
    prompt, line = repl((b"\x04", b"noise\r\nready now\r\nmore"))
    line.write(b"\x04")
    assert prompt.listen(lambda text: text.startswith("ready"), 10) == "noise\r\nready now\r\nmore"


def test_listening_ends_in_time():
    prompt, line = repl((b"\x04", b"noise\r\nready"))
    line.write(b"\x04")
    assert prompt.listen(lambda text: text.startswith("ready"), 10) == "noise\r\nready"
    assert 10 <= line.clock.now_s < 11


FACTS = (
    b'homeport-provision {"version": "1", "platform": "esp32", "machine": "M", "number": "00", "id": null, "records": '
    b'{"secrets": ["missing", 0], "config": ["missing", 0], "users": ["missing", 0], "factory": ["missing", 0]}}\r\n'
)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (b"", "answers nonsense"),
        (b"homeport-provision 7\r\n", "answers nonsense"),
        (b"homeport-provision {\r\n", "answers nonsense"),
        (b"homeport-provision {}\r\n", "answers nonsense"),
        (b'homeport-provision {"error": "\\u001b[2J no"}\r\n', "the board refuses: "),
        (FACTS.replace(b'["missing", 0]', b"[]"), "answers nonsense"),
        (b"homeport-provision " + b"[" * 5000 + b"\r\n", "answers nonsense"),
    ],
)
def test_a_board_that_answers_nonsense_is_refused(printed, reason):
    line = Line(*ENTER, *paste(), *paste(printed))
    with pytest.raises(BoardError, match=reason) as caught:
        SerialTarget(lambda: line).open()
    assert str(caught.value).isprintable()


def test_a_port_that_goes_while_the_board_starts_again_is_opened_again():
    lines = [Line(*ENTER, *paste(), *paste(FACTS), (b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"\x04")), Line()]
    first, second = lines

    def gone(_):
        raise OSError(5, "Input/output error")

    target = SerialTarget(lambda: lines.pop(0))
    assert target.open().platform == "esp32"
    second._waiting = b"ready local-port=5570 id=x remote=on\r\nhomeport: attached to 10.0.0.1:5565\r\n"
    start = target._repl.start

    def start_and_go(program):
        start(program)
        first.read = gone

    target._repl.start = start_and_go
    assert target.restart(5) == "attached to 10.0.0.1:5565"
    assert first.is_closed


def test_a_board_that_says_nothing_of_itself_has_no_state():
    line = Line(*ENTER, *paste(), *paste(FACTS), (b"\x05A\x01", b"R\x01\x00\x01"), (b"\x04", b"\x04>>> "))
    target = SerialTarget(lambda: line)
    target.open()
    assert target.restart(0.01) is None


def facts(platform, machine):
    return Facts("1", platform, machine, "00", None, {})


@pytest.mark.parametrize(
    ("platform", "machine", "board"),
    [
        ("esp32", "Generic ESP32 module with ESP32", "esp32"),
        ("esp32", "Generic ESP32S3 module with ESP32S3", "esp32_s3"),
        ("esp32", "Somebody's own board", "esp32_c3"),
        ("rp2", "Raspberry Pi Pico 2 W with RP2350", "pico2_w"),
    ],
)
def test_the_board_that_was_expected_is_taken(platform, machine, board):
    check_board(facts(platform, machine), load_board(board))


@pytest.mark.parametrize(
    ("platform", "machine", "board", "reason"),
    [
        ("esp32", "Generic ESP32S3 module with ESP32S3", "esp32", "this is a board with ESP32S3, not esp32"),
        ("rp2", "Raspberry Pi Pico W with RP2040", "pico2_w", "this is a board with RP2040, not pico2_w"),
        ("rp2", "Raspberry Pi Pico W with RP2040", "esp32", "this is a board of platform rp2, not esp32"),
    ],
)
def test_another_board_is_refused_by_what_it_is(platform, machine, board, reason):
    with pytest.raises(ConfigError, match=reason):
        check_board(facts(platform, machine), load_board(board))
