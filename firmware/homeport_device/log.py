"""One line on the console for each thing worth telling. No secrets; peer text printable and short."""

from homeport_core.compat import const

_SHOWN_MAX = const(64)

# Kinds of events
START = const(0)  # why the device started, what it found
FAULT = const(1)  # a defect: something raised that should not have
NETWORK = const(2)  # Wi-Fi
BASESTATION = const(3)
STORAGE = const(4)
PERSON = const(5)  # button, switch, pairing

_rings = []


def keep_events(events: object) -> None:
    """Have events kept, by `events.add(kind, text)`; None ends that."""
    _rings[:] = () if events is None else (events,)


def event(kind: int, *words: object) -> None:
    """Print the words as one line, and keep them where events are kept."""
    line(*words)
    for events in _rings:
        events.add(kind, " ".join([str(word) for word in words]))


def line(*words: object) -> None:
    """Print the words as one line."""
    print("homeport:", *words)


def printable(text: object, limit: int = _SHOWN_MAX) -> str:
    """What a peer or an exception said: ASCII that cannot control a terminal, at most `limit` characters."""
    if isinstance(text, (bytes, bytearray, memoryview)):
        letters = [chr(octet) for octet in bytes(text[: limit + 1])]
    else:
        letters = list(str(text)[: limit + 1])
    if len(letters) > limit:
        letters[limit:] = ["..."]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in letters[:limit]) + "".join(letters[limit:])
