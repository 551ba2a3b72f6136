"""`board` of Blinka on a Raspberry Pi, as far as tests wire anything to it."""


class Pin:
    def __init__(self, id):
        self.id = id


D2 = SDA = Pin(2)
D3 = SCL = Pin(3)
D4 = Pin(4)
D5 = Pin(5)
D13 = Pin(13)
D18 = Pin(18)
