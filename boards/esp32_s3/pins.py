"""What is wired to which GPIO of an ESP32-S3. (pin, True): turned round, such as a relay that a low level pulls."""

PINS = {
    "LED": 2,  # the board's own light is a chain of one WS2812, which a plain pin does not switch
    "BUTTON": 0,  # the board's own, marked BOOT
    "SDA": 8,
    "SCL": 9,
    "LAMP_RED": 4,
    "LAMP_GREEN": 5,
    "LAMP_BLUE": 6,
    "RELAY": (7, True),
}
