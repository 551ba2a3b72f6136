"""The pins of a simulated board: each is a file of that name in DIR/pins."""

PINS = {
    "LED": "LED",
    "BUTTON": "BUTTON",
    "SWITCH": "SWITCH",
    "SDA": "SDA",
    "SCL": "SCL",
    "LAMP_RED": "LAMP_RED",
    "LAMP_GREEN": "LAMP_GREEN",
    "LAMP_BLUE": "LAMP_BLUE",
    "RELAY": "RELAY",
}
