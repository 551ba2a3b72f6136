"""With remote access off the device is silent towards the outside (design, section 6 rule 5)."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, GSP, LAN_CLIENT, NSI, Bench, kinds
from homeport_core.legacy import build_discovery
from homeport_core.packet import encode
from homeport_core.spec import IPX_CP_ASYNC, PL_EP, PT_DATA, PT_U_CONNECT, PT_U_INVITE
from homeport_device.attach import ATTACHED, IDLE
from homeport_device.drops import OFF
from homeport_device.output import LOCAL, REMOTE


class OffTest(unittest.TestCase):
    def everything(self, bench):
        """Whatever the outside may send."""
        return (
            (bench.introduction(), GSP),
            (encode(PT_U_CONNECT, ((PL_EP, CLIENT),), sp=NSI), CLIENT),
            (bench.keep_alive(), CLIENT),
            (bench.query(1), GSP),
            (bench.attach_request(bytes(32)), GSP),
            (bench.local_request(), LAN_CLIENT),
        )

    def silent(self, bench):
        """Nothing goes out of the remote socket, and no name is looked up, for hours."""
        lookups = len(bench.port.lookups)
        sent = bench.port.take()
        for octets, source in self.everything(bench):
            sent += bench.deliver(REMOTE, octets, source)
        sent += bench.alive(1) + bench.direct()
        bench.stack.resolved(bench.now_ms, [GSP[:4]])
        sent += [entry for _, entry in bench.advance(4 * 3600 * 1000)]
        remote = [entry for entry in sent if entry[0] == REMOTE]
        return remote == [] and len(bench.port.lookups) == lookups and bench.stack.state == IDLE

    def test_a_device_that_starts_switched_off_is_silent(self):
        for controllers in ((), (GSP,)):
            with self.subTest(controllers=controllers):
                bench = Bench(controllers=controllers)
                bench.app.remote = False
                attached = Bench()
                attached.attach()
                bench.connect_keys = attached.connect_keys
                bench.start()
                self.assertTrue(self.silent(bench))
                self.assertEqual((bench.port.lookups, bench.port.reopened), ([], 0))

    def test_a_device_without_a_key_is_silent(self):
        bench = Bench(key=b"")
        attached = Bench()
        attached.attach()
        bench.connect_keys = attached.connect_keys
        bench.start()
        self.assertTrue(self.silent(bench))

    def test_switching_off_takes_effect_in_every_state(self):
        def look_up(bench):
            bench.start()

        def ask_controller(bench):
            bench.start()

        def ask_gsp(bench):
            bench.start()
            bench.direct()

        def attach(bench):
            bench.attach()

        def search(bench):
            bench.attach()
            bench.introduce(flags=IPX_CP_ASYNC)

        def connect(bench):
            bench.connected()

        for start_ms in (1000, BELOW_WRAP_MS):
            for reach in (look_up, ask_controller, ask_gsp, attach, search, connect):
                for way in ("permission", "product"):
                    with self.subTest(start_ms=start_ms, reach=reach.__name__, way=way):
                        bench = Bench(start_ms, controllers=() if reach is look_up else (b"\xc0\x00\x02\x0a\x15\xbe",))
                        reach(bench)
                        if bench.connect_keys is None:
                            bench.connect_keys = bench.keys
                        bench.port.take()
                        if way == "permission":
                            bench.app.remote = False
                        else:
                            bench.stack.set_remote(False)
                        self.assertTrue(self.silent(bench))
                        self.assertFalse(bench.stack.connections.any_open())

    def test_what_is_ignored_is_counted(self):
        bench = Bench()
        bench.app.remote = False
        bench.start()
        bench.alive(1)
        self.assertEqual(bench.stack.counters[OFF], 1)

    def test_the_request_that_switches_it_off_is_answered(self):
        bench = Bench()
        bench.connected()
        sent = bench.deliver(REMOTE, bench.query(4), CLIENT)
        self.assertEqual(kinds(sent), [(PT_DATA, 1), (PT_DATA, 1)])
        self.assertEqual(bench.stack.deadline_ms, bench.now_ms)
        bench.settle()
        self.assertEqual(bench.app.log[-1], ("closed", NSI))
        self.assertTrue(self.silent(bench))

    def test_local_access_goes_on(self):
        bench = Bench()
        bench.attach()
        number = bench.connect_local()
        bench.app.remote = False
        bench.settle()
        octets = bench.query(1, nsi=number, context=bench.clear)
        self.assertEqual(len(bench.deliver(LOCAL, octets, LAN_CLIENT)), 2)
        self.assertEqual(len(bench.deliver(LOCAL, build_discovery(b"*"), LAN_CLIENT)), 1)

    def test_switching_on_registers_without_a_restart(self):
        for start_ms in (1000, BELOW_WRAP_MS):
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.app.remote = False
                bench.start()
                bench.advance(5000)
                bench.app.remote = True
                self.assertEqual(kinds([sent for _, sent in bench.advance(10)]), [(PT_U_INVITE, 0)])
                bench.finish_attach()
                self.assertEqual(bench.stack.state, ATTACHED)

    def test_both_switches_must_be_on(self):
        bench = Bench()
        bench.stack.set_remote(False)
        bench.start()
        self.assertEqual(bench.advance(5000), [])
        bench.stack.set_remote(True)
        self.assertEqual(len(bench.advance(10)), 1)


if __name__ == "__main__":
    unittest.main()
