"""What the machines ask about a device: one look-up in memory, by its raw id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, frozen=True)
class DeviceRecord:
    """A provisioned device. `psk` are the 16 octets it shares with the basestation."""

    device_id: bytes
    psk: bytes
    enabled: bool = True

    def __repr__(self) -> str:
        return f"DeviceRecord({self.device_id!r}, enabled={self.enabled})"


class Devices(Protocol):
    """The inventory as the machines see it. Called for each invite, so it must not touch a disk."""

    def get(self, device_id: bytes) -> DeviceRecord | None:
        """The device of exactly that id, enabled or not, or None."""
        ...
