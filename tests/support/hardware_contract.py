"""What firmware may rely on of any hardware (homeport_device.hardware): tests for each platform to inherit.

A platform's case gives `hardware`, opened with PINS, `open(pins)` for another one on the same chip, and what moves the
world around it.
"""

from fake_board import Network
from homeport_core.errors import ConfigError
from homeport_device import hardware_common as common

PINS = {"LED": 2, "BUTTON": 4, "RELAY": (5, True), "DOOR": (13, True), "SDA": 20, "SCL": 21}


class Pins:
    """Platforms give `hardware`, and how the world sees and moves pins: `wire(name)` and `set_wire(name, level)`."""

    def test_an_output_begins_as_told_and_is_what_it_was_set_to(self):
        pin = self.hardware.output("LED", 1)
        self.assertEqual((pin.value(), self.wire("LED")), (1, 1))
        pin.value(0)
        self.assertEqual((pin.value(), self.wire("LED")), (0, 0))

    def test_an_output_is_off_to_begin_with(self):
        self.assertEqual(self.hardware.output("LED").value(), 0)
        self.assertEqual(self.hardware.output("RELAY").value(), 0)

    def test_a_dimmed_pin_keeps_its_level(self):
        channel = self.hardware.pwm("LED")
        self.assertEqual(channel.level(), 0)
        for level in (1, 128, 255, 0):
            channel.level(level)
            self.assertEqual(channel.level(), level)

    def test_a_name_that_is_not_wired_is_said(self):
        for use in (self.hardware.output, self.hardware.input, self.hardware.pwm):
            with self.assertRaises(ConfigError) as context:
                use("PUMP")
            self.assertIn("PUMP", str(context.exception))

    def test_what_is_wired_can_be_asked(self):
        self.assertTrue(self.hardware.has("LED"))
        self.assertFalse(self.hardware.has("PUMP"))

    def test_a_bus_without_its_pins_is_said(self):
        hardware = self.open({"LED": 2})
        with self.assertRaises(ConfigError) as context:
            hardware.i2c()
        self.assertIn("SDA", str(context.exception))

    def test_a_button_is_pressed_when_somebody_presses_it(self):
        pin = self.hardware.input("BUTTON")
        self.assertEqual(pin.value(), 0)
        self.press("BUTTON", True)
        self.assertEqual(pin.value(), 1)
        self.press("BUTTON", False)
        self.assertEqual(pin.value(), 0)


class Chip:
    """What every platform tells of its chip."""

    def test_it_has_a_number_of_its_own(self):
        self.assertTrue(6 <= len(self.hardware.unique_id()) <= 16)
        self.assertEqual(self.hardware.unique_id(), self.open(PINS).unique_id())

    def test_its_temperature_is_one(self):
        self.assertTrue(-20000 < self.hardware.temperature_mc() < 100000)

    def test_it_knows_its_name(self):
        self.assertEqual(self.hardware.name, self.platform)


class Flash:
    """Regions of raw flash."""

    def test_it_has_the_size_that_records_need(self):
        region = self.hardware.region("homeport")
        self.assertEqual((region.size, region.erase_len, region.page_len), (0x10000, 4096, 256))

    def test_there_is_no_region_of_another_name(self):
        self.assertIsNone(self.hardware.region("photos"))

    def test_what_is_programmed_stays(self):
        region = self.hardware.region("homeport")
        region.erase(3)
        region.program(3 * 4096 + 250, b"abcdef")
        self.assertEqual(self.read(region, 3 * 4096 + 248, 10), b"\xff\xffabcdef\xff\xff")
        self.assertEqual(self.read(self.open(PINS).region("homeport"), 3 * 4096 + 250, 6), b"abcdef")

    def test_programming_clears_bits_and_sets_none(self):
        region = self.hardware.region("homeport")
        region.erase(0)
        region.program(0, b"\x0f")
        region.program(0, b"\xf1")
        self.assertEqual(self.read(region, 0, 2), b"\x01\xff")

    def test_programming_leaves_the_rest_of_the_page(self):
        region = self.hardware.region("homeport")
        region.erase(1)
        region.program(4096, b"first")
        region.program(4096 + 128, b"second")
        self.assertEqual(self.read(region, 4096, 5), b"first")

    def test_erasing_sets_one_block(self):
        region = self.hardware.region("homeport")
        for block in (6, 7, 8):
            region.program(block * 4096, b"\x00")
        region.erase(7)
        self.assertEqual([self.read(region, block * 4096, 1) for block in (6, 7, 8)], [b"\x00", b"\xff", b"\x00"])

    def test_the_last_octets_belong_to_it(self):
        region = self.hardware.region("homeport")
        region.erase(15)
        region.program(region.size - 4, b"last")
        self.assertEqual(self.read(region, region.size - 4, 4), b"last")

    def test_nothing_outside_of_it_is_touched(self):
        region = self.hardware.region("homeport")
        buf = bytearray(2)
        for use in (
            lambda: region.read_into(region.size - 1, buf),
            lambda: region.read_into(-1, buf),
            lambda: region.program(region.size, b"x"),
            lambda: region.program(-1, b"x"),
            lambda: region.erase(16),
            lambda: region.erase(-1),
        ):
            self.assertRaises(ValueError, use)

    def test_a_program_over_two_pages_is_refused(self):
        region = self.hardware.region("homeport")
        self.assertRaises(ValueError, lambda: region.program(255, b"xy"))

    def read(self, region, off, n):
        buf = bytearray(n)
        region.read_into(off, buf)
        return bytes(buf)


