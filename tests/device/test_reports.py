"""Statistics packets and the event channel (specification, core 4.7, 8.3, 8.4)."""

import unittest

from device_bench import CLIENT, DEVICE_ID, GSP, LAN_CLIENT, NSI, OWN, Bench, decode
from homeport_core.errors import FullError
from homeport_core.payloads import parse_id, parse_ipx, parse_items, parse_piggy, parse_rendezvous_stats
from homeport_core.spec import (
    IPX_CP_ASYNC,
    NAT_SYMMETRIC,
    PL_CONNECTION_INFO,
    PL_CP_ID,
    PL_IPX,
    PL_PIGGY,
    PL_RENDEZVOUS_STATS,
    PL_SP_ID,
    PL_STATS,
    PT_STATS,
)
from homeport_device.event import Events
from homeport_device.output import LOCAL, REMOTE


class ConnectionReportTest(unittest.TestCase):
    def reports(self, bench, delta_ms):
        return [(at, to, decode(octets)) for at, (_, to, octets) in bench.advance(delta_ms) if octets[8] == PT_STATS]

    def info(self, report):
        return [(kind, int.from_bytes(value, "big")) for kind, value in parse_items(report.get(PL_CONNECTION_INFO))]

    def test_the_first_data_is_reported_to_the_gsp(self):
        bench = Bench(connection_statistics=True)
        bench.attach()
        bench.introduce()
        bench.advance(500)
        bench.deliver(REMOTE, bench.query(1, b"hi"), GSP)
        ((at, to, report),) = self.reports(bench, 100)
        self.assertEqual((at, to, report.sp, report.get(PL_STATS)), (500, GSP, NSI, b"\x01"))
        self.assertEqual(parse_id(report.get(PL_CP_ID)), (1, b"tester@example.org"))
        self.assertEqual(parse_id(report.get(PL_SP_ID)), (2, DEVICE_ID.encode()))
        self.assertEqual(parse_ipx(report.get(PL_IPX)).global_, OWN)
        self.assertIsNone(report.get(PL_RENDEZVOUS_STATS))
        client = int.from_bytes(CLIENT[:4], "big")
        expected = [(1, 3), (2, 500), (4, 2), (3, 24 + 70), (6, 1), (5, 6), (7, client)]
        self.assertEqual(self.info(report), expected)

    def test_a_direct_one_tells_about_the_search(self):
        bench = Bench(connection_statistics=True)
        bench.attach()
        bench.introduce(flags=IPX_CP_ASYNC | NAT_SYMMETRIC)
        bench.advance(120)
        bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
        ((_, _, report),) = self.reports(bench, 100)
        self.assertEqual(parse_rendezvous_stats(report.get(PL_RENDEZVOUS_STATS)), (1, 7, 0, 30, 0))
        self.assertEqual(self.info(report)[0], (1, 2))

    def test_the_end_is_reported_after_close_and_after_silence(self):
        for last, delta_ms in ((Bench.close, 300), (Bench.keep_alive, 17500)):
            bench = Bench(connection_statistics=True)
            bench.connected()
            bench.alive(1)
            bench.advance(1000)
            bench.deliver(REMOTE, last(bench), CLIENT)
            ((at, to, report),) = self.reports(bench, 20000)
            self.assertEqual((at, to, report.get(PL_STATS)), (1000 + delta_ms, GSP, b"\x03"))
            self.assertEqual(self.info(report)[1], (2, 1000 + delta_ms))

    def test_a_long_life_is_counted_past_the_wrap_of_the_clock(self):
        bench = Bench(connection_statistics=True)
        bench.connected()
        bench.advance(100)
        hours = 200
        for _ in range(hours):
            bench.stack.connections.find(NSI).timeout_ms = 2 * 3600 * 1000
            bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
            bench.elapsed_ms += 3600 * 1000
            bench.now_ms = (bench.now_ms + 3600 * 1000) % (1 << 29)
        bench.deliver(REMOTE, bench.close(), CLIENT)
        bench.stack.timeout((bench.now_ms + 300) % (1 << 29))
        closing = [decode(octets) for _, _, octets in bench.port.take() if octets[8] == PT_STATS]
        self.assertEqual(self.info(closing[-1])[1], (2, 100 + hours * 3600 * 1000 + 300))

    def test_nothing_is_reported_unless_asked_for(self):
        bench = Bench()
        bench.connected()
        bench.deliver(REMOTE, bench.close(), CLIENT)
        self.assertEqual(self.reports(bench, 1000), [])

    def test_local_connections_are_never_reported(self):
        bench = Bench(connection_statistics=True)
        bench.attach()
        number = bench.connect_local()
        bench.deliver(LOCAL, bench.keep_alive(nsi=number, context=bench.clear), LAN_CLIENT)
        bench.deliver(LOCAL, bench.close(nsi=number, context=bench.clear), LAN_CLIENT)
        self.assertEqual(self.reports(bench, 1000), [])

    def test_names_are_left_out_where_the_product_has_none(self):
        bench = Bench(connection_statistics=True, client_names=False)
        bench.connected()
        ((_, _, report),) = self.reports(bench, 10)
        self.assertIsNone(report.get(PL_CP_ID))


class EventTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.bench.attach()

    def piggy(self, sent):
        data = decode(sent[0][2]).get(PL_PIGGY)
        return None if data is None else parse_piggy(data)

    def test_an_event_rides_on_the_next_alive_answer_and_on_its_repeats(self):
        bench = self.bench
        bench.stack.publish_event(b"1:L:37\nEOM\n")
        self.assertEqual(self.piggy(bench.alive(1)), b"1:L:37\nEOM\n")
        self.assertEqual(self.piggy(bench.alive(1)), b"1:L:37\nEOM\n")
        self.assertIsNone(self.piggy(bench.alive(2)))

    def test_a_new_event_waits_for_a_new_number(self):
        bench = self.bench
        bench.alive(1)
        bench.stack.publish_event(b"event")
        self.assertIsNone(self.piggy(bench.alive(1)))
        self.assertEqual(self.piggy(bench.alive(2)), b"event")

    def test_events_keep_their_order(self):
        bench = self.bench
        for event in (b"one", b"two"):
            bench.stack.publish_event(event)
        self.assertEqual([self.piggy(bench.alive(seq)) for seq in (1, 2, 3)], [b"one", b"two", None])

    def test_a_poll_carries_none(self):
        bench = self.bench
        bench.stack.publish_event(b"event")
        ((_, sent),) = bench.advance(13000)
        self.assertIsNone(self.piggy([sent]))

    def test_an_event_on_its_way_when_the_attachment_was_lost_goes_again(self):
        bench = self.bench
        bench.stack.publish_event(b"event")
        bench.alive(1)
        bench.advance(65000)
        bench.finish_attach()
        self.assertEqual(self.piggy(bench.alive(1)), b"event")

    def test_too_long_and_too_many_are_refused(self):
        events = Events(2, 10)
        with self.assertRaises(FullError):
            events.publish(bytes(11))
        events.publish(bytes(10))
        events.publish(b"")
        with self.assertRaises(FullError):
            events.publish(b"x")


if __name__ == "__main__":
    unittest.main()
