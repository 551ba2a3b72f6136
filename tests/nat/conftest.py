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
