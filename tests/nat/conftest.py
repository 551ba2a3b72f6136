"""One world for all path tests: a basestation, and a home for each kind of NAT on either side."""

import pytest
from nat_world import World
from parts import Parts


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    with World() as world:
        made = Parts(world, tmp_path_factory.mktemp("parts"))
        made.start_basestation()
        yield made
