"""What the device says about itself (specification, core 2.10, 2.11, 4.3, 4.4)."""

from homeport_core.compat import const
from homeport_core.payloads import build_capability, build_id, build_version
from homeport_core.spec import (
    CAP_ENCR_OFF,
    CAP_FB_TCP_U,
    CAP_FP,
    CAP_MICRO,
    CAP_TAG,
    CAP_UDP,
    DESCR_APPLICATION,
    DESCR_URL,
    ID_URL,
    PL_CAPABILITY,
    PL_DESCR,
    PL_NONCE,
    PL_SP_ID,
    PL_VERSION,
    PLF_OPTIONAL,
    PT_U_INVITE,
    SUITE_AES,
    VERSION_MICRO_DEVICE,
)

CAPABILITY_MASK = const(0x0B3C)


def version_payload(config: object) -> bytes:
    """The data of VERSION."""
    major, minor, patch = config.version
    return build_version(VERSION_MICRO_DEVICE, major, minor, patch, config.version_label.encode())


def write_invite(writer: object, config: object) -> None:
    """U_INVITE to a controller (core 4.3)."""
    writer.begin(PT_U_INVITE)
    writer.add(PL_VERSION, version_payload(config))
    writer.add(PL_SP_ID, build_id(ID_URL, config.device_id.encode()))


def write_gsp_invite(writer: object, config: object, nonce: bytes) -> None:
    """U_INVITE to a GSP (core 4.4)."""
    writer.begin(PT_U_INVITE)
    writer.add(PL_VERSION, version_payload(config))
    writer.add(PL_NONCE, nonce)
    version = (config.application_version or "-").encode()
    writer.add(PL_DESCR, build_id(DESCR_APPLICATION, version), PLF_OPTIONAL)
    if config.url:
        writer.add(PL_DESCR, build_id(DESCR_URL, config.url.encode()), PLF_OPTIONAL)
    writer.add(PL_CAPABILITY, build_capability(0, 0, (SUITE_AES,)))
    writer.add(PL_SP_ID, build_id(ID_URL, config.device_id.encode()))


def capability_bits(config: object, clear: bool = False) -> int:
    """The bits of CAPABILITY; `clear` where data without encryption is accepted, as on local connections."""
    bits = CAP_MICRO | CAP_UDP | CAP_TAG | CAP_FP
    if config.tcp_fallback:
        bits |= CAP_FB_TCP_U
    if clear:
        bits |= CAP_ENCR_OFF
    return bits
