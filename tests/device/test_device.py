"""The application's face: declared queries, permissions, handlers that fail, async handlers (design, section 8)."""

import asyncio
import unittest

from homeport_core.errors import ConfigError, RefusedError
from homeport_core.rpc import HEX, INT16, RAW, UINT8, UINT16, UINT32, Reader, Writer, decode_fields, encode_fields
from homeport_core.spec import (
    AER_ACCEPTED,
    AER_INV_QUERY_ID,
    AER_NO_ACCESS,
    AER_OUT_OF_RESOURCES,
    AER_READY,
    AER_RSP_TOO_LARGE,
    AER_SYSTEM_ERROR,
    AER_TOO_LARGE,
    AER_TOO_SMALL,
)
from homeport_device import interface, log
from homeport_device.device import ANYONE, GUEST, OWNER, Device
from homeport_device.device_config import DeviceConfig

OWNER_FP = b"\xa0" * 16
GUEST_FP = b"\xb0" * 16


class Connection:
    def __init__(self, fingerprint=OWNER_FP, is_local=True):
        self.fingerprint = fingerprint
        self.is_local = is_local
        self.is_psk = False
        self.client_id = b"somebody"


class Request:
    def __init__(self, query_id, connection):
        self.query_id = query_id
        self.connection = connection
        self.completed = []

    def complete(self, now_ms, code, payload=b""):
        self.completed.append((code, payload))


class Task:
    def __init__(self, coroutine, done):
        self.coroutine = coroutine
        self.done = done
        self.cancelled = False

    def cancel(self):
        self.cancelled = True

    def finish(self):
        """Run a coroutine that waits for nothing."""
        result = failure = None
        try:
            self.coroutine.send(None)
        except StopIteration as stop:
            result = stop.value
        except Exception as error:
            failure = error
        self.done(result, failure)


class Port:
    def __init__(self):
        self.tasks = []

    def start_task(self, coroutine, done):
        self.tasks.append(Task(coroutine, done))
        return self.tasks[-1]


class Driver:
    def complete(self, request, code, payload):
        request.complete(0, code, payload)


class DeviceCase(unittest.TestCase):
    def setUp(self):
        self.device = Device(DeviceConfig("dev"), name="Lamp", interface=("some-id", 2, 3))
        self.device.acl._store = None
        self.device.acl.add(OWNER_FP, b"owner")
        self.device.acl.add(GUEST_FP, b"guest")
        self.device._port = self.port = Port()
        self.device.driver = Driver()
        self.lines = []
        real = log.line
        log.line = lambda *words: self.lines.append(" ".join(str(word) for word in words))
        self.addCleanup(setattr, log, "line", real)

    def call(self, query_id, payload=b"", connection=None, capacity=200):
        """(code, response) of one request."""
        self.last = Request(query_id, connection or Connection())
        writer = Writer(bytearray(capacity))
        code = self.device.request(self.last, Reader(payload), writer)
        return code, bytes(writer.buf[: writer.off]) if code == AER_READY else b""


