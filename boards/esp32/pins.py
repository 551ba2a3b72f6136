"""What is wired to which GPIO of an ESP32. (pin, True): turned round, such as a relay that a low level pulls."""

PINS = {
    "LED": 2,  # on many boards there is one already, in blue
    "BUTTON": 0,  # the board's own, marked BOOT
    "SDA": 21,
    "SCL": 22,
    "LAMP_RED": 25,
    "LAMP_GREEN": 26,
    "LAMP_BLUE": 27,
    "RELAY": (33, True),
}
