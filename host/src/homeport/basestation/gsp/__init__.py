"""The GSP: the session server, as sans-IO machines."""
