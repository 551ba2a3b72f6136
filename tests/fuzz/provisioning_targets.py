"""Fuzz targets of provisioning: records, lists of users, the text of a label, and what a board may say."""

from __future__ import annotations

from collections.abc import Callable

from homeport.errors import BoardError, ConfigError
from homeport.label import label_text, parse_label
from homeport.provisioning.board import SerialTarget
from homeport.provisioning.raw_repl import RawRepl
from homeport.provisioning.users import USERS_MAX, convert_users, describe_users
from homeport_core.provisioning import check_config, check_secrets, dump, load
from homeport_core.users_file import HEADER_LEN, RECORD_LEN

_STEP_S = 1.0


def provisioning_record(data: bytes) -> None:
    """What is taken is in its one form, and what is in use keeps to the rules."""
    try:
        document = load(data)
    except ConfigError:
        return
    assert dump(document) == data
    for check in (check_secrets, check_config):
        try:
            check(document)
        except ConfigError:
            continue


def users_list(data: bytes) -> None:
    """A list that is taken is whole, and stays what it is."""
    try:
        payload = convert_users(data)
    except ConfigError:
        return
    users = describe_users(payload)
    assert len(users) <= USERS_MAX
    assert len(payload) == HEADER_LEN + len(users) * RECORD_LEN
    assert convert_users(payload) == payload


def label(data: bytes) -> None:
    """A label that is read says the same when it is written again."""
    try:
        device_id, secret = parse_label(data.decode("utf-8", "replace"))
    except ConfigError:
        return
    if device_id is not None:
        assert parse_label(label_text(device_id, secret)) == (device_id, secret)


class _Noise:
    """A line on which the octets come, whatever is sent; then silence, in which time passes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.now_s = 0.0

    def write(self, data: bytes) -> int:
        return len(data)

    def read(self, size: int) -> bytes:
        self.now_s += _STEP_S
        data, self._data = self._data[:size], self._data[size:]
        return data

    def close(self) -> None:
        """Nothing is held."""


def serial_board(data: bytes) -> None:
    """Octets from a port: one error, or the facts of a board."""
    for start in (b"", b"raw REPL; CTRL-B to exit\r\n>soft reboot\r\nraw REPL; CTRL-B to exit\r\n>"):
        line = _Noise(start + data)
        target = SerialTarget(lambda line=line: line)  # type: ignore[misc]
        target._repl = RawRepl(line, lambda line=line: line.now_s)  # type: ignore[misc]
        try:
            target.open()
        except (BoardError, ConfigError) as error:
            assert str(error).isprintable()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "label": label,
    "provisioning_record": provisioning_record,
    "serial_board": serial_board,
    "users_list": users_list,
}