class Handlers(DeviceCase):
    def test_parameters_are_decoded_and_results_encoded(self):
        seen = []

        @self.device.query(
            1,
            "all.json",
            params=(("a", UINT8), ("b", RAW), ("c", (("d", UINT16), ("e", HEX)))),
            result=(("x", INT16), ("y", RAW), ("z", (("w", UINT32),))),
        )
        def handler(request, a, b, c):
            seen.append((request.query_id, a, b, c))
            return -2, "text", [(7,), (8,)]

        payload = b"\x05\x00\x02hi\x00\x01\x00\x09\x00\x01\xff"
        code, response = self.call(1, payload)
        self.assertEqual(seen, [(1, 5, b"hi", [[9, b"\xff"]])])
        self.assertEqual((code, response), (AER_READY, b"\xff\xfe\x00\x04text\x00\x02\0\0\0\x07\0\0\0\x08"))

    def test_a_single_result_or_none_needs_no_tuple(self):
        self.device.query(1, "one", result=(("x", UINT8),))(lambda request: 9)
        self.device.query(2, "none")(lambda request: None)
        self.assertEqual(self.call(1), (AER_READY, b"\x09"))
        self.assertEqual(self.call(2), (AER_READY, b""))

    def test_missing_parameters_never_reach_the_handler(self):
        called = []
        self.device.query(1, "q", params=(("x", UINT16),))(lambda request, x: called.append(x))
        self.assertEqual(self.call(1, b"\x01"), (AER_TOO_SMALL, b""))
        self.assertEqual(called, [])

    def test_an_exception_costs_one_reply_and_one_line(self):
        def handler(request):
            raise ValueError("bad\x1b[2J" + "x" * 500)

        self.device.query(1, "q.json")(handler)
        self.assertEqual(self.call(1), (AER_SYSTEM_ERROR, b""))
        self.assertEqual(len(self.lines), 1)
        self.assertIn("q.json", self.lines[0])
        self.assertNotIn("\x1b", self.lines[0])
        self.assertLess(len(self.lines[0]), 130)

    def test_a_cancellation_that_a_handler_lets_out_does_not_end_the_task_that_received(self):
        def handler(request):
            raise asyncio.CancelledError

        self.device.query(1, "q.json")(handler)
        self.assertEqual(self.call(1), (AER_SYSTEM_ERROR, b""))
        self.assertIn("CancelledError", self.lines[0])

    def test_a_refusal_is_answered_with_its_code_and_not_logged(self):
        def handler(request):
            raise RefusedError("busy", AER_OUT_OF_RESOURCES)

        self.device.query(1, "q")(handler)
        self.assertEqual(self.call(1), (AER_OUT_OF_RESOURCES, b""))
        self.assertEqual(self.lines, [])

    def test_results_that_do_not_fit(self):
        self.device.query(1, "q", result=(("x", RAW),))(lambda request: b"x" * 199)
        self.assertEqual(self.call(1)[0], AER_RSP_TOO_LARGE)

    def test_results_that_do_not_match_the_declaration(self):
        self.device.query(1, "q", result=(("x", UINT8), ("y", UINT8)))(lambda request: 1)
        self.device.query(2, "p", result=(("x", UINT8),))(lambda request: "text")
        self.assertEqual(self.call(1)[0], AER_SYSTEM_ERROR)
        self.assertEqual(self.call(2)[0], AER_SYSTEM_ERROR)
        self.assertEqual(len(self.lines), 2)

    def test_unknown_queries(self):
        self.assertEqual(self.call(4711)[0], AER_INV_QUERY_ID)
        self.assertEqual(self.call(11001)[0], AER_INV_QUERY_ID)


class Permissions(DeviceCase):
    def test_each_declared_permission_against_each_caller(self):
        anyone, guest, owner, custom = 1, 2, 3, 4
        for query_id, allow in ((anyone, ANYONE), (guest, GUEST), (owner, OWNER), (custom, GUEST | 0x0001)):
            self.device.query(query_id, "q%d" % query_id, allow=allow)(lambda request: None)
        self.device.acl.set_permissions(0, 0xE0000001)
        callers = (
            ("owner", Connection(), (anyone, guest, owner, custom)),
            ("guest", Connection(GUEST_FP), (anyone, guest)),
            ("remote guest without REMOTE", Connection(GUEST_FP, False), (anyone,)),
            ("stranger", Connection(b"\xcc" * 16), (anyone,)),
            ("no fingerprint", Connection(None), (anyone,)),
        )
        for name, connection, allowed in callers:
            for query_id in (anyone, guest, owner, custom):
                with self.subTest(name=name, query_id=query_id):
                    expected = AER_READY if query_id in allowed else AER_NO_ACCESS
                    self.assertEqual(self.call(query_id, connection=connection)[0], expected)

    def test_a_request_without_a_connection_gets_only_what_is_for_anyone(self):
        self.device.query(1, "a", allow=ANYONE)(lambda request: None)
        self.device.query(2, "g")(lambda request: None)
        for query_id, expected in ((1, AER_READY), (2, AER_NO_ACCESS), (11020, AER_NO_ACCESS)):
            request = Request(query_id, None)
            self.assertEqual(self.device.request(request, Reader(b""), Writer(bytearray(9))), expected)

    def test_permission_is_tested_before_parameters(self):
        self.device.query(1, "q", params=(("x", UINT8),))(lambda request, x: None)
        self.assertEqual(self.call(1, connection=Connection(None))[0], AER_NO_ACCESS)

    def test_the_master_switch_is_the_systems_remote_permission(self):
        self.assertTrue(self.device.remote_enabled())
        self.device.acl.set_settings(0x80000000, 0)
        self.assertFalse(self.device.remote_enabled())

    def test_an_application_may_admit_by_itself(self):
        device = Device(DeviceConfig("dev"), admit=lambda connection: connection.client_id == b"somebody")
        self.assertTrue(device.connection_allowed(Connection(None)))


