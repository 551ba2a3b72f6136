"""The TCP gateway: devices whose UDP is blocked attach and are relayed here (docs/architecture.md)."""
