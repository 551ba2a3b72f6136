"""What the relay knows of one connection between a client and a device."""

from __future__ import annotations

from homeport.basestation.carrier import Peer
from homeport.basestation.gsp.registry import Attachment


class Session:
    """`home` is where the device is attached, `device` where it is sent to: None while that is not decided, because it
    may come to the gateway. `counter` is the highest of the client's verified keep-alives."""

    __slots__ = (
        "client",
        "counter",
        "device",
        "device_id",
        "fingerprint",
        "heard_ms",
        "home",
        "key",
        "nsi",
        "window_count",
        "window_ms",
    )

    def __init__(self, now_ms: int, nsi: bytes, key: bytes, attachment: Attachment, fingerprint: bytes) -> None:
        self.nsi = nsi
        self.key = key
        self.fingerprint = fingerprint
        self.device_id = attachment.device_id
        self.home = attachment.address
        self.device: Peer | None = attachment.address
        self.client: Peer | None = None
        self.counter = -1
        self.heard_ms = now_ms
        self.window_ms = now_ms
        self.window_count = 0
