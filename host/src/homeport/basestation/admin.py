"""The operator's HTTP port: `/metrics` for Prometheus and `/healthz`. It has no log-in, so it listens on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_CONCURRENCY_MAX = 32
_KEEP_ALIVE_S = 5


@dataclass(slots=True, frozen=True)
class Figures:
    """What the admin port shows. `counters`: part → name → how often since the start."""

    gauges: Mapping[str, int]
    counters: Mapping[str, Mapping[str, int]]
    problems: Mapping[str, str]
    """What is wrong just now, by part; empty: healthy."""


class _Figures(Collector):
    """Reads the figures when asked, so that counting costs the machines nothing but an addition."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        figures = self._figures()
        for name, value in figures.gauges.items():
            yield GaugeMetricFamily(f"homeport_{name}", _words(name), value=value)
        for part, counters in figures.counters.items():
            family = CounterMetricFamily(f"homeport_{part}", f"What happened in the {_words(part)}", labels=["what"])
            for name, value in counters.items():
                family.add_metric([name], value)
            yield family
        yield GaugeMetricFamily("homeport_healthy", "1 when nothing is wrong", value=int(not figures.problems))


def _words(name: str) -> str:
    return name.replace("_", " ")


def admin_app(figures: Callable[[], Figures]) -> Starlette:
    """The ASGI application."""
    registry = CollectorRegistry()
    registry.register(_Figures(figures))

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        now = figures()
        body = {"status": "failing" if now.problems else "ok", "problems": dict(now.problems), **now.gauges}
        return JSONResponse(body, status_code=503 if now.problems else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz)])


class _Server(uvicorn.Server):
    """uvicorn, without its hands on the process's signals: the basestation stops in an order of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Admin:
    """The admin port on a bound socket."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        config = uvicorn.Config(
            admin_app(figures),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONCURRENCY_MAX,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    def start(self, listener: socket.socket) -> None:
        """Serve until `close`."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        """Stop; requests in progress have a second to finish."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
