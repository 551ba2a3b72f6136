"""A stack whose network comes and goes: silence without one, registration at once with one, connections that last."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, CONTROLLER, GSP, LAN_CLIENT, NSI, Bench, kinds
from homeport_core.spec import PT_U_INVITE
from homeport_device.attach import ATTACHED, IDLE, WAIT_BS, WAIT_DNS
from homeport_device.drops import OFF
from homeport_device.output import LOCAL, REMOTE

STARTS = (1000, BELOW_WRAP_MS)


class StackNetworkTest(unittest.TestCase):
    def benches(self, **settings):
        for start_ms in STARTS:
            yield Bench(start_ms, **settings)

    def change(self, bench, up):
        bench.stack.network_changed(bench.now_ms, up)
        bench.settle()
        return bench.port.take()

    def test_a_device_that_starts_without_network_sends_nothing_until_there_is_one(self):
        for bench in self.benches():
            self.change(bench, False)
            bench.start()
            self.assertEqual(bench.advance(600000), [])
            self.assertEqual(kinds(self.change(bench, True)), [(PT_U_INVITE, 0)])

    def test_no_name_is_looked_up_without_network(self):
        for bench in self.benches(controller_host="basestation.example"):
            self.change(bench, False)
            bench.start()
            bench.advance(600000)
            self.assertEqual(bench.port.lookups, [])
            self.change(bench, True)
            self.assertEqual(bench.port.lookups, ["basestation.example"])
            self.assertEqual(bench.stack.state, WAIT_DNS)

    def test_a_look_up_that_failed_for_want_of_a_network_delays_nothing(self):
        for bench in self.benches(controller_host="basestation.example"):
            bench.start()
            for _ in range(4):
                bench.stack.resolved(bench.now_ms, None)
                bench.advance(60000)
            self.change(bench, False)
            bench.stack.resolved(bench.now_ms, None)
            self.change(bench, True)
            self.assertEqual(len(bench.port.lookups), 6)
            bench.stack.resolved(bench.now_ms, None)
            bench.advance(2000)
            self.assertEqual(len(bench.port.lookups), 7)

    def test_loss_ends_the_attachment_and_silences_the_device(self):
        for bench in self.benches():
            bench.attach()
            self.assertEqual(self.change(bench, False), [])
            self.assertEqual(bench.stack.state, IDLE)
            self.assertEqual(bench.advance(600000), [])
            self.assertIsNone(bench.stack.deadline_ms)

    def test_it_attaches_at_once_when_the_network_is_back(self):
        for bench in self.benches():
            bench.attach()
            self.change(bench, False)
            bench.advance(5000)
            sent = self.change(bench, True)
            self.assertEqual([endpoint for _, endpoint, _ in sent], [CONTROLLER])
            bench.finish_attach()
            self.assertEqual(bench.stack.state, ATTACHED)
            self.assertEqual(len(bench.alive(1)), 1)

    def test_another_address_is_a_new_registration_from_a_new_socket(self):
        for bench in self.benches():
            bench.attach()
            reopened = bench.port.reopened
            sent = self.change(bench, True)
            self.assertEqual([endpoint for _, endpoint, _ in sent], [CONTROLLER])
            self.assertEqual(bench.port.reopened, reopened + 1)
            self.assertEqual(bench.stack.state, WAIT_BS)

    def test_a_remote_connection_outlives_a_short_loss(self):
        for bench in self.benches():
            bench.connected()
            reopened = bench.port.reopened
            self.change(bench, False)
            bench.advance(3000)
            self.change(bench, True)
            self.assertEqual(bench.port.reopened, reopened)
            self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(2), CLIENT)), 1)
            self.assertIsNotNone(bench.stack.connections.find(NSI))

    def test_nothing_is_taken_without_network(self):
        for bench in self.benches():
            bench.attach()
            nsi = bench.connect_local()
            self.change(bench, False)
            before = bench.stack.counters[OFF]
            self.assertEqual(bench.deliver(LOCAL, bench.local_request(), LAN_CLIENT), [])
            self.assertEqual(bench.alive(2), [])
            self.assertEqual(bench.stack.counters[OFF], before + 2)
            self.assertIsNotNone(bench.stack.connections.find(nsi))

    def test_the_master_switch_holds_with_a_network_as_without(self):
        for bench in self.benches():
            bench.attach()
            bench.app.remote = False
            self.change(bench, False)
            self.assertEqual(self.change(bench, True), [])
            self.assertEqual(bench.advance(600000), [])
            bench.app.remote = True
            bench.settle()
            self.assertEqual([endpoint for _, endpoint, _ in bench.port.take()], [CONTROLLER])

    def test_the_switch_may_be_moved_without_network(self):
        for bench in self.benches():
            bench.attach()
            self.change(bench, False)
            bench.app.remote = False
            bench.settle()
            bench.app.remote = True
            bench.settle()
            self.assertEqual(bench.advance(60000), [])
            self.assertEqual(kinds(self.change(bench, True)), [(PT_U_INVITE, 0)])

    def test_a_registration_over_tcp_begins_anew_without_its_connection(self):
        for bench in self.benches(tcp_fallback=True):
            bench.start()
            bench.advance(20000)
            channel = bench.port.channels[-1]
            bench.connect(channel)
            self.change(bench, False)
            self.assertTrue(channel.is_closed)
            self.assertEqual(kinds(self.change(bench, True)), [(PT_U_INVITE, 0)])

    def test_a_gsp_that_was_awaited_is_not_asked_again(self):
        for bench in self.benches():
            bench.start()
            bench.port.take()
            self.assertEqual(bench.direct()[0][1], GSP)
            self.change(bench, False)
            self.assertEqual([endpoint for _, endpoint, _ in self.change(bench, True)], [CONTROLLER])


if __name__ == "__main__":
    unittest.main()
