"""What is wired to which pin of a Raspberry Pi, as Blinka calls them: "D17" is GPIO17.

(pin, True): the other way round, such as a relay that a low level pulls.
"""

PINS = {
    "SDA": "SDA",  # GPIO2
    "SCL": "SCL",  # GPIO3
    "LAMP_RED": "D17",
    "LAMP_GREEN": "D27",
    "LAMP_BLUE": "D22",
    "RELAY": ("D23", True),
}
