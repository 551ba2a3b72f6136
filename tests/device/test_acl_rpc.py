"""The queries 11000 to 11090 against what the reference answered (specification, application 1.9)."""

import unittest

from homeport_core.errors import StorageError
from homeport_core.rpc import Reader, Writer
from homeport_core.spec import AER_NO_ACCESS, AER_READY, AER_TOO_SMALL
from homeport_device import acl_rpc
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from memory_files import MemoryFiles
from vector_files import load, unhex

VECTORS = load("vectors-acl.json")
OWNER = unhex(VECTORS["test_identities"]["owner_fingerprint"])
GUEST = unhex(VECTORS["test_identities"]["guest_fingerprint"])
FULL_TABLE_OWNER = (0x1000).to_bytes(16, "big")


class Connection:
    def __init__(self, fingerprint, is_local=True):
        self.fingerprint = fingerprint
        self.is_local = is_local
        self.is_psk = False


class BrokenStore:
    def load(self, acl):
        return ""

    def save(self, acl):
        raise StorageError("disk")


def ask(acl, connection, payload, capacity=200):
    """One query; returns (code, response)."""
    reader = Reader(payload)
    writer = Writer(bytearray(capacity))
    query_id = int.from_bytes(payload[:4], "big")
    reader.off = 4
    code = acl_rpc.request(acl, connection, query_id, reader, writer)
    return code, bytes(writer.buf[: writer.off])


def loaded(name):
    content = {vector["name"]: vector for vector in VECTORS["acl_files"]}[name]["hex"]
    acl = Acl(AclFile("acl", MemoryFiles({"acl": unhex(content)})))
    acl.load()
    return acl


class Vectors(unittest.TestCase):
    def check(self, acl, connection, vector, code=None, response=None):
        """The vector's answer, or the one given where we differ on purpose."""
        if code is None:
            code, response = vector["result_code"], vector.get("response_payload_hex", "")
        got = ask(acl, connection, unhex(vector["request_payload_hex"]), vector["response_capacity"])
        with self.subTest(label=vector["label"]):
            self.assertEqual(got[0], code)
            if code == AER_READY:
                self.assertEqual(got[1], unhex(response))

    def part(self, first, end):
        """The vectors from the one whose label starts with `first` up to the one that starts with `end`."""
        labels = [vector["label"] for vector in VECTORS["acl_rpcs"]]
        start = next(i for i in range(len(labels)) if labels[i].startswith(first))
        stop = next(i for i in range(len(labels)) if labels[i].startswith(end)) if end else len(labels)
        return VECTORS["acl_rpcs"][start:stop]

    def test_one_device_from_first_pairing_on(self):
        acl = Acl()
        pairs_second = "pairing open, db has owner"
        for vector in self.part("public caller", "table full"):
            caller = vector["caller"]
            if "no fingerprint" in caller:
                connection = Connection(None)
            elif "guest" in caller or pairs_second in caller or "bit cleared" in caller:
                connection = Connection(GUEST, "remote" not in caller)
            else:
                connection = Connection(OWNER)
            self.check(acl, connection, vector)

    def test_full_table(self):
        acl = loaded("full_table_32")
        for vector in self.part("table full", "pair when"):
            owner = "owner" in vector["caller"]
            self.check(acl, Connection(FULL_TABLE_OWNER if owner else GUEST), vector)

    def test_pairing_when_the_store_fails_is_status_3_and_the_user_is_not_kept(self):
        acl = Acl(BrokenStore())
        pair, then = self.part("pair when", "set permissions when")
        # Intended differences (application 1.14 no. 5): status 2 and a user in memory in the reference.
        self.check(acl, Connection(OWNER), pair, AER_READY, "030000000000000000")
        self.check(acl, Connection(OWNER), then, AER_NO_ACCESS)

    def test_changes_when_the_store_fails(self):
        acl = Acl()
        acl.add(OWNER, b"Owner")
        acl._store = BrokenStore()
        permissions, settings, remove = self.part("set permissions when", "[token-storage build] set_my")
        # Intended difference: the record shows what is in force, not what could not be stored.
        undone = permissions["response_payload_hex"][:-8] + "e0000000"
        self.check(acl, Connection(OWNER), permissions, AER_READY, undone)
        self.check(acl, Connection(OWNER), settings)
        self.check(acl, Connection(OWNER), remove)
        self.assertEqual((acl.system, acl.users()), (0xE0000000, [0]))

    def test_push_tokens_where_they_are_stored(self):
        acl = Acl(tokens=True)
        acl.add(OWNER, b"Owner")
        for vector in self.part("[token-storage build] set_my", "all-zero"):
            if "empty body" in vector["label"]:
                # Intended difference (application 1.14 no. 7): status 1, not an empty response.
                self.check(acl, Connection(OWNER), vector, AER_READY, "01")
            else:
                self.check(acl, Connection(OWNER), vector)
        self.assertEqual(acl.token(0), b"T2")

    def test_the_all_zero_fingerprint_cannot_pair(self):
        # Intended difference (application 1.14 no. 3): status 5 and an empty record in the reference.
        acl = Acl()
        self.check(acl, Connection(bytes(16)), self.part("all-zero", None)[0], AER_NO_ACCESS)


class Evaluation(unittest.TestCase):
    def setUp(self):
        self.acl = Acl()
        self.acl.add(OWNER, b"Owner")
        self.owner = Connection(OWNER)

    def test_permission_is_tested_before_parameters(self):
        for query_id in (11000, 11040, 11050, 11060, 11065, 11070, 11075, 11085, 11090):
            code, _ = ask(self.acl, Connection(GUEST), query_id.to_bytes(4, "big"))
            self.assertEqual(code, AER_NO_ACCESS, query_id)

    def test_every_request_cut_at_every_octet_lacks_parameters_or_looks_up_first(self):
        for vector in VECTORS["acl_rpcs"]:
            payload = unhex(vector["request_payload_hex"])
            for n in range(4, len(payload)):
                with self.subTest(label=vector["label"], n=n):
                    acl = Acl(tokens=True)
                    acl.add(OWNER, b"Owner")
                    acl.set_settings(0xE0000000, 0x80000000)
                    code, response = ask(acl, self.owner, payload[:n])
                    unknown_name = payload[:4] == b"\x00\x00\x2b\x34" and response[:1] == b"\x01"
                    self.assertTrue(code == AER_TOO_SMALL or unknown_name)

    def test_nobody_can_be_added(self):
        code, _ = ask(self.acl, self.owner, b"\x00\x00\x2b\x39\x00\x10" + bytes(16) + b"\x00\x01x")
        self.assertEqual(code, AER_TOO_SMALL)
        self.assertEqual(self.acl.users(), [0])

    def test_pages_of_users_cover_the_table_exactly_once(self):
        acl = loaded("full_table_32")
        start, seen = 0, []
        while True:
            code, response = ask(acl, Connection(FULL_TABLE_OWNER), b"\x00\x00\x2a\xf8\x00" + start.to_bytes(4, "big"))
            self.assertEqual(code, AER_READY)
            reader = Reader(response)
            for _ in range(reader.read_count()):
                seen.append(reader.read_raw())
                reader.read_raw()
                reader.read_number(5)
            start = reader.read_number(5)
            if start == 0:
                break
        self.assertEqual(seen, [(0x1000 + number).to_bytes(16, "big") for number in range(32)])


if __name__ == "__main__":
    unittest.main()
