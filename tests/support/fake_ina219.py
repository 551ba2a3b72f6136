"""An INA219 by its registers, behind both faces of a bus: MicroPython's and Blinka's (busio.I2C).

As in the data sheet: the shunt's voltage stops at the end of the chosen range, power has no sign, a new mode waits for
the next conversion, and the chip forgets everything when its supply fails.
"""

CONFIG, SHUNT, BUS, POWER, CURRENT, CALIBRATION = range(6)
CONFIG_AT_START = 0x399F
RESET = 0x8000
CONVERTED = 2
OVERFLOW = 1
ADDRESS = 0x40
NACK = 121  # EREMOTEIO, as Linux says it
WAIT_READS = 3  # of the bus voltage, until the first conversion is done


class FakeINA219:
    """The chip on its own bus, with MicroPython's face. `voltage_mv` and `drop_uv` are what there is to measure."""

    def __init__(self, voltage_mv=0, drop_uv=0, address=ADDRESS):
        self.voltage_mv = voltage_mv
        self.drop_uv = drop_uv
        self.address = address
        self.is_plugged = True
        self.never_converts = False
        self._pointer = 0
        self.start()

    def start(self):
        """The supply is back."""
        self.config = CONFIG_AT_START
        self.calibration = 0
        self._waits = WAIT_READS

    def unplug(self):
        self.is_plugged = False

    def plug(self):
        self.is_plugged = True
        self.start()

    # MicroPython's face

    def readfrom_mem(self, address, register, n):
        self.require(address)
        self._pointer = register
        return self.read()[:n]

    def writeto_mem(self, address, register, octets):
        self.require(address)
        self.write(bytes((register,)) + bytes(octets))

    # The chip

    def require(self, address):
        if not self.is_plugged or address != self.address:
            raise OSError(NACK)

    def write(self, octets):
        if not octets:
            return
        self._pointer = octets[0]
        if len(octets) < 3:
            return
        value = octets[1] << 8 | octets[2]
        if self._pointer == CONFIG:
            if value & RESET:
                self.start()
            else:
                self.config = value
                self._waits = WAIT_READS
        elif self._pointer == CALIBRATION:
            self.calibration = value & 0xFFFE

    def read(self):
        return (self._value() & 0xFFFF).to_bytes(2, "big")

    def _value(self):
        if self._pointer == BUS:
            self._waits = max(0, self._waits - 1)
        is_ready = self._waits == 0 and not self.never_converts
        range_uv = 40000 << (self.config >> 11 & 3)
        shunt = max(-range_uv, min(self.drop_uv, range_uv)) // 10
        full_scale_mv = 32000 if self.config & 0x2000 else 16000
        voltage = min(self.voltage_mv, full_scale_mv) // 4
        if not is_ready:
            shunt = voltage = 0
        current = int(shunt * self.calibration / 4096)
        power = abs(current) * voltage // 5000
        if self._pointer == BUS:
            overflows = not -0x8000 <= current <= 0x7FFF or power > 0xFFFF
            return voltage << 3 | (CONVERTED if is_ready else 0) | (OVERFLOW if overflows else 0)
        if self._pointer == POWER:
            self._waits = WAIT_READS
        return (self.config, shunt, 0, power, current, self.calibration)[self._pointer]


class FakeBusio:
    """Blinka's face of the same bus: busio.I2C, as far as its drivers use it."""

    def __init__(self, chip):
        self.chip = chip

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, octets, start=0, end=None, stop=True):
        self.chip.require(address)
        self.chip.write(bytes(octets)[start:end])

    def readfrom_into(self, address, buf, start=0, end=None, stop=True):
        self.chip.require(address)
        end = len(buf) if end is None else end
        buf[start:end] = self.chip.read()[: end - start]

    def writeto_then_readfrom(self, address, out, buf, out_start=0, out_end=None, in_start=0, in_end=None, stop=False):
        self.writeto(address, out, out_start, out_end)
        self.readfrom_into(address, buf, in_start, in_end)
