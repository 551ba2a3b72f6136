"""Uses a ventilation unit through the PyPI package genvexnabto and prints what happened as JSON.

Runs in an environment of its own, never in ours: the package is AGPL. Arguments: port, device id, e-mail address.
"""

import asyncio
import json
import sys
import time

from genvexnabto import GenvexNabto, GenvexNabtoDatapointKey, GenvexNabtoSetpointKey

PORT, DEVICE_ID, EMAIL = int(sys.argv[1]), sys.argv[2], sys.argv[3]
LOOPBACK = "127.0.0.1"
NEW_TEMPERATURE = 22.5
PATIENCE_S = 15
# The package's discovery request, with the wildcard or an id: what it would broadcast, to one address.
DISCOVERY = bytes.fromhex("000000010000000000000000")


class Client(GenvexNabto):
    """The package's client with its broadcast turned to the loopback device."""

    def sendDiscovery(self, specificDevice=None):  # noqa: N802, N803
        self._socket.sendto(DISCOVERY + (specificDevice or "*").encode() + b"\0", (LOOPBACK, PORT))


async def use() -> dict:
    client = Client(EMAIL)
    client.openSocket()
    client.startListening()
    seen = {}
    try:
        seen["discovered"] = sorted(await client.discoverDevices())
        client.setDevice(DEVICE_ID)
        client._device_port = PORT
        client.getDeviceIP()
        seen["found"] = await client.waitForDiscovery()
        client.connectToDevice()
        await client.waitForConnection()
        seen["connected"] = client._is_connected
        seen["error"] = getattr(client._connection_error, "value", client._connection_error)
        if client._is_connected:
            seen["data"] = await client.waitForData()
            seen["supply"] = client.getValue(GenvexNabtoDatapointKey.TEMP_SUPPLY)
            seen["humidity"] = client.getValue(GenvexNabtoDatapointKey.HUMIDITY)
            seen["before"] = client.getValue(GenvexNabtoSetpointKey.TEMP_SETPOINT)
            client.setSetpoint(GenvexNabtoSetpointKey.TEMP_SETPOINT, NEW_TEMPERATURE)
            # Read it back from the device: the newer package shows the written value before it is known.
            client._model_adapter._values[GenvexNabtoSetpointKey.TEMP_SETPOINT] = None
            until = time.monotonic() + PATIENCE_S
            while client.getValue(GenvexNabtoSetpointKey.TEMP_SETPOINT) is None and time.monotonic() < until:
                await asyncio.sleep(0.1)
            seen["after"] = client.getValue(GenvexNabtoSetpointKey.TEMP_SETPOINT)
    finally:
        client.stopListening()
        client._listen_thread.join()
        client.closeSocket()
    return seen


result = asyncio.run(use())
print("RESULT " + json.dumps(result))
