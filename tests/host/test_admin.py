"""The admin port: figures as Prometheus reads them, health with its problems, and a server that starts and stops."""

import asyncio

import httpx
import pytest
from homeport.basestation.admin import Admin, Figures, admin_app
from homeport.tcp import listen
from prometheus_client.parser import text_string_to_metric_families


class Source:
    def __init__(self):
        self.problems = {}

    def __call__(self):
        return Figures({"attached": 3, "uptime_s": 7}, {"gsp": {"connects": 5, "drop_auth": 2}}, self.problems)


@pytest.fixture
def source():
    return Source()


@pytest.fixture
async def http(source):
    transport = httpx.ASGITransport(admin_app(source))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        yield client


async def test_metrics_are_what_prometheus_reads(http):
    answer = await http.get("/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples[("homeport_attached",)] == 3
    assert samples[("homeport_gsp_total", "connects")] == 5
    assert samples[("homeport_gsp_total", "drop_auth")] == 2
    assert samples[("homeport_healthy",)] == 1


async def test_figures_are_read_anew_each_time(http, source):
    await http.get("/metrics")
    source.problems = {"database": "disk full"}
    assert "homeport_healthy 0.0" in (await http.get("/metrics")).text


async def test_health_is_ok_when_nothing_is_wrong(http):
    answer = await http.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "problems": {}, "attached": 3, "uptime_s": 7}


async def test_health_names_the_problem(http, source):
    source.problems = {"database": "disk full"}
    answer = await http.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"database": "disk full"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
async def test_there_is_nothing_else(http, method, path, status):
    assert (await http.request(method, path)).status_code == status


async def test_the_port_serves_until_it_is_closed(source):
    listener = listen(("127.0.0.1", 0))
    address = listener.getsockname()
    admin = Admin(source)
    admin.start(listener)
    async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        assert (await client.get("/healthz")).status_code == 200
    await admin.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
