"""The device stack: sans-IO machines and one adapter per platform."""
