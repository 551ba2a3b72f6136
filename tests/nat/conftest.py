"""One world for all path tests: a basestation, and a home for each kind of NAT on either side.

Where the machine does not let us make network namespaces these tests are left out, and the report's last lines say so;
with NAT_REQUIRED set, as in continuous integration, they fail instead.
"""

import os

import pytest
from nat_world import World
from netns import NamespaceError, Node
from parts import Parts

_REQUIRED_VARIABLE = "NAT_REQUIRED"


def _obstacle() -> str:
    """Why no namespace can be made here; empty when one can."""
    try:
        node = Node("trial")
        node.nft("add table ip trial")
        node.close()
    except NamespaceError as error:
        return str(error)
    return ""


_LEFT_OUT_BECAUSE = "" if os.environ.get(_REQUIRED_VARIABLE) else _obstacle()
collect_ignore_glob = ["test_*.py"] if _LEFT_OUT_BECAUSE else []


def pytest_terminal_summary(terminalreporter):
    if _LEFT_OUT_BECAUSE:
        terminalreporter.write_line(f"tests/nat left out: {_LEFT_OUT_BECAUSE}", yellow=True)


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    with World() as world:
        made = Parts(world, tmp_path_factory.mktemp("parts"))
        made.start_basestation()
        yield made


@pytest.fixture
def home(parts):
    """Make homes with one host each: (home, host)."""

    def make(nat):
        made = parts.world.home(nat)
        return made, made.host()

    return make


@pytest.fixture
def device(parts):
    """Start an attached device in a namespace."""

    def start(host, *options):
        made = parts.device(host, *options)
        made.wait_until_attached()
        return made

    return start


@pytest.fixture
def client(parts):
    """Start a client in a namespace."""
    started = []

    def start(host):
        started.append(parts.client(host))
        return started[-1]

    yield start
    for made in started:
        made.close()
