"""What the device says about itself in several packets (specification, core 2.10, 2.11)."""

from homeport_core.compat import const
from homeport_core.payloads import build_version
from homeport_core.spec import CAP_ENCR_OFF, CAP_FB_TCP_U, CAP_FP, CAP_MICRO, CAP_TAG, CAP_UDP, VERSION_MICRO_DEVICE

CAPABILITY_MASK = const(0x0B3C)


def version_payload(config: object) -> bytes:
    """The data of VERSION."""
    major, minor, patch = config.version
    return build_version(VERSION_MICRO_DEVICE, major, minor, patch, config.version_label.encode())


def capability_bits(config: object, clear: bool = False) -> int:
    """The bits of CAPABILITY; `clear` where data without encryption is accepted, as on local connections."""
    bits = CAP_MICRO | CAP_UDP | CAP_TAG | CAP_FP
    if config.tcp_fallback:
        bits |= CAP_FB_TCP_U
    if clear:
        bits |= CAP_ENCR_OFF
    return bits
