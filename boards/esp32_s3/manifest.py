"""What to freeze, for people who build MicroPython themselves: `make FROZEN_MANIFEST=…/boards/esp32_s3/manifest.py`.

The board's main.py stays a file: `from sunpi import device`, `device.run()`.
"""

include("$(PORT_DIR)/boards/manifest.py")
include("../../firmware/manifest.py")
package("drivers", base_path="../../firmware/examples", opt=3)
module("sunpi.py", base_path="../../firmware/examples", opt=3)
module("pins.py", opt=3)
