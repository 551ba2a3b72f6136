"""Sockets, and finding devices and oneself on the network."""
