"""What is wired to which GP pin of a Pico W. (pin, True): turned round, such as a relay that a low level pulls."""

PINS = {
    "LED": "LED",  # the board's own, behind the radio chip
    "BUTTON": 15,
    "SDA": 4,
    "SCL": 5,
    "LAMP_RED": 16,
    "LAMP_GREEN": 17,
    "LAMP_BLUE": 18,
    "RELAY": (19, True),
}
