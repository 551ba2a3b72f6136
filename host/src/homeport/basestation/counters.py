"""Plain counters, one set per machine; the admin side exports them, nothing here reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ControllerCounters:
    """What the controller did with the datagrams it got."""

    answered: int = 0
    malformed: int = 0
    refused: int = 0
    limited: int = 0
    reports: int = 0
    ignored: int = 0


@dataclass(slots=True)
class GspCounters:
    """What the GSP did. `drop_*` are datagrams that changed nothing."""

    invites: int = 0
    attaches_sent: int = 0
    attached: int = 0
    replaced: int = 0
    restored: int = 0
    lost: int = 0
    handshakes_expired: int = 0
    handshakes_evicted: int = 0

    alive_sent: int = 0
    alive_answers: int = 0
    alive_polls: int = 0
    events: int = 0

    connects: int = 0
    connects_sent: int = 0
    connected: int = 0
    connects_refused: int = 0
    connects_timed_out: int = 0

    relayed_up: int = 0
    relayed_down: int = 0
    relay_bound: int = 0
    sessions_closed: int = 0
    gateway_relayed: int = 0
    gateway_joined: int = 0
    gateway_refused: int = 0
    probes: int = 0

    drop_malformed: int = 0
    drop_auth: int = 0
    drop_limited: int = 0
    drop_refused: int = 0
    drop_unknown_nsi: int = 0
    drop_source: int = 0
    drop_unexpected: int = 0
    drop_replayed: int = 0
    drop_push: int = 0
    drop_reports: int = 0
