"""The one page of the set-up network: what this device is, the networks around it, name and password of one of them.

It works without scripts and loads nothing; while a network is tried it asks for itself again. At most 6 KB.
"""

from homeport_core.compat import const

from homeport_device.setup import KEPT, OPEN, TRYING

# Networks that are shown, and the octets of their rows; others can be typed.
SHOWN_MAX = const(10)
_ROWS_MAX = const(2300)
_NAME_MAX = const(64)
_TEXT_MAX = const(160)
_STRONG_DBM = const(-60)
_FAIR_DBM = const(-75)

_HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">%s
<title>Set up %s</title><style>
body{font:17px/1.5 system-ui,sans-serif;max-width:30em;margin:0 auto;padding:1em;background:#fff;color:#1a1a1a}
h1{font-size:1.4em;margin:.3em 0}label{display:block;padding:.35em 0}
input[type=text],input[type=password],button{font:inherit;width:100%%;box-sizing:border-box;padding:.6em;
margin:.2em 0 .8em;border:1px solid #767676;border-radius:.4em;background:inherit;color:inherit}
button{background:#0b57d0;color:#fff;border:0}fieldset{border:1px solid #767676;border-radius:.4em;margin:0 0 1em}
.bad{border-left:.3em solid #c00;padding-left:.7em}.good{border-left:.3em solid #080;padding-left:.7em}
small{color:#555}@media(prefers-color-scheme:dark){body{background:#121212;color:#eee}small{color:#aaa}
button{background:#a8c7fa;color:#062e6f}}
</style></head><body>"""
_AGAIN = '\n<meta http-equiv="refresh" content="3;url=/">'
_ABOUT = "<h1>%s</h1><p>%s<br><small>Device id: %s</small></p>"
_NETWORK = '<label><input type="radio" name="ssid" value="%s"%s> %s <small>%s</small></label>'
_FORM = """<form method="post" action="/"><input type="hidden" name="token" value="%s">
<fieldset><legend>Wi-Fi network</legend>%s<label><input type="radio" name="ssid" value=""%s> Another one:
<input type="text" name="other" value="%s" maxlength="32" autocomplete="off" autocapitalize="none" spellcheck="false">
</label></fieldset><label>Password <small>(8 to 63 characters; none for an open network)</small>
<input type="password" name="password" maxlength="63" autocomplete="off"></label>
<button>Join</button></form><form method="post" action="/scan"><input type="hidden" name="token" value="%s">
<button>Search for networks again</button></form>"""
_END = "</body></html>"


def page(about: tuple, setup: object, networks: list, token: str) -> bytes:
    """The page. `about` is (name, kind, device id, notes), `networks` (SSID octets, dBm, has a password), the strongest
    first; `token` makes a form ours."""
    name, kind, device_id, notes = about
    name, kind = _safe(name, _NAME_MAX), _safe(kind, _NAME_MAX)
    parts = [_HEAD % (_AGAIN if setup.state == TRYING else "", name), _ABOUT % (name, kind, device_id)]
    parts += [_said(note, False) for note in notes]
    ssid = setup.wanted[0]
    if setup.state == TRYING:
        parts.append(_said("Trying to join %s. This takes up to 20 seconds." % ssid, True))
    elif setup.state == KEPT:
        where = ".".join([str(octet) for octet in setup.address])
        parts.append(_said("This device has joined %s. Its address there is %s." % (ssid, where), True))
        parts.append("<p>This set-up network closes now, for good. Go back to your own network.</p>")
    elif setup.state == OPEN:
        if setup.problem:
            parts.append(_said(setup.problem, False))
        parts.append(_form(ssid, networks, token))
    parts.append(_END)
    return "".join(parts).encode()


def known(networks: list) -> list:
    """What can be shown of what a scan found: names that are text, each once, the strongest first."""
    shown = []
    for octets, dbm, secured in networks:
        try:
            ssid = str(octets, "utf-8")
        except ValueError:
            continue
        printable = ssid and not any(letter < " " or letter == "\x7f" for letter in ssid)
        if printable and not any(other[0] == ssid for other in shown):
            shown.append((ssid, dbm, secured))
    return shown[:SHOWN_MAX]


def _form(wanted: str, networks: list, token: str) -> str:
    listed = known(networks)
    rows = ""
    for ssid, dbm, secured in listed:
        strength = "strong" if dbm >= _STRONG_DBM else "fair" if dbm >= _FAIR_DBM else "weak"
        text = strength + ("" if secured else ", open")
        row = _NETWORK % (_safe(ssid), " checked" if ssid == wanted else "", _safe(ssid), text)
        if len(rows) + len(row) <= _ROWS_MAX:
            rows += row
    is_listed = any(entry[0] == wanted for entry in listed)
    other = "" if is_listed else _safe(wanted)
    return _FORM % (token, rows, "" if is_listed else " checked", other, token)


def _said(text: str, is_good: bool) -> str:
    return '<p class="%s" role="status">%s</p>' % ("good" if is_good else "bad", _safe(text, _TEXT_MAX))


def _safe(text: object, limit: int = _NAME_MAX) -> str:
    """Text as HTML shows it, short."""
    text = str(text, "utf-8") if isinstance(text, (bytes, bytearray)) else text
    text = text[:limit].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")
