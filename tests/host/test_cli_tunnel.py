"""What `homeport tunnel` reads from its arguments, and what it shows."""

import json
from types import SimpleNamespace

import pytest
import typer
from homeport.cli import tunnel_view
from homeport.cli.tunnel import parse_forward
from homeport.cli.tunnel_view import JsonView, LiveView, PlainView, Rates, document, open_view, sentence, status_line
from homeport.client.session.paths import PathKind
from homeport.client.streams.forward import Target
from homeport.client.streams.news import Connected, Listening, Lost, Moved, NotYet, Refused
from homeport.client.streams.pump import Traffic
from homeport.errors import DeviceOffline, StreamError

NEWS = [
    (Connected(PathKind.RELAY, 120, False), "connected (relay, 120 ms)", "connected"),
    (Connected(PathKind.LOCAL, 3, True), "connected again (local, 3 ms)", "connected"),
    (Moved(PathKind.DIRECT), "the connection goes direct now", "path"),
    (Lost(DeviceOffline("gone")), "connection lost: gone; it is made again when it is needed, or soon", "lost"),
    (NotYet(DeviceOffline("off"), 4.0), "not connected yet: off; next try in 4 s, or with the next connection",
     "not_connected"),
    (Listening("127.0.0.1", 8022, "10.0.0.5", 22), "127.0.0.1:8022 leads to 10.0.0.5:22", "listening"),
    (Refused(8022, StreamError("no\x1b[0m slot", "busy")), "a connection to port 8022 failed: no\ufffd[0m slot",
     "refused"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("8022:192.168.1.10:22", Target("192.168.1.10", 22, 8022)),
        ("0:router:80", Target("router", 80, 0)),
        ("8080:80", Target("127.0.0.1", 80, 8080)),
        ("0.0.0.0:8022:10.0.0.5:22", Target("10.0.0.5", 22, 8022, "0.0.0.0")),
    ],
)
def test_forwards_have_three_forms(text, target):
    assert parse_forward(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        "a:b:c:d:e",
        "x:host:22",
        "8022:host:0",
        "8022:host:65536",
        "-1:h:22",
        "٣:22",
        "1::22",
        "1:a host:22",
        "1:h=x:22",
        f"1:{'h' * 128}:22",
    ],
)
def test_what_is_no_forward_is_refused_with_what_was_expected(text):
    with pytest.raises(typer.BadParameter, match="PORT:HOST:PORT|expected"):
        parse_forward(text)


@pytest.mark.parametrize(("news", "words", "event"), NEWS, ids=[news[2] for news in NEWS])
def test_what_happens_is_a_sentence_and_an_object(news, words, event):
    assert sentence(news) == words
    assert json.loads(json.dumps(document(news)))["event"] == event


def test_an_error_in_an_object_has_its_name_and_reason():
    assert document(Lost(DeviceOffline("gone"))) == {"event": "lost", "error": "DeviceOffline", "reason": "gone"}


def test_off_a_terminal_there_is_a_line_for_each_event_and_none_for_the_status(capsys):
    view = PlainView()
    view.tell(NEWS[0][0])
    view.show(None, 0, Traffic())
    traffic = Traffic()
    traffic.up, traffic.down = 1_234, 5_600_000
    view.close(traffic)
    assert capsys.readouterr().out == "connected (relay, 120 ms)\nstopped; 1.2 kB up, 5.6 MB down\n"


def test_with_json_each_line_is_an_object(capsys):
    view = JsonView()
    for news, _, _ in NEWS:
        view.tell(news)
    view.close(Traffic())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == [*(event for _, _, event in NEWS), "stopped"]


def test_the_status_says_path_round_trip_connections_and_rates():
    device = SimpleNamespace(path=PathKind.DIRECT, rtt_ms=12)
    assert status_line(device, 3, (0.0, 1_500_000.0)) == "direct, 12 ms | 3 open | up 0 B/s, down 1.5 MB/s"
    assert status_line(None, 0, (0.0, 0.0)) == "ready for reconnect"


def test_rates_are_what_passed_since_the_last_look(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(tunnel_view.time, "monotonic", lambda: now[0])
    rates, traffic = Rates(), Traffic()
    for up, down, expected in ((1_000, 0, (500.0, 0.0)), (1_000, 600, (0.0, 300.0))):
        now[0] += 2
        traffic.up, traffic.down = up, down
        assert rates.of(traffic) == expected


def test_a_terminal_gets_one_line_that_changes(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    view = open_view(False)
    assert isinstance(view, LiveView)
    view.tell(NEWS[0][0])
    view.show(SimpleNamespace(path=PathKind.RELAY, rtt_ms=40), 1, Traffic())
    view.tell(Moved(PathKind.DIRECT))
    view.close(Traffic())
    shown = capsys.readouterr().out
    assert "connected (relay, 120 ms)" in shown
    assert "relay, 40 ms | 1 open" in shown
    assert shown.endswith("stopped; 0 B up, 0 B down\n")
