"""What is wired to which GPIO of an ESP32-C3. (pin, True): turned round, such as a relay that a low level pulls."""

PINS = {
    "LED": 1,  # boards of the kind "SuperMini" have one: (8, True)
    "BUTTON": 9,  # the board's own, marked BOOT
    "SDA": 6,
    "SCL": 7,
    "LAMP_RED": 3,
    "LAMP_GREEN": 4,
    "LAMP_BLUE": 5,
    "RELAY": (10, True),
}
