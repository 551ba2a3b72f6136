"""The operator's log: one JSON object a line. Text that came from a peer is printable and capped; secrets are never
passed in (fingerprints, device ids, NSIs and addresses are not secret, keys are)."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TextIO

from homeport.wire import printable

_TEXT_MAX = 300
_TRACE_MAX = 4_000


class JsonLog:
    """Call it with an event's name and facts: `log("device_attached", device=…)`.

    A full disk or a closed pipe costs lines, never the basestation; how many, says the next line that gets through.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lost = 0

    def __call__(self, event: str, **facts: object) -> None:
        """Write one line at level `info`, or at `facts["level"]`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": "info", "event": event, **{name: _plain(value) for name, value in facts.items()}}
        if self._lost:
            line["lines_lost"] = self._lost
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._stream.flush()
            self._lost = 0
        except OSError:
            self._lost += 1


class LibraryLog(logging.Handler):
    """What libraries say through `logging`, and exceptions nobody caught, as lines of the same form."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        facts: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            facts["trace"] = trace[-_TRACE_MAX:].splitlines()
        self._log("library", level=record.levelname.lower(), **facts)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return printable(str(value), _TEXT_MAX)