class Common(DeviceCase):
    def test_the_interface_and_its_version(self):
        self.assertEqual(self.call(0), (AER_READY, b"\x00\x07some-id\x00\x02\x00\x03"))

    def test_without_an_interface_the_query_does_not_exist(self):
        self.device = Device(DeviceConfig("dev"))
        self.assertEqual(self.call(0)[0], AER_INV_QUERY_ID)

    def test_public_information_for_owner_guest_and_stranger(self):
        text = b"\x00\x04Lamp\x00\x08Homeport\x00\x0echip-small.png"
        for fingerprint, is_local, flags in (
            (OWNER_FP, True, b"\x01\x01\x01"),
            (OWNER_FP, False, b"\x00\x01\x01"),
            (GUEST_FP, True, b"\x01\x01\x00"),
            (b"\xcc" * 16, True, b"\x01\x00\x00"),
            (None, True, b"\x00\x00\x00"),
        ):
            self.assertEqual(self.call(10000, connection=Connection(fingerprint, is_local)), (AER_READY, text + flags))

    def test_only_an_owner_renames_the_device_and_not_to_more_than_49_octets(self):
        name = b"\x00\x03new"
        self.assertEqual(self.call(10010, name, Connection(GUEST_FP)), (AER_NO_ACCESS, b""))
        self.assertEqual(self.call(10010, name), (AER_READY, name))
        self.assertEqual(self.call(10010, b"\x00\x32" + b"n" * 50), (AER_TOO_LARGE, b""))
        self.assertEqual(self.call(10010, b"\x00\x31" + b"n" * 49)[0], AER_READY)


class Async(DeviceCase):
    def setUp(self):
        super().setUp()

        @self.device.query(1, "slow.json", params=(("x", UINT8),), result=(("y", UINT8),))
        async def slow(request, x):
            if x == 255:
                raise ValueError("no")
            return x + 1

    def test_the_answer_follows_when_the_handler_ends(self):
        self.assertEqual(self.call(1, b"\x05")[0], AER_ACCEPTED)
        self.assertEqual(self.last.completed, [])
        self.port.tasks[0].finish()
        self.assertEqual(self.last.completed, [(AER_READY, b"\x06")])
        self.device.dropped(self.last)
        self.assertFalse(self.port.tasks[0].cancelled)

    def test_an_exception_is_answered_and_logged(self):
        self.call(1, b"\xff")
        self.port.tasks[0].finish()
        self.assertEqual(self.last.completed, [(AER_SYSTEM_ERROR, b"")])
        self.assertEqual(len(self.lines), 1)

    def test_a_result_that_does_not_fit_its_type_is_an_error_not_a_crash(self):
        self.device.query(2, "r", result=(("y", RAW),))(self.long_result)
        self.call(2)
        self.port.tasks[0].finish()
        self.assertEqual(self.last.completed, [(AER_RSP_TOO_LARGE, b"")])

    async def long_result(self, request):
        return b"x" * 300

    def test_a_dropped_request_cancels_the_handler_and_is_never_answered(self):
        self.call(1, b"\x05")
        self.device.dropped(self.last)
        self.assertTrue(self.port.tasks[0].cancelled)
        self.port.tasks[0].finish()
        self.assertEqual(self.last.completed, [])


