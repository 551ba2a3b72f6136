"""The gate: the TLS front door for clients."""
