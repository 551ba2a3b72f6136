"""End-to-end keys from the command line, with real processes: pairing by a label, and what follows from it."""

import contextlib
import itertools
import shutil
import subprocess

import pytest
from processes import (
    HOMEPORT,
    KEY,
    RUN_TIMEOUT_S,
    CommandLine,
    Ports,
    basestation,
    device,
    environment,
    only_error_line,
)

NUMBERS = itertools.count()
LABEL = "00112233-44556677-8899aabb-ccddeeff"


class Site:
    """A basestation, a device "demo" with a secret on its label, and one without ("plain")."""

    def __init__(self, path, runtime):
        self.path = path
        self.runtime = runtime
        self.ports = Ports()
        self.plain_ports = Ports(controller=self.ports.controller)
        self.root = path / "var"
        operator = CommandLine(path / "nobody")
        self.pin = operator.answer("basestation", "init", self.root)["pin"]
        for device_id in ("demo", "plain"):
            operator.answer("device", "add", device_id, "--key", KEY, "--dir", self.root)
        (path / "label").write_text(LABEL + "\n")
        self.label = ["--label-secret-file", path / "label"]
        self.demo = f"demo@127.0.0.1:{self.ports.local}"
        self.plain = f"plain@127.0.0.1:{self.plain_ports.local}"

    def run_demo(self):
        return device(self.ports, self.path / "demo", until="attached to", runtime=self.runtime, label=LABEL)

    def run_plain(self):
        return device(
            self.plain_ports, self.path / "plain", device_id="plain", until="attached to", runtime=self.runtime
        )

    def client(self, name, *options):
        client = CommandLine(self.path / name)
        where = ["--basestation", f"127.0.0.1:{self.ports.gate}", "--pin", self.pin]
        client.answer("profile", "create", name, "--no-password", *where, *options)
        return client


@pytest.fixture(scope="module", params=["micropython", "cpython"])
def site(request, tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("keys"), request.param)
    with basestation(site.root, site.ports), site.run_demo(), site.run_plain():
        site.paired = site.client("owner").answer("pair", site.demo, *site.label)
        yield site


@pytest.fixture
def owner(site):
    return CommandLine(site.path / "owner")


@pytest.fixture
def client(site):
    """A client of this test, who leaves no trace."""
    name = f"client{next(NUMBERS)}"
    yield site.client(name)
    shutil.rmtree(site.path / name)


@contextlib.contextmanager
def guest(site, owner, name):
    """A second user with a key, who may come through the internet."""
    client = site.client(name)
    fingerprint = client.answer("pair", site.demo, *site.label)["fingerprint"]
    owner.answer("acl", "demo", "allow", fingerprint, "--path", "relay")
    try:
        yield client, fingerprint
    finally:
        owner.run("acl", "demo", "remove", fingerprint, "--path", "relay")
        shutil.rmtree(site.path / name)


def test_pairing_by_the_label_says_that_there_is_a_key(site):
    paired = site.paired
    assert (paired["end_to_end"], paired["encrypted"], paired["role"]) == (True, True, "owner")
    assert paired["reason"] == "the device has this client's own key"


def test_pairing_again_finds_the_key(site, owner):
    again = owner.answer("pair", site.demo, *site.label)
    assert (again["already_paired"], again["end_to_end"]) == (True, True)


@pytest.mark.parametrize("path", ["relay", "direct", "tls", "auto"])
def test_status_through_the_basestation_is_end_to_end(owner, path):
    status = owner.answer("status", "demo", "--path", path, "--require-end-to-end")
    assert (status["end_to_end"], status["encrypted"], status["user"]["name"]) == (True, True, "owner")


def test_a_local_connection_uses_the_key_too(site, owner):
    status = owner.answer("status", site.demo, "--require-end-to-end")
    assert (status["path"], status["end_to_end"], status["encrypted"]) == ("local", True, True)


def test_the_owner_administers_over_it(owner):
    assert [user["name"] for user in owner.answer("acl", "demo", "list", "--path", "relay")["users"]] == ["owner"]


def test_a_device_without_a_label_is_paired_in_clear_and_it_says_so(site, client):
    paired = client.answer("pair", site.plain)
    assert (paired["end_to_end"], paired["encrypted"]) == (False, False)
    assert "in clear" in paired["reason"]
    status = client.answer("status", "plain", "--path", "relay")
    assert (status["end_to_end"], status["encrypted"]) == (False, True)


@pytest.mark.parametrize("where", ["relay", "local"])
def test_requiring_it_of_a_device_without_is_refused_with_what_to_do(site, client, where):
    target = ["plain", "--path", "relay"] if where == "relay" else [site.plain]
    done = client.run("status", *target, "--require-end-to-end")
    assert done.returncode == 5
    line = only_error_line(done)
    assert "no end-to-end key" in line
    assert "--label-secret" in line