class LocalAdministration(unittest.TestCase):
    def test_a_pairing_secret_ends_it_in_the_clear_unless_asked_for(self):
        for settings, allowed in (
            ({}, True),
            ({"label_secret": bytes(range(16))}, False),
            ({"label_secret": bytes(range(16)), "legacy_local": True}, True),
        ):
            with self.subTest(settings=settings):
                acl = Device(DeviceConfig("dev", **settings)).acl
                acl._store = None
                acl.add(OWNER_FP, b"owner")
                self.assertEqual(acl.request_allowed(Connection(), OWNER), allowed)
                self.assertTrue(acl.request_allowed(Connection(is_local=False), OWNER))


class Declarations(DeviceCase):
    def test_mistakes_are_refused_when_they_are_made(self):
        declare = self.device.query
        for arguments in (
            {"query_id": -1, "name": "q"},
            {"query_id": 1 << 32, "name": "q"},
            {"query_id": 11000, "name": "q"},
            {"query_id": 10000, "name": "q"},
            {"query_id": 1, "name": ""},
            {"query_id": 1, "name": "two words"},
            {"query_id": 1, "name": "get_public_device_info.json"},
            {"query_id": 1, "name": "q", "params": (("x", UINT8), "y")},
            {"query_id": 1, "name": "q", "params": ("x", UINT8)},
            {"query_id": 1, "name": "q", "result": (("x", 99),)},
            {"query_id": 1, "name": "q", "result": (("x", ("y", UINT8)),)},
        ):
            with self.subTest(arguments=arguments):
                with self.assertRaises(ConfigError):
                    declare(**arguments)(lambda request: None)


class InterfaceFile(DeviceCase):
    def test_lists_raw_and_hex_are_declared_as_the_specification_has_them(self):
        self.device.query(7, "a<b", params=(("l", (("h", HEX),)),), result=(("r", RAW),))(lambda request, items: None)
        text = "\n".join(interface.lines(self.device.queries))
        expected = """  <query name="a&lt;b" id="7">
    <request>
      <list name="l">
        <parameter name="h" type="raw" representation="hex"/>
      </list>
    </request>
    <response format="json">
      <parameter name="r" type="raw"/>
    </response>
  </query>"""
        self.assertIn(expected, text)

    def test_queries_come_in_the_order_of_their_ids_with_those_of_the_access_list(self):
        lines = interface.lines(self.device.queries)
        ids = [int(line.rpartition('id="')[2].partition('"')[0]) for line in lines if "<query " in line]
        self.assertEqual(ids, sorted(ids))
        for query_id in (0, 10000, 10010, 11000, 11090):
            self.assertIn(query_id, ids)

    def test_what_is_declared_for_the_access_list_is_what_it_answers(self):
        values = {"count": 1, "start": 0, "name": b"n", "fingerprint": GUEST_FP, "permissions": 0x80000000}
        values["default_user_permissions_after_pairing"] = 0x80000000
        values["fcm_token"] = b""
        order = (11000, 11010, 11020, 11030, 11040, 11050, 11060, 11065, 11070)
        declared = {entry[0]: entry for entry in interface.ACL_QUERIES}
        self.device.acl.set_settings(0xE0000000, 0x80000000)
        for query_id in order:
            _, name, params, result = declared[query_id]
            with self.subTest(name=name):
                writer = Writer(bytearray(200))
                encode_fields(params, [values[field] for field, _ in params], writer)
                code, response = self.call(query_id, bytes(writer.buf[: writer.off]))
                self.assertEqual(code, AER_READY)
                self.assertEqual(len(response) - _size(result, response), 4 if query_id == 11000 else 0)


def _size(fields, response):
    """How many octets of a response its declaration accounts for."""
    reader = Reader(response)
    decode_fields(fields, reader)
    return reader.off


if __name__ == "__main__":
    unittest.main()
