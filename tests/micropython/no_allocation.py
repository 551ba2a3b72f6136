"""What runs for every request and timer takes no memory: with the heap locked, it would fail."""

import unittest

import micropython
from homeport_core import ticks
from homeport_device.acl import Acl
from homeport_device.panel import Panel
from panel_bench import PanelDevice, PanelHardware


def locked(step):
    """Run a step with the heap locked; the step was made before."""
    micropython.heap_lock()
    try:
        return step()
    finally:
        micropython.heap_unlock()


class Looks:
    """Steps of a panel, 20 ms apart."""

    def __init__(self, panel):
        self.panel = panel
        self.now_ms = 1000

    def take(self):
        self.now_ms += 20
        self.panel.step(self.now_ms)


class HotPaths(unittest.TestCase):
    def test_finding_a_user_in_a_full_list(self):
        acl = Acl()
        for number in range(32):
            acl.add((number + 1).to_bytes(16, "big"), b"n" * 63)
        known, unknown = (32).to_bytes(16, "big"), b"\xee" * 16
        self.assertEqual(locked(lambda: acl.find(known)), 31)
        self.assertEqual(locked(lambda: acl.find(unknown)), -1)

    def test_looking_at_button_switch_and_light_while_nothing_happens(self):
        for names in ((), ("LED",), ("LED", "RED", "GREEN", "BLUE", "BUTTON", "SWITCH")):
            with self.subTest(names=names):
                looks = Looks(Panel(1000, PanelDevice(), PanelHardware(names), None))
                look = looks.take
                look()
                for _ in range(500):
                    locked(look)

    def test_arithmetic_of_ticks(self):
        later = locked(lambda: ticks.add(ticks.PERIOD - 1, 5))
        self.assertEqual(locked(lambda: ticks.diff(later, ticks.PERIOD - 1)), 5)

    def test_the_lock_works(self):
        with self.assertRaises(MemoryError):
            locked(lambda: bytearray(1000))


if __name__ == "__main__":
    unittest.main()