class Radio:
    """Wi-Fi. Platforms add `air(*networks)` and `wait(ms)`."""

    def start(self, *networks):
        self.air(*networks)
        wifi = self.hardware.wifi()
        wifi.start("attic-pump")
        return wifi

    def test_it_is_one(self):
        self.assertIs(self.hardware.wifi(), self.hardware.wifi())

    def test_it_is_idle_until_told_to_join(self):
        wifi = self.start(Network("attic"))
        self.wait(20000)
        self.assertEqual(wifi.status(), common.IDLE)
        self.assertIsNone(wifi.address())
        self.assertIsNone(wifi.rssi())

    def test_a_known_network_is_joined_in_a_while(self):
        wifi = self.start(Network("attic", "secret99", "192.168.7.20", -61))
        wifi.join("attic", "secret99")
        self.assertEqual(wifi.status(), common.JOINING)
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)
        address = wifi.address()
        self.assertEqual(len(address), 4)
        self.assertEqual(address[0], b"\xc0\xa8\x07\x14")
        self.assertTrue(all(isinstance(entry, bytes) and len(entry) == 4 for entry in address))
        self.assertEqual(wifi.rssi(), -61)

    def test_an_open_network_is_joined_without_password(self):
        wifi = self.start(Network("guests"))
        wifi.join("guests", "")
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)

    def test_why_a_join_failed_is_told(self):
        for ssid, password, status in (
            ("attic", "wrong-one", common.WRONG_PASSWORD),
            ("cellar", "secret99", common.NO_NETWORK),
        ):
            with self.subTest(ssid=ssid):
                wifi = self.start(Network("attic", "secret99"))
                wifi.join(ssid, password)
                self.wait(10000)
                self.assertEqual(wifi.status(), status)
                self.assertIsNone(wifi.address())
                wifi.leave()

    def test_the_failure_before_is_not_taken_for_this_one(self):
        wifi = self.start(Network("attic", "secret99"))
        wifi.join("cellar", "x" * 8)
        self.wait(10000)
        wifi.join("attic", "secret99")
        self.assertEqual(wifi.status(), common.JOINING)
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)

    def test_the_same_failure_again_is_told_again(self):
        wifi = self.start(Network("attic", "secret99"))
        for _ in range(2):
            wifi.join("attic", "wrong-one")
            self.wait(10000)
            self.assertEqual(wifi.status(), common.WRONG_PASSWORD)
            wifi.leave()

    def test_a_failed_join_is_not_tried_again_unasked(self):
        wifi = self.start(Network("attic", "secret99"))
        wifi.join("cellar", "secret99")
        self.wait(10000)
        wifi.status()
        self.air(Network("cellar", "secret99"))
        self.wait(10000)
        self.assertEqual(wifi.status(), common.NO_NETWORK)

    def test_without_dhcp_joining_does_not_end(self):
        wifi = self.start(Network("attic", "secret99", None))
        wifi.join("attic", "secret99")
        self.wait(30000)
        self.assertEqual(wifi.status(), common.JOINING)
        self.assertIsNone(wifi.address())

    def test_a_network_that_goes_away_is_noticed_and_can_be_joined_again(self):
        attic = Network("attic", "secret99")
        wifi = self.start(attic)
        wifi.join("attic", "secret99")
        self.wait(5000)
        wifi.status()
        self.air()
        self.wait(1000)
        self.assertNotEqual(wifi.status(), common.JOINED)
        self.assertIsNone(wifi.address())
        self.assertIsNone(wifi.rssi())
        self.air(attic)
        wifi.join("attic", "secret99")
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)

    def test_another_address_from_dhcp_is_seen(self):
        wifi = self.start(Network("attic", "secret99", "192.168.7.20"))
        wifi.join("attic", "secret99")
        self.wait(5000)
        self.air(Network("attic", "secret99", "192.168.7.99"))
        self.assertEqual(wifi.address()[0][3], 99)

    def test_leaving_makes_it_idle(self):
        wifi = self.start(Network("attic"))
        wifi.join("attic", "")
        self.wait(5000)
        wifi.leave()
        self.assertEqual(wifi.status(), common.IDLE)
        self.assertIsNone(wifi.address())
        wifi.leave()

    def test_a_scan_tells_names_strength_and_whether_there_is_a_password(self):
        wifi = self.start(Network("far", "", "192.168.7.20", -88), Network("n\xe4h", "secret99", rssi=-40))
        self.assertEqual(wifi.scan(), [("n\xe4h".encode(), -40, True), (b"far", -88, False)])

    def test_a_scan_tells_each_name_once_and_no_hidden_one(self):
        wifi = self.start(
            Network("attic", "secret99", rssi=-70),
            Network("", "secret99", rssi=-30),
            Network("attic", "secret99", rssi=-45),
        )
        self.assertEqual(wifi.scan(), [(b"attic", -45, True)])

    def test_a_name_too_long_for_dhcp_is_cut(self):
        wifi = self.start()
        wifi.start("h" * 63)

    def test_it_may_be_started_again(self):
        wifi = self.start(Network("attic"))
        wifi.start("attic-pump")
        wifi.join("attic", "")
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)

    def test_a_network_of_its_own_opens_and_closes(self):
        wifi = self.start()
        for password in (None, "label-secret"):
            with self.subTest(password=password):
                self.assertEqual(len(wifi.open_access_point("Homeport-1234", password)), 4)
                self.assertEqual(self.access_point(), ("Homeport-1234", password or ""))
                wifi.close_access_point()
                self.assertIsNone(self.access_point())
