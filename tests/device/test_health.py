"""What an owner learns of a device by query 10020: its events page by page, and how it is."""

import unittest

from homeport_core.errors import StorageError
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_time
from homeport_core.rpc import Reader, Writer, decode_fields
from homeport_core.spec import AER_INV_QUERY_ID, AER_NO_ACCESS, AER_READY, AER_SYSTEM_ERROR, PL_TIME, PT_U_ALIVE
from homeport_device import log
from homeport_device.device import Device
from homeport_device.device_config import DeviceConfig
from homeport_device.driver import Driver
from homeport_device.health import QUERY_ID
from homeport_device.time_hint import EARLIEST_S

OWNER_FP = b"\xa0" * 16
GUEST_FP = b"\xb0" * 16


class Connection:
    is_local = True
    is_psk = False
    client_id = b"somebody"

    def __init__(self, fingerprint):
        self.fingerprint = fingerprint


class Request:
    def __init__(self, query_id, fingerprint):
        self.query_id = query_id
        self.connection = Connection(fingerprint)


def alive(payload):
    """A sign of life of the basestation, with a TIME payload or without."""
    octets = encode(PT_U_ALIVE, () if payload is None else ((PL_TIME, payload),), sp=b"\0\0\1\1", seq=7)
    packet = Packet()
    packet.decode_from(bytearray(octets), len(octets))
    return packet


class HealthCase(unittest.TestCase):
    def setUp(self):
        self.lines = []
        real = log.line
        log.line = lambda *words: self.lines.append(" ".join([str(word) for word in words]))
        self.addCleanup(setattr, log, "line", real)
        self.addCleanup(log.keep_events, None)

    def make(self, event_ring=8, response_max=200):
        self.device = Device(DeviceConfig("dev", event_ring=event_ring, response_max=response_max))
        self.device.acl._store = None
        self.device.acl.add(OWNER_FP, b"owner")
        self.device.acl.add(GUEST_FP, b"guest")
        return self.device

    def ask(self, start=0, fingerprint=OWNER_FP):
        """(code, fields by name) of the query."""
        writer = Writer(bytearray(self.device.config.response_max))
        reader = Reader(start.to_bytes(4, "big"))
        code = self.device.request(Request(QUERY_ID, fingerprint), reader, writer)
        if code != AER_READY:
            return code, None
        fields = self.device.queries.get(QUERY_ID).result
        values = decode_fields(fields, Reader(writer.buf, 0, writer.size()))
        return code, {fields[i][0]: values[i] for i in range(len(fields))}

    def texts(self, page):
        return [text for _, _, text in page["events"]]


class AskTest(HealthCase):
    def test_a_device_that_keeps_no_events_has_no_such_query(self):
        device = self.make(event_ring=0)
        self.assertEqual((self.ask()[0], device.health, device.time_hint()), (AER_INV_QUERY_ID, None, None))

    def test_only_owners_may_ask(self):
        self.make()
        for fingerprint in (GUEST_FP, b"\xc0" * 16):
            with self.subTest(fingerprint=fingerprint):
                self.assertEqual(self.ask(0, fingerprint)[0], AER_NO_ACCESS)

    def test_events_come_with_time_and_kind(self):
        device = self.make()
        device.health.ring.step(0)
        device.health.ring.step(61500)
        log.event(log.NETWORK, "joined home")
        page = self.ask()[1]
        self.assertEqual(page["events"], [[61, log.NETWORK, b"joined home"]])
        self.assertEqual((page["uptime"], page["first"], page["next"]), (61, 0, 0))

    def test_long_lists_come_page_by_page_within_the_response(self):
        for response_max in (80, 200, 1000):
            with self.subTest(response_max=response_max):
                self.make(event_ring=16, response_max=response_max)
                told = ["event %02d of a longish kind" % number for number in range(16)]
                for text in told:
                    log.event(log.NETWORK, text)
                seen, start, pages = [], 0, 0
                while True:
                    page = self.ask(start)[1]
                    seen += [text.decode() for text in self.texts(page)]
                    pages += 1
                    if not page["next"]:
                        break
                    start = page["next"]
                self.assertEqual(seen, told)
                self.assertEqual(pages, {80: 16, 200: 4, 1000: 1}[response_max])

    def test_a_page_is_full_to_the_last_octet(self):
        """29 octets for the frame, 7 and the text for an event."""
        for spare, count in ((0, 2), (-1, 1)):
            with self.subTest(spare=spare):
                self.make(response_max=29 + 2 * (7 + 10) + spare)
                log.event(log.NETWORK, "0123456789")
                log.event(log.NETWORK, "abcdefghij")
                self.assertEqual(len(self.ask()[1]["events"]), count)

    def test_events_that_made_room_are_skipped_and_can_be_counted(self):
        self.make(event_ring=4)
        for number in range(10):
            log.event(log.NETWORK, "event", number)
        page = self.ask(0)[1]
        self.assertEqual((page["first"], self.texts(page)[0], len(page["events"])), (6, b"event 6", 4))

    def test_a_start_beyond_the_end_is_an_empty_page(self):
        self.make()
        log.event(log.NETWORK, "joined")
        for start in (1, 2, 0xFFFFFFFF):
            with self.subTest(start=start):
                page = self.ask(start)[1]
                self.assertEqual((page["events"], page["next"]), ([], 0))


