"""`esp32`: partitions, and the chip's temperature by the sensor that the chip has."""

import fake_board

_CELSIUS = ("esp32s2", "esp32s3", "esp32c3", "esp32c6")


class Partition:
    """A partition of the table; `chip.flash` holds them by label."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    @staticmethod
    def find(type=TYPE_APP, subtype=0xFF, label=None, block_size=4096):
        if type != Partition.TYPE_DATA:
            return []
        flash = fake_board.chip.flash
        return [flash[name] for name in sorted(flash) if label in (None, name)]


def __getattr__(name):
    chip = fake_board.chip
    if name == "mcu_temperature" and chip.chip in _CELSIUS:
        return lambda: int(chip.temperature_c)
    if name == "raw_temperature" and chip.chip == "esp32":
        return lambda: int(chip.temperature_c * 9 / 5 + 32)
    raise AttributeError(name)
