"""End-to-end keys in the list of users: how one is given, changed and demanded (docs/extensions.md)."""

import unittest

from homeport_core.errors import StorageError
from homeport_core.rpc import RAW, UINT8, Reader, Writer, decode_fields, encode_fields
from homeport_core.spec import AER_NO_ACCESS, AER_READY, AER_TOO_SMALL
from homeport_device import acl_rpc
from homeport_device.acl import ADMIN, LOCAL, NOBODY, REMOTE, Acl
from homeport_device.acl_file import AclFile
from homeport_device.acl_keys import STATUS_KEY_ID_TAKEN
from memory_files import MemoryFiles

OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
KEY_ID = b"\x48\x50\xe2\x01" + b"\x01" * 12
OTHER_ID = b"\x48\x50\xe2\x01" + b"\x02" * 12
LOCAL_ID = b"\x07" * 16
KEY = b"\x0a" * 16
OTHER_KEY = b"\x0b" * 16
PAIR = 11200
SET = 11210


class Connection:
    def __init__(self, fingerprint, key_id=b"", is_local=True):
        self.fingerprint = fingerprint
        self.key_id = key_id
        self.is_local = is_local
        self.is_psk = is_local and bool(key_id)


def label(fingerprint=OWNER):
    """A local connection keyed by the secret on the label."""
    return Connection(fingerprint, NOBODY)


def ask(acl, connection, query_id, *values):
    """One query with raw parameters; returns (code, status or None)."""
    request = Writer(bytearray(200))
    encode_fields(tuple(("", RAW) for _ in values), values, request)
    writer = Writer(bytearray(200))
    code = acl_rpc.request(acl, connection, query_id, Reader(bytes(request.buf[: request.off])), writer)
    return code, writer.buf[0] if code == AER_READY else None


class BrokenStore:
    def save(self, acl):
        raise StorageError("disk")


class Pairing(unittest.TestCase):
    def test_over_a_connection_keyed_by_the_label_user_and_key_come_in_one_step(self):
        files = MemoryFiles({})
        acl = Acl(AclFile("acl", files))
        self.assertEqual(ask(acl, label(), PAIR, b"me", KEY_ID, KEY), (AER_READY, acl_rpc.STATUS_OK))
        kept = Acl(AclFile("acl", files))
        kept.load()
        self.assertEqual((kept.name(0), kept.permissions(0)), (b"me", LOCAL | REMOTE | ADMIN))
        self.assertEqual(kept.key_of(Connection(OWNER)), (KEY_ID, KEY))

    def test_on_a_clear_or_remote_connection_it_is_refused(self):
        acl = Acl()
        for connection in (Connection(OWNER), Connection(OWNER, is_local=False), Connection(None, NOBODY)):
            self.assertEqual(ask(acl, connection, PAIR, b"me", KEY_ID, KEY), (AER_NO_ACCESS, None))
        self.assertEqual(acl.users(), [])

    def test_while_pairing_is_closed_it_is_refused(self):
        acl = Acl(defaults=(LOCAL | REMOTE, LOCAL, LOCAL))
        self.assertEqual(ask(acl, label(), PAIR, b"me", KEY_ID, KEY), (AER_NO_ACCESS, None))

    def test_a_user_who_is_there_already_gets_no_key_that_way(self):
        acl = Acl()
        acl.add(OWNER, b"me")
        self.assertEqual(ask(acl, label(), PAIR, b"me", KEY_ID, KEY), (AER_READY, acl_rpc.STATUS_USER_EXISTS))
        self.assertEqual(acl.key_id(0), b"")

    def test_an_id_that_another_user_has_is_refused(self):
        acl = Acl()
        acl.add(OWNER, b"me", KEY_ID, KEY)
        answer = ask(acl, label(GUEST), PAIR, b"you", KEY_ID, OTHER_KEY)
        self.assertEqual(answer, (AER_READY, STATUS_KEY_ID_TAKEN))
        self.assertEqual(acl.users(), [0])

    def test_keys_that_are_none_are_refused(self):
        acl = Acl()
        for key_id, key in ((LOCAL_ID, KEY), (KEY_ID[:15], KEY), (KEY_ID, KEY + b"x"), (b"", b""), (KEY_ID, b"")):
            self.assertEqual(ask(acl, label(), PAIR, b"me", key_id, key), (AER_TOO_SMALL, None))
        self.assertEqual(acl.users(), [])

    def test_what_cannot_be_stored_is_not_kept(self):
        acl = Acl(BrokenStore())
        self.assertEqual(ask(acl, label(), PAIR, b"me", KEY_ID, KEY), (AER_READY, acl_rpc.STATUS_SAVE_FAILED))
        self.assertEqual(acl.users(), [])


