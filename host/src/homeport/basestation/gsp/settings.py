"""Limits and times of the controller and the GSP. Each limit says which attack or accident it bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class RateLimit:
    """A token bucket: `burst` at once, `per_s` a second in the long run."""

    burst: int
    per_s: float


@dataclass(slots=True, frozen=True)
class ControllerSettings:
    """`gsps`: the public endpoints (6 octets each) of the GSPs that devices are spread over."""

    gsps: tuple[bytes, ...]
    source: RateLimit = RateLimit(100, 50.0)
    """Answers per source address: an answer is smaller than its invite, so this only bounds work."""
    sources_max: int = 65_536
    events_max: int = 4_096
    report: RateLimit = RateLimit(3, 0.05)
    reports: RateLimit = RateLimit(200, 20.0)


@dataclass(slots=True, frozen=True)
class GspSettings:
    """Defaults suit one process with some ten thousand devices."""

    source: RateLimit = RateLimit(200, 50.0)
    """U_ATTACHes per source address, which may be a carrier's NAT: U_ATTACH is 1.5 times its invite."""
    sources_max: int = 65_536
    device: RateLimit = RateLimit(6, 0.5)
    """U_ATTACHes per device id, however many sources ask: bounds what forged sources can reflect."""

    handshakes_max: int = 16_384
    """Unproven handshakes held at once; beyond, the oldest goes (an honest one lasts a round trip)."""
    handshakes_per_source: int = 1_024
    handshakes_per_device: int = 6
    handshake_ms: int = 120_000
    handshake_failures: int = 4
    """Answers that do not verify before the handshake is dropped: bounds the MACs one invite can cost."""

    alive_period_ms: int = 10_000
    alive_retries_ms: tuple[int, ...] = (2_000, 4_000)
    alive_lost_rounds: int = 5
    """Rounds in a row without an answer: 60 s after the last answer."""
    poll_interval_ms: int = 1_000
    """A device's poll is unauthenticated: answered at most this often."""
    restore_per_tick: int = 500
    """First rounds after a restart go out at this many per 100 ms, so that the answers fit the socket's buffer."""

    carrier_grace_ms: int = 5_000
    """How long a device whose TCP connection ended may take to attach over another before it counts as lost."""

    connect_retries_ms: tuple[int, ...] = (500, 1_000, 2_000, 4_000)
    connect_timeout_ms: int = 8_000
    connects_max: int = 4_096
    connects_per_device: int = 8

    sessions_max: int = 65_536
    sessions_per_device: int = 16
    session_idle_ms: int = 20_000
    """Silence after which the client's address is forgotten; its next keep-alive binds it again."""
    session_keep_ms: int = 3_600_000
    """Silence after which the session is forgotten: a client on a direct path may need the relay at any time."""
    session_packets_per_s: int = 20_000
    """Per session, both directions together: one session must not take the whole relay."""
    binding: RateLimit = RateLimit(10, 5.0)
    """Attempts per session to move the client's relay address: each costs a MAC."""

    gateway_ms: int = 30_000
    """How long a gateway id is good for."""

    probes_max: int = 65_536
    probe: RateLimit = RateLimit(20, 10.0)
    """Answers per probe id."""

    events_max: int = 4_096
    """Reports waiting for the operator; beyond, further ones are counted and dropped."""
    report: RateLimit = RateLimit(3, 0.05)
    """Reports of one kind about one device or address."""
    reports: RateLimit = RateLimit(200, 20.0)
    """Reports in all: a flood from forged addresses must not become a flood of log lines."""
