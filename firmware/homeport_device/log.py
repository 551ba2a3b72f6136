"""One line on the console for each thing worth telling. No secrets; peer text printable and short."""

from homeport_core.compat import const

_SHOWN_MAX = const(64)


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
