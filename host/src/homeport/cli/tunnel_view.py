"""What `homeport tunnel` shows: a live status line on a terminal, plain lines elsewhere, objects with --json."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Protocol

from homeport.client.device import Device
from homeport.client.streams.news import Connected, Listening, Lost, Moved, News, NotYet, Refused
from homeport.client.streams.pump import Traffic
from homeport.wire import printable

_TEXT_MAX = 300


class View(Protocol):
    """Something that shows what happens."""

    def tell(self, news: News) -> None:
        """Something happened."""

    def show(self, device: Device | None, connections: int, traffic: Traffic) -> None:
        """This is how it is now."""

    def close(self, traffic: Traffic) -> None:
        """It is over."""


def open_view(as_json: bool) -> View:
    """The view for where the output goes."""
    if as_json:
        return JsonView()
    return LiveView() if sys.stdout.isatty() else PlainView()


def sentence(news: News) -> str:
    """What happened, in words for one line."""
    match news:
        case Connected(path, connect_ms, again):
            return f"{'connected again' if again else 'connected'} ({path}, {connect_ms} ms)"
        case Moved(path):
            return f"the connection goes {path} now"
        case Lost(error):
            return f"connection lost: {_text(error)}; it is made again when it is needed, or soon"
        case NotYet(error, retry_s):
            return f"not connected yet: {_text(error)}; next try in {retry_s:g} s, or with the next connection"
        case Listening(bind, local_port, host, port):
            return f"{bind}:{local_port} leads to {host}:{port}"
        case Refused(local_port, error):
            return f"a connection to port {local_port} failed: {_text(error)}"


def document(news: News) -> dict[str, Any]:
    """What happened, as one JSON object."""
    values: dict[str, Any] = {"event": _EVENTS[type(news)]}
    for name, value in vars(news).items():
        if isinstance(value, Exception):
            values |= {"error": type(value).__name__, "reason": _text(value)}
        else:
            values[name] = value
    return values


class PlainView:
    """One line for everything that happens."""

    def tell(self, news: News) -> None:
        print(sentence(news), flush=True)

    def show(self, device: Device | None, connections: int, traffic: Traffic) -> None:
        """Lines that repeat themselves help nobody."""

    def close(self, traffic: Traffic) -> None:
        print(f"stopped; {_size(traffic.up)} up, {_size(traffic.down)} down", flush=True)


class JsonView:
    """One object for everything that happens."""

    def tell(self, news: News) -> None:
        print(json.dumps(document(news)), flush=True)

    def show(self, device: Device | None, connections: int, traffic: Traffic) -> None:
        """Only what happens is an event."""

    def close(self, traffic: Traffic) -> None:
        print(json.dumps({"event": "stopped", "up": traffic.up, "down": traffic.down}), flush=True)


class LiveView:
    """One line that is kept up to date; what happens scrolls by above it."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(auto_refresh=False, transient=True)
        self._rates = Rates()
        self._started = False

    def tell(self, news: News) -> None:
        from rich.text import Text

        self._live.console.print(Text(sentence(news)))

    def show(self, device: Device | None, connections: int, traffic: Traffic) -> None:
        from rich.text import Text

        if not self._started:
            self._started = True
            self._live.start()
        text = Text(status_line(device, connections, self._rates.of(traffic)), no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=True)

    def close(self, traffic: Traffic) -> None:
        if self._started:
            self._live.stop()
        PlainView().close(traffic)


class Rates:
    """Octets per second each way, from looks at the counters."""

    def __init__(self) -> None:
        self._seen = (time.monotonic(), 0, 0)

    def of(self, traffic: Traffic) -> tuple[float, float]:
        """The rates since the last look."""
        then_s, up, down = self._seen
        self._seen = now_s, now_up, now_down = (time.monotonic(), traffic.up, traffic.down)
        passed_s = max(now_s - then_s, 0.001)
        return (now_up - up) / passed_s, (now_down - down) / passed_s


def status_line(device: Device | None, connections: int, rates: tuple[float, float]) -> str:
    """How it is now, in one line."""
    if device is None:
        return "ready for reconnect"
    round_trip = "" if device.rtt_ms is None else f", {device.rtt_ms} ms"
    up, down = rates
    return f"{device.path}{round_trip} | {connections} open | up {_size(up)}/s, down {_size(down)}/s"


_EVENTS = {
    Connected: "connected",
    Moved: "path",
    Lost: "lost",
    NotYet: "not_connected",
    Listening: "listening",
    Refused: "refused",
}


def _text(error: Exception) -> str:
    return printable(str(error), _TEXT_MAX)


def _size(octets: float) -> str:
    for unit in ("B", "kB", "MB"):
        if octets < 1000:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} GB"
