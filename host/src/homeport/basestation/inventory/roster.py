"""The inventory in memory: what the machines look up for each invite (`devices.Devices`)."""

from __future__ import annotations

from homeport.basestation.devices import DeviceRecord
from homeport.basestation.inventory.inventory import Changes


class Roster:
    """All devices as of change `seq` of the inventory; -1 before the first `apply`."""

    def __init__(self) -> None:
        self.seq = -1
        self._records: dict[bytes, DeviceRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def get(self, device_id: bytes) -> DeviceRecord | None:
        """The device of exactly that id, enabled or not, or None."""
        return self._records.get(device_id)

    def apply(self, changes: Changes) -> list[bytes]:
        """Take over what changed; return the known devices that are gone, disabled or have another key."""
        present = {
            device_id: DeviceRecord(device_id, *values)
            for device_id, values in changes.devices.items()
            if values is not None
        }
        gone = [device_id for device_id, values in changes.devices.items() if values is None]
        if changes.complete:
            gone += [device_id for device_id in self._records if device_id not in present]
        revoked = [device_id for device_id in gone if self._records.pop(device_id, None) is not None]
        for device_id, record in present.items():
            old = self._records.get(device_id)
            if old is not None and (old.psk != record.psk or not record.enabled):
                revoked.append(device_id)
            if old != record:
                self._records[device_id] = record
        self.seq = changes.seq
        return revoked