class FaultTest(HealthCase):
    def test_a_handler_that_raises_is_counted_and_told(self):
        device = self.make()

        @device.query(1, "broken.json")
        def broken(request):
            raise ValueError("no sensor")

        code = device.request(Request(1, OWNER_FP), Reader(b""), Writer(bytearray(200)))
        page = self.ask()[1]
        self.assertEqual((code, page["faults"]), (AER_SYSTEM_ERROR, 1))
        self.assertEqual(self.texts(page), [b"query broken.json failed: ValueError no sensor"])

    def test_a_task_that_dies_is_counted_and_told(self):
        device = self.make()
        device._task_ended(None, OSError(5))
        page = self.ask()[1]
        self.assertEqual(page["faults"], 1)
        self.assertTrue(self.texts(page)[0].startswith(b"task failed: OSError"))

    def test_a_failure_of_the_stack_is_counted_and_told(self):
        class Stack:
            deadline_ms = None

            def timeout(self, now_ms):
                raise IndexError("a bug")

        class Port:
            def now_ms(self):
                return 0

            def arm(self, delay_ms):
                pass

        self.make()
        driver = Driver(Stack(), Port(), None)
        driver.timeout()
        driver.timeout()
        page = self.ask()[1]
        self.assertEqual((driver.failures, page["faults"]), (2, 2))
        self.assertEqual(self.texts(page), [b"failed: IndexError a bug"])

    def test_what_a_peer_made_an_exception_say_cannot_control_a_terminal(self):
        device = self.make()

        @device.query(1, "broken.json")
        def broken(request):
            raise ValueError("\x1b[2J")

        device.request(Request(1, OWNER_FP), Reader(b""), Writer(bytearray(200)))
        self.assertEqual(self.texts(self.ask()[1]), [b"query broken.json failed: ValueError ?[2J"])

    def test_a_list_of_users_that_cannot_be_stored_is_told(self):
        class Full:
            def save(self, acl):
                raise StorageError("flash is full")

        device = self.make()
        device.acl._store = Full()
        self.assertRaises(StorageError, device.acl.set_name, 0, b"other")
        self.assertEqual(self.ask()[1]["events"][-1][1:], [log.STORAGE, b"flash is full"])


class FlashTest(HealthCase):
    def test_a_record_that_lost_half_of_its_flash_is_told_once(self):
        class Store:
            weak = []

            def writes(self, kind):
                return 41

        device = self.make()
        device.config.store = Store()
        device.health._look_at_flash()
        self.assertEqual(self.ask()[1]["events"], [])
        Store.weak = ["users"]
        device.health._look_at_flash()
        device.health._look_at_flash()
        page = self.ask()[1]
        self.assertEqual(self.texts(page), [b"half of the flash for users is worn out"])
        self.assertEqual(page["users_written"], 41)

    def test_flash_that_cannot_be_read_does_not_keep_the_events_back(self):
        class Store:
            weak = ()

            def writes(self, kind):
                raise StorageError("the record users could not be read")

        self.make().config.store = Store()
        self.assertEqual(self.ask()[1]["users_written"], 0)


class TimeTest(HealthCase):
    def test_nobody_told_the_time_is_zero(self):
        self.make()
        self.assertEqual((self.ask()[1]["unix_time"], self.device.time_hint()), (0, None))

    def test_the_basestation_s_time_is_told_and_goes_on(self):
        device = self.make()
        device.health.hear(5000, alive(build_time(EARLIEST_S)))
        device.health.ring.step(65000)
        self.assertEqual((self.ask()[1]["unix_time"], device.time_hint()), (EARLIEST_S + 60, EARLIEST_S + 60))

    def test_a_sign_of_life_without_time_or_with_nonsense_changes_nothing(self):
        device = self.make()
        device.health.hear(0, alive(build_time(EARLIEST_S)))
        for payload in (None, b"", build_time(0)):
            device.health.hear(1000, alive(payload))
        self.assertEqual(device.time_hint(), EARLIEST_S + 1)


if __name__ == "__main__":
    unittest.main()
