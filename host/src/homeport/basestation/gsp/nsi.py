"""Choosing NSIs, the 32-bit names of attachments and connections (specification, core 1.5)."""

from __future__ import annotations

from collections.abc import Container

from homeport_core.spec import LOCAL_NSI_MAX, NSI_LEN

from homeport.basestation.machine import Rng


def fresh_nsi(rng: Rng, *taken: Container[bytes]) -> bytes:
    """A random NSI above those that devices give out themselves, and in none of the tables."""
    while True:
        nsi = rng(NSI_LEN)
        if int.from_bytes(nsi, "big") > LOCAL_NSI_MAX and not any(nsi in table for table in taken):
            return nsi
