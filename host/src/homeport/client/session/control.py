"""Framing control of one session: what goes out with tag 3, and under whose keys (core 5.8; docs/extensions.md)."""

from __future__ import annotations

from homeport_core.errors import StateError
from homeport_core.packet import Context
from homeport_core.payloads import u32
from homeport_core.spec import FEATURE_KEYED, FEATURE_REMEMBERS, FEATURE_SEARCHES, IV_LEN, SUITE_NULL

from homeport.client.session import frames
from homeport.client.session.opening import Opening, Rng
from homeport.client.session.paths import Path
from homeport.client.session.requests import Requests

FEATURES_TRIES = 3

Sends = list[tuple[bytes, bytes]]


class Control:
    """Makes the packets, as (datagram, endpoint), and keeps what the device said of itself."""

    def __init__(self, opening: Opening, requests: Requests, rng: Rng) -> None:
        self._opening = opening
        self._requests = requests  # whose NSI.cp is the session's
        self._rng = rng
        self._binding: Context | None = None  # the basestation's keys, once the connection has left them
        self.has_closed = False  # the device was told that the connection is over
        self._features: int | None = None
        self._features_asked = 0

    @property
    def is_sealed(self) -> bool:
        """Whether what travels is encrypted and authenticated."""
        return self._opening.context is not None and self._opening.context.suite != SUITE_NULL

    @property
    def is_end_to_end(self) -> bool:
        """Whether the keys are the client's and the device's alone."""
        rekey = self._opening.rekey
        return self._opening.is_end_to_end or (rekey is not None and rekey.is_done)

    @property
    def awaits_keys(self) -> bool:
        """Whether the exchange that this connection has to begin with is still to be done."""
        return self._opening.rekey is not None and not self._opening.rekey.is_done

    @property
    def remembers(self) -> bool:
        """Whether the device is known not to run a repeated request twice."""
        return self._opening.remembers or bool((self._features or 0) & FEATURE_REMEMBERS)

    @property
    def wants_key(self) -> bool:
        """Whether the device waits for an end-to-end key that we do not use."""
        return bool((self._features or 0) & FEATURE_KEYED)

    def keep_alive(self, path: Path, counter: int) -> Sends:
        """A keep-alive; beside it the exchange's message while that is to be done, and what binds a relay after it."""
        if self._binding is None:
            sends = [(frames.keep_alive(self._context(), *self._nsis(), counter, self._iv()), path.endpoint)]
            return sends + self.hello(path) if self.awaits_keys else sends
        packet = frames.end_to_end_keep_alive(self._context(), *self._nsis(), counter, self._iv())
        if not path.is_relayed:
            return [(packet, path.endpoint)]
        binding = frames.keep_alive(self._binding, *self._nsis(), counter, self._iv())
        return [(binding, path.endpoint), (packet, path.endpoint)]

    def hello(self, path: Path) -> Sends:
        """Ask for end-to-end keys."""
        rekey = self._opening.rekey
        if rekey is None:
            return []
        return [(frames.hello(self._context(), *self._nsis(), rekey.message, self._iv()), path.endpoint)]

    def go_over(self, answer: bytes) -> None:
        """Take the device's answer to that, and leave the basestation's keys for good. Raises ProtocolError."""
        rekey = self._opening.rekey
        context = None if rekey is None else rekey.take(answer)
        if context is not None:
            self._binding = self._opening.context
            self._opening.context = context

    def ask_features(self, path: Path) -> Sends:
        """Ask now and then until there is an answer; the reference device never gives one."""
        if not self.is_sealed or self._features is not None or self._features_asked == FEATURES_TRIES:
            return []
        self._features_asked += 1
        return [(frames.features(self._context(), *self._nsis(), self._iv()), path.endpoint)]

    def take_features(self, answer: bytes) -> None:
        """Take the answer to that."""
        self._features = u32(answer, 4)

    def search(self, path: Path, message: bytes) -> Sends:
        """Ask for another search, if the device knows what that is."""
        if not (self._features or 0) & FEATURE_SEARCHES:
            return []
        return [(frames.search(self._context(), *self._nsis(), message, self._iv()), path.endpoint)]

    def close(self, path: Path) -> Sends:
        """Tell the device that the connection is over."""
        self.has_closed = True
        return [(frames.close(self._context(), *self._nsis(), self._iv()), path.endpoint)]

    def _context(self) -> Context:
        if self._opening.context is None:
            raise StateError("framing control without keys")
        return self._opening.context

    def _nsis(self) -> tuple[bytes, bytes]:
        return self._requests.cp, self._opening.sp

    def _iv(self) -> bytes:
        return self._rng(IV_LEN)
