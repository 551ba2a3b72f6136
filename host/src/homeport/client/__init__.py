"""Clients: profiles, and connections to devices over the local network, peer to peer or relayed."""

from homeport.client.client import Client
from homeport.client.device import Device
from homeport.client.keys import Psk
from homeport.client.profile import Profile
from homeport.client.queries.interface import Interface

__all__ = ["Client", "Device", "Interface", "Profile", "Psk"]