class Changing(unittest.TestCase):
    def setUp(self):
        self.acl = Acl()
        self.acl.add(OWNER, b"me", KEY_ID, KEY)
        self.acl.add(GUEST, b"you")
        self.acl.set_permissions(1, LOCAL | REMOTE | ADMIN)

    def test_whoever_uses_the_key_may_replace_it(self):
        for is_local in (True, False):
            self.acl.set_psk(0, KEY_ID, KEY)
            connection = Connection(OWNER, KEY_ID, is_local)
            self.assertEqual(ask(self.acl, connection, SET, OTHER_ID, OTHER_KEY), (AER_READY, acl_rpc.STATUS_OK))
            self.assertEqual(self.acl.key_of(connection), (OTHER_ID, OTHER_KEY))
            self.assertTrue(self.acl.request_allowed(connection))

    def test_a_local_key_may_be_replaced_by_an_end_to_end_key(self):
        self.acl.set_psk(1, LOCAL_ID, KEY)
        answer = ask(self.acl, Connection(GUEST, LOCAL_ID), SET, OTHER_ID, OTHER_KEY)
        self.assertEqual(answer, (AER_READY, acl_rpc.STATUS_OK))

    def test_two_empty_parameters_take_it_away(self):
        answer = ask(self.acl, Connection(OWNER, KEY_ID, False), SET, b"", b"")
        self.assertEqual(answer, (AER_READY, acl_rpc.STATUS_OK))
        self.assertIsNone(self.acl.key_of(Connection(OWNER)))
        self.assertTrue(self.acl.request_allowed(Connection(OWNER, b"", False)))

    def test_nobody_else_may(self):
        for connection in (
            Connection(OWNER, b"", False),
            Connection(OWNER),
            Connection(OWNER, OTHER_ID, False),
            label(),
            Connection(GUEST, b"", False),
            Connection(GUEST),
            label(GUEST),
            Connection(None, KEY_ID),
        ):
            self.assertEqual(ask(self.acl, connection, SET, OTHER_ID, OTHER_KEY), (AER_NO_ACCESS, None))
        self.assertEqual(self.acl.key_of(Connection(OWNER)), (KEY_ID, KEY))

    def test_an_id_that_another_user_has_is_refused(self):
        self.acl.set_psk(1, OTHER_ID, OTHER_KEY)
        answer = ask(self.acl, Connection(OWNER, KEY_ID), SET, OTHER_ID, KEY)
        self.assertEqual(answer, (AER_READY, STATUS_KEY_ID_TAKEN))

    def test_what_cannot_be_stored_leaves_the_old_key(self):
        self.acl._store = BrokenStore()
        connection = Connection(OWNER, KEY_ID)
        answer = ask(self.acl, connection, SET, OTHER_ID, OTHER_KEY)
        self.assertEqual(answer, (AER_READY, acl_rpc.STATUS_SAVE_FAILED))
        self.assertEqual((self.acl.key_of(connection), connection.key_id), ((KEY_ID, KEY), KEY_ID))

    def test_an_owner_removes_the_key_with_its_user(self):
        ask(self.acl, Connection(GUEST, b"", False), 11070, OWNER)
        self.assertEqual(self.acl.users(), [1])
        self.assertFalse(self.acl.has_key_id(KEY_ID))


class Demand(unittest.TestCase):
    def setUp(self):
        self.acl = Acl(clear_admin=False)
        self.acl.add(OWNER, b"me", KEY_ID, KEY)

    def test_with_the_key_the_user_may_all(self):
        for is_local in (True, False):
            self.assertTrue(self.acl.request_allowed(Connection(OWNER, KEY_ID, is_local), ADMIN))

    def test_without_it_nothing(self):
        for connection in (
            Connection(OWNER, b"", False),
            Connection(OWNER, OTHER_ID, False),
            Connection(OWNER),
            Connection(OWNER, OTHER_ID),
            label(),
        ):
            self.assertFalse(self.acl.request_allowed(connection))
            self.assertFalse(self.acl.tunnel_allowed(connection))

    def test_where_clear_connections_may_administer_they_may_go_on(self):
        self.acl.clear_admin = True
        self.assertTrue(self.acl.request_allowed(Connection(OWNER), ADMIN))
        self.assertFalse(self.acl.request_allowed(Connection(OWNER, b"", False)))
        self.assertFalse(self.acl.request_allowed(label()))

    def test_a_key_for_local_connections_demands_nothing(self):
        self.acl.set_psk(0, LOCAL_ID, KEY)
        self.assertIsNone(self.acl.key_of(Connection(OWNER)))
        self.assertTrue(self.acl.request_allowed(Connection(OWNER, b"", False), ADMIN))

    def test_strangers_have_no_key(self):
        for fingerprint in (None, GUEST, NOBODY):
            self.assertIsNone(self.acl.key_of(Connection(fingerprint)))

    def test_the_answer_about_a_user_does_not_hold_the_key(self):
        writer = Writer(bytearray(200))
        acl_rpc.request(self.acl, Connection(OWNER, KEY_ID), 11020, Reader(b""), writer)
        self.assertNotIn(KEY, bytes(writer.buf))
        status, fingerprint = decode_fields((("", UINT8), ("", RAW)), Reader(writer.buf))
        self.assertEqual((status, fingerprint), (acl_rpc.STATUS_OK, OWNER))


if __name__ == "__main__":
    unittest.main()
