"""What is written into a board is read back, whatever it is; and nothing but that is read."""

import contextlib

import pytest
from homeport.client.acl import User
from homeport.label import label_text, parse_label
from homeport.provisioning.data_set import Identity, Wishes, assemble
from homeport.provisioning.users import OWNER, convert_users, describe_users, factory_users
from homeport_core.errors import ConfigError
from homeport_core.provisioning import (
    NUMBERS,
    SWITCHES,
    TEXTS,
    check_config,
    check_id,
    check_network,
    check_secrets,
    dump,
    load,
)
from hypothesis import given
from hypothesis import strategies as st

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
parts = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
ids = st.lists(parts, min_size=1, max_size=3).map(".".join)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
passwords = st.one_of(
    st.just(""), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=8, max_size=63)
)
networks = st.lists(st.tuples(texts, passwords), max_size=4, unique_by=lambda network: network[0])
settings_ = st.fixed_dictionaries(
    {},
    optional={name: st.booleans() for name in SWITCHES}
    | {name: st.integers(least, most) for name, (least, most) in NUMBERS.items()}
    | dict.fromkeys(TEXTS, texts),
)
secrets = st.binary(min_size=16, max_size=16)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(ids, secrets, st.none() | secrets, networks, texts)
def test_what_is_assembled_is_read_back(device_id, key, label_secret, wifi, name):
    payloads = assemble(device_id, Identity(key, label_secret), Wishes(name=name, networks=wifi)).payloads
    found, config = load(payloads["secrets"]), load(payloads["config"])
    check_secrets(found)
    check_config(config)
    assert (found["id"], found["key"]) == (device_id, key.hex())
    assert found.get("label_secret") == (None if label_secret is None else label_secret.hex())
    assert config.get("wifi", []) == [list(network) for network in wifi]
    assert config["name"] == name


@given(settings_, networks)
def test_a_record_has_one_form(settings, wifi):
    document = {"settings": settings, "wifi": [list(network) for network in wifi]}
    check_config(document)
    assert load(dump(document)) == document


@given(settings_, st.data())
def test_a_record_with_a_damaged_octet_is_refused_or_another_record(settings, data):
    payload = bytearray(dump({"settings": settings}))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        document = load(bytes(payload))
    except ConfigError:
        return
    assert dump(document) == payload


@given(json_values)
def test_checks_take_anything_that_json_can_say(document):
    for check in (check_secrets, check_config, check_id):
        with contextlib.suppress(ConfigError):
            check(document)


@given(st.text(max_size=70), st.text(max_size=70))
def test_networks_are_taken_just_when_wpa2_takes_them(ssid, password):
    fits = (
        1 <= len(ssid.encode("utf-8", "replace")) <= 32
        and not any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in ssid)
        and all(" " <= letter <= "~" for letter in password)
        and (not password or 8 <= len(password) <= 63)
    )
    try:
        check_network(ssid, password)
        taken = True
    except ConfigError:
        taken = False
    assert taken == fits


@given(ids, secrets)
def test_a_label_is_read_back(device_id, secret):
    assert parse_label(label_text(device_id, secret)) == (device_id, secret)


@given(st.text(max_size=120))
def test_no_text_breaks_the_reader_of_labels(text):
    try:
        parse_label(text)
    except ConfigError as error:
        assert len(str(error)) < 250


users = st.lists(
    st.builds(User, secrets.filter(any), st.text("abc", max_size=63), st.sampled_from((0, OWNER))),
    max_size=32,
    unique_by=lambda user: user.fingerprint,
)


@given(users)
def test_lists_of_users_are_read_back(listed):
    payload = factory_users(listed)
    assert describe_users(payload) == listed
    assert convert_users(payload) == payload


@given(users, st.data())
def test_a_list_cut_short_is_refused(listed, data):
    payload = factory_users(listed)
    with pytest.raises(ConfigError):
        convert_users(payload[: data.draw(st.integers(0, len(payload) - 1))])
