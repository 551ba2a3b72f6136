"""Blinka's `board` on a Raspberry Pi: pins by name."""

SDA, SCL = "D2", "D3"
D17, D22, D23, D27 = "D17", "D22", "D23", "D27"
