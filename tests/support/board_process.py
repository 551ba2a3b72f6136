"""An example application on the port of boards: `micropython board_process.py PLATFORM APP options…`."""

import sys

import board_port

_, platform, app = sys.argv[:3]
sys.argv[:] = [app] + sys.argv[3:]
board_port.join(board_port.install(platform))
__import__(app).device.run()
