"""A board's way onto its network: known networks in turn, pauses, loss, changed addresses, dead networks."""

import unittest

from homeport_core import ticks
from homeport_core.errors import StateError
from homeport_device import network
from homeport_device.hardware_common import FAILED, IDLE, JOINED, JOINING, NO_NETWORK, WRONG_PASSWORD
from homeport_device.network import JOIN, LEAVE, LOST, OFF, TRANSITIONS, WAITING, Network

STARTS = (1000, ticks.PERIOD - 1500)
STEP_MS = 100
ADDRESS = b"\xc0\xa8\x01\x32"
OTHER = b"\xc0\xa8\x01\x33"
HOME, SHED = ("home", "password1"), ("shed", "password2")
MINUTE_MS = 60000


class Air:
    """A radio and a clock: `networks` is what each SSID answers, a status or an address."""

    def __init__(self, start_ms, known=(HOME,), random=b"\x00", **networks):
        self.now_ms = start_ms
        self.elapsed_ms = 0
        self.networks = networks
        self.asked = None
        self.joins = []  # (elapsed, SSID)
        self.leaves = []
        self.attached = False
        self.wanted = True
        self.network = Network(lambda n: random * n)
        self.network.configure(self.now_ms, known)

    def facts(self):
        if self.asked is None:
            return IDLE, None
        answer = self.networks.get(self.asked, NO_NETWORK)
        return (JOINED, answer) if isinstance(answer, bytes) else (answer, None)

    def step(self):
        self.network.served(self.now_ms, self.attached, self.wanted)
        order = self.network.step(self.now_ms, *self.facts())
        if order == JOIN:
            self.asked = self.network.current[0]
            self.joins.append((self.elapsed_ms, self.asked))
        elif order == LEAVE:
            self.asked = None
            self.leaves.append(self.elapsed_ms)

    def pass_ms(self, ms):
        for _ in range(ms // STEP_MS):
            self.step()
            self.now_ms = ticks.add(self.now_ms, STEP_MS)
            self.elapsed_ms += STEP_MS
        return self

    def told(self):
        events = []
        while True:
            event = self.network.next_event()
            if event is None:
                return events
            events.append(event)


class NetworkTest(unittest.TestCase):
    def airs(self, **arguments):
        """One for each start of the clock."""
        for start_ms in STARTS:
            yield Air(start_ms, **arguments)

    def test_it_joins_at_once_and_tells_its_address(self):
        for air in self.airs(home=ADDRESS):
            air.pass_ms(300)
            self.assertEqual(air.joins, [(0, "home")])
            self.assertTrue(air.network.is_up)
            self.assertEqual(air.network.address, ADDRESS)
            self.assertEqual(air.told(), [(network.JOINED_AS, "home")])

    def test_without_networks_it_does_nothing(self):
        for air in self.airs(known=()):
            air.pass_ms(MINUTE_MS)
            self.assertEqual((air.joins, air.leaves, air.network.state), ([], [], OFF))

    def test_known_networks_are_tried_in_turn_with_little_between_them(self):
        for air in self.airs(known=(HOME, SHED), shed=ADDRESS):
            air.pass_ms(2000)
            self.assertEqual(air.joins, [(0, "home"), (600, "shed")])
            self.assertEqual(air.told(), [(network.NO_NETWORK, "home"), (network.JOINED_AS, "shed")])

    def test_what_failed_is_told_by_its_cause(self):
        for status, code in (
            (WRONG_PASSWORD, network.WRONG_PASSWORD),
            (NO_NETWORK, network.NO_NETWORK),
            (FAILED, network.NO_ADDRESS),
        ):
            for air in self.airs(home=status):
                air.pass_ms(500)
                self.assertEqual(air.told(), [(code, "home")])
                self.assertEqual(air.leaves, [100])

    def test_a_join_without_answer_ends_after_twenty_seconds(self):
        for air in self.airs(home=JOINING):
            air.pass_ms(25000)
            self.assertEqual(air.leaves, [20000])
            self.assertEqual(air.told()[0], (network.NO_ADDRESS, "home"))

    def test_pauses_double_from_one_second_to_five_minutes(self):
        for air in self.airs(home=NO_NETWORK):
            air.pass_ms(30 * MINUTE_MS)
            at = [elapsed_ms for elapsed_ms, _ in air.joins]
            pauses = [later - earlier - STEP_MS for earlier, later in zip(at, at[1:])]
            expected = [1000 << n for n in range(9)] + [300000] * 10
            self.assertEqual(pauses, expected[: len(pauses)])
            self.assertTrue(len(pauses) > 10)

    def test_chance_shortens_a_pause_by_up_to_a_half(self):
        for air in self.airs(random=b"\xff", home=NO_NETWORK):
            air.pass_ms(30 * MINUTE_MS)
            at = [elapsed_ms for elapsed_ms, _ in air.joins]
            longest = max(later - earlier for earlier, later in zip(at, at[1:]))
            self.assertTrue(150000 <= longest <= 151000, longest)

    def test_the_pause_begins_small_again_after_a_join(self):
        for air in self.airs(home=NO_NETWORK):
            air.pass_ms(20 * MINUTE_MS)
            air.networks["home"] = ADDRESS
            air.pass_ms(6 * MINUTE_MS)
            self.assertTrue(air.network.is_up)
            air.networks["home"] = NO_NETWORK
            air.joins = []
            air.pass_ms(10000)
            self.assertTrue(len(air.joins) >= 3, air.joins)

    def test_a_lost_network_is_left_to_the_driver_for_a_moment(self):
        for air in self.airs(home=ADDRESS):
            air.pass_ms(1000)
            air.networks["home"] = JOINING
            air.pass_ms(1000)
            self.assertEqual(air.network.state, LOST)
            self.assertFalse(air.network.is_up)
            air.networks["home"] = OTHER
            air.pass_ms(1000)
            self.assertEqual(air.network.address, OTHER)
            self.assertEqual(len(air.joins), 1)

    def test_a_lost_network_that_does_not_come_back_is_joined_again(self):
        for air in self.airs(home=ADDRESS):
            air.pass_ms(1000)
            air.networks["home"] = NO_NETWORK
            air.pass_ms(4100)
            self.assertEqual(air.joins, [(0, "home"), (4000, "home")])

    def test_another_address_is_told_and_is_no_loss(self):
        for air in self.airs(home=ADDRESS):
            air.pass_ms(1000)
            air.told()
            air.networks["home"] = OTHER
            air.pass_ms(1000)
            self.assertTrue(air.network.is_up)
            self.assertEqual(air.network.address, OTHER)
            self.assertEqual(air.told(), [(network.NEW_ADDRESS, "192.168.1.51")])

    def test_a_network_without_basestation_is_joined_again_then_the_next_then_back(self):
        for air in self.airs(known=(HOME, SHED), home=ADDRESS, shed=OTHER):
            air.pass_ms(130 * MINUTE_MS)
            self.assertEqual([ssid for _, ssid in air.joins], ["home", "home", "shed", "shed", "home"])
            minutes = [round(at / MINUTE_MS) for at in air.leaves]
            self.assertEqual(minutes, [5, 15, 35, 75])

    def test_a_network_with_a_basestation_is_kept(self):
        for air in self.airs(home=ADDRESS):
            air.attached = True
            air.pass_ms(60 * MINUTE_MS)
            self.assertEqual(air.leaves, [])

    def test_patience_begins_anew_when_the_basestation_has_answered(self):
        for air in self.airs(home=ADDRESS):
            air.pass_ms(4 * MINUTE_MS)
            air.attached = True
            air.pass_ms(1000)
            air.attached = False
            air.pass_ms(4 * MINUTE_MS)
            self.assertEqual(air.leaves, [])

    def test_a_device_that_wants_no_basestation_stays(self):
        for air in self.airs(home=ADDRESS):
            air.wanted = False
            air.pass_ms(60 * MINUTE_MS)
            self.assertEqual(air.leaves, [])

    def test_it_stays_joined_for_longer_than_ticks_can_tell(self):
        air = Air(1000, home=ADDRESS)
        air.attached = True
        air.pass_ms(1000)
        for _ in range(24):
            air.now_ms = ticks.add(air.now_ms, ticks.PERIOD // 5)
            air.pass_ms(200)
        self.assertEqual((len(air.joins), air.leaves), (1, []))

    def test_other_networks_are_joined_at_once(self):
        for air in self.airs(home=ADDRESS, shed=OTHER):
            air.pass_ms(1000)
            air.network.configure(air.now_ms, (SHED,))
            self.assertFalse(air.network.is_up)
            air.pass_ms(1000)
            self.assertEqual(air.network.address, OTHER)

    def test_a_network_that_is_joined_already_is_not_joined_again(self):
        for air in self.airs(known=(), home=ADDRESS, shed=OTHER):
            air.asked = "home"
            air.network.configure(air.now_ms, (HOME, SHED), True)
            air.pass_ms(1000)
            self.assertEqual((air.joins, air.network.address), ([], ADDRESS))
            self.assertEqual(air.told(), [(network.JOINED_AS, "home")])

    def test_one_that_is_not_joined_after_all_is_joined_at_once(self):
        for air in self.airs(known=(), home=ADDRESS):
            air.network.configure(air.now_ms, (HOME,), True)
            air.pass_ms(1000)
            self.assertEqual((air.joins, air.network.address), ([(0, "home")], ADDRESS))

    def test_events_that_nobody_takes_are_bounded(self):
        air = Air(1000, home=NO_NETWORK).pass_ms(60 * MINUTE_MS)
        self.assertEqual(len(air.told()), 8)

    def test_each_state_is_reachable_and_has_a_way_out(self):
        states = set(range(WAITING + 1))
        self.assertEqual({state for state, _, _ in TRANSITIONS}, states)
        self.assertEqual({following for _, _, following in TRANSITIONS}, states)

    def test_what_is_not_in_the_table_is_an_error(self):
        machine = Network(bytes)
        with self.assertRaises(StateError):
            machine._enter(network.ADDRESSED)


if __name__ == "__main__":
    unittest.main()
