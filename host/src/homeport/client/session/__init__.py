"""One connection to one device, as sans-IO machines."""