def test_a_profile_that_requires_it_does_not_pair_in_clear(site):
    client = site.client("strict", "--require-end-to-end")
    assert "no end-to-end key" in only_error_line(client.run("pair", site.plain))


def test_a_wrong_secret_is_one_line(site, client, tmp_path):
    (tmp_path / "wrong").write_text("00" * 16)
    done = client.run("pair", site.demo, "--label-secret-file", tmp_path / "wrong")
    assert done.returncode == 5
    assert "not the one of this device's label" in only_error_line(done)


def test_a_secret_for_a_device_without_one_is_one_line(site, client):
    done = client.run("pair", site.plain, *site.label)
    assert done.returncode == 5
    assert "has no secret set" in only_error_line(done)


def test_another_key_can_be_agreed_on_from_anywhere(site, owner):
    shutil.copytree(site.path / "owner", site.path / "old")
    for target in (["demo", "--path", "relay"], [site.demo], ["demo", "--path", "direct"]):
        owner.answer("key", "renew", *target)
        assert owner.answer("status", "demo", "--path", "relay")["end_to_end"] is True
    done = CommandLine(site.path / "old").run("status", "demo", "--path", "relay")
    assert done.returncode == 5
    assert "does not know this client's end-to-end key" in only_error_line(done)
    shutil.rmtree(site.path / "old")


def test_a_profile_that_lost_its_key_is_told_what_to_do(site, owner):
    shutil.copytree(site.path / "owner", site.path / "lost")
    shutil.rmtree(site.path / "lost" / "profiles" / "owner" / "keys")
    lost = CommandLine(site.path / "lost")
    done = lost.run("call", "demo", "get_current_user", "--path", "relay")
    assert done.returncode == 5
    assert "is not in this profile" in only_error_line(done)
    assert "knows this client already" in only_error_line(lost.run("pair", site.demo, *site.label))
    shutil.rmtree(site.path / "lost")


def test_an_owner_removes_a_user_and_the_key_with_them(site, owner):
    with guest(site, owner, "removed") as (client, fingerprint):
        assert client.answer("status", "demo", "--path", "relay")["end_to_end"] is True
        owner.answer("acl", "demo", "remove", fingerprint, "--path", "relay")
        assert client.run("status", "demo", "--path", "relay").returncode == 5
        done = client.run("status", site.demo)
        assert "pair again" in only_error_line(done)
        assert client.answer("pair", site.demo, *site.label)["end_to_end"] is True


def test_giving_the_key_up_makes_the_connection_what_it_was(site, owner):
    with guest(site, owner, "open") as (client, _):
        client.answer("key", "remove", "demo", "--path", "relay")
        status = client.answer("status", "demo", "--path", "relay")
        assert (status["end_to_end"], status["encrypted"]) == (False, True)
        assert client.answer("key", "list")["devices"] == []


def test_who_removes_themselves_keeps_no_key(site, owner):
    with guest(site, owner, "leaver") as (client, fingerprint):
        owner.answer("acl", "demo", "allow", fingerprint, "--admin", "--path", "relay")
        client.answer("acl", "demo", "remove", fingerprint, "--path", "relay")
        assert client.answer("key", "list")["devices"] == []


def test_after_a_reset_of_the_device_one_pairs_again(tmp_path):
    site = Site(tmp_path, "micropython")
    client = site.client("me")
    with basestation(site.root, site.ports):
        with site.run_demo():
            client.answer("pair", site.demo, *site.label)
        shutil.rmtree(tmp_path / "demo")
        with site.run_demo():
            done = client.run("status", site.demo)
            assert "reset" in only_error_line(done)
            assert "homeport pair" in only_error_line(done)
            assert "--label-secret" in only_error_line(client.run("pair", site.demo))
            assert client.answer("pair", site.demo, *site.label)["end_to_end"] is True
            assert client.answer("status", "demo", "--path", "relay")["end_to_end"] is True


def test_streams_run_over_end_to_end_keys(tmp_path):
    site = Site(tmp_path, "micropython")
    client = site.client("me", "--require-end-to-end")
    gateway = device(
        site.ports,
        tmp_path / "demo",
        "--allow-port",
        "22",
        app="tunnel_gateway",
        until="attached to",
        runtime=site.runtime,
        label=LABEL,
    )
    sent = bytes(range(256)) * 64
    with basestation(site.root, site.ports), gateway:
        client.answer("pair", site.demo, *site.label)
        for path in ("relay", "direct"):
            done = subprocess.run(
                [HOMEPORT, "--home", tmp_path / "me", "stream", "demo", "echo", "--path", path],
                input=sent, env=environment(), capture_output=True, timeout=RUN_TIMEOUT_S, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stdout) == (0, sent), done.stderr
