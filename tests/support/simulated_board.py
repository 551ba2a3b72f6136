"""Simulated boards for tests: a folder with the pins and the records that provisioning would have written."""

import shutil
import time
from pathlib import Path

from homeport_core import provisioning, record
from homeport_device.hardware_unix import Hardware
from homeport_device.provisioned import open_store

PRESS_S = 0.3
PINS = Path(__file__).resolve().parents[2] / "boards/unix/pins.py"


class SimulatedBoard:
    """A board in `folder` that knows one open network, which is in the air."""

    def __init__(self, folder, device_id="demo", key=None):
        self.folder = folder
        folder.mkdir()
        shutil.copy(PINS, folder)
        store = open_store(Hardware(None, str(folder)))
        store.write(record.CONFIG, provisioning.dump({"wifi": [["home", ""]]}))
        if key is not None:
            store.write(record.SECRETS, provisioning.dump({"id": device_id, "key": key}))

    def press(self):
        """Press the button for a moment."""
        button = self.folder / "pins" / "BUTTON"
        button.write_text("1")
        time.sleep(PRESS_S)
        button.write_text("0")
        time.sleep(PRESS_S)

    def pin(self, name):
        """What is on a pin."""
        return (self.folder / "pins" / name).read_text().strip()
