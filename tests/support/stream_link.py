"""A network between two ends, in virtual time: seeded loss, repetition, reordering, delay, jitter, a bottleneck with
its queue, outages. Everything is a function of the seed, so results may be asserted.
"""

import heapq
import random

IPV4_UDP_LEN = 28
_STUCK = 1000  # timeouts in a row after which an end's deadline is in the same millisecond


class Link:
    """One direction. Times in ms, `bandwidth` in octets per ms (None: no bottleneck), `queue` in octets.

    `loss`, `duplicates` and `reorder` are shares of 1; a reordered datagram is held back for `reorder_ms`. `outages`
    are (from, to), and so are `stalls`, in which all waits and nothing is lost, as with TCP. `lost` counts what chance
    took, `overflowed` what the queue refused, `octets` what was put in.
    """

    def __init__(
        self, seed=1, delay_ms=25.0, jitter_ms=0.0, loss=0.0, duplicates=0.0, reorder=0.0, reorder_ms=15.0,
        bandwidth=None, queue=250_000, outages=(), stalls=(),
    ):  # fmt: skip
        self.random = random.Random(seed)
        self.delay_ms, self.jitter_ms = delay_ms, jitter_ms
        self.loss, self.duplicates, self.reorder, self.reorder_ms = loss, duplicates, reorder, reorder_ms
        self.bandwidth, self.queue, self.outages, self.stalls = bandwidth, queue, list(outages), list(stalls)
        self.free_ms = 0.0
        self.lost = self.overflowed = self.datagrams = self.octets = 0

    def arrivals(self, now_ms, size):
        """When a datagram of `size` octets arrives: no time, one, or two."""
        self.datagrams += 1
        self.octets += size
        if self.bandwidth is not None:
            backlog_ms = max(0.0, self.free_ms - now_ms)
            if backlog_ms * self.bandwidth + size > self.queue:
                self.overflowed += 1
                return []
            self.free_ms = max(self.free_ms, now_ms) + (size + IPV4_UDP_LEN) / self.bandwidth
        if self.random.random() < self.loss or any(start <= now_ms < end for start, end in self.outages):
            self.lost += 1
            return []
        copies = 1 + (self.random.random() < self.duplicates)
        return [self._arrival(now_ms) for _ in range(copies)]

    def _arrival(self, now_ms):
        at_ms = max(self.free_ms, now_ms) if self.bandwidth is not None else now_ms
        at_ms += self.delay_ms
        if self.jitter_ms:
            at_ms += self.random.random() * self.jitter_ms
        if self.reorder and self.random.random() < self.reorder:
            at_ms += self.reorder_ms
        return max([at_ms, *(end for start, end in self.stalls if start <= now_ms < end)])


class World:
    """Two ends, `left` and `right`, the links between them, and what their applications do after each event.

    An end has `take(now_ms, datagram)`, `datagrams(now_ms)`, `deadline(now_ms)` and `timeout(now_ms)`. `watch`, if
    given, is called with (now_ms, sender's name, datagram, how many copies will arrive) for each that is sent.
    """

    def __init__(self, left, right, there=None, back=None, watch=None):
        self.ends = {"left": left, "right": right}
        self.links = {"left": there or Link(1), "right": back or Link(2)}
        self.applications = {"left": [], "right": []}
        self.watch = watch
        self.now_ms = 0.0
        self.events = self._timeouts = 0
        self._queue = []
        self._order = 0

    def settle(self, name):
        """Let the end's applications act and send what is due."""
        for application in self.applications[name]:
            application(self.now_ms)
        link, other = self.links[name], "right" if name == "left" else "left"
        for datagram in self.ends[name].datagrams(self.now_ms):
            arrivals = link.arrivals(self.now_ms, len(datagram))
            if self.watch is not None:
                self.watch(self.now_ms, name, datagram, len(arrivals))
            for at_ms in arrivals:
                self._put(at_ms, other, datagram)

    def _put(self, at_ms, name, item):
        self._order += 1
        heapq.heappush(self._queue, (at_ms, self._order, name, item))

    def call(self, at_ms, name, function):
        """Have `function()` called at a time, and the end's applications after it."""
        self._put(at_ms, name, function)

    def every(self, period_ms, name, function):
        """Have it called again and again, as long as it returns True."""

        def again():
            if function():
                self.call(self.now_ms + period_ms, name, again)

        self.call(self.now_ms + period_ms, name, again)

    def next_ms(self):
        """When something happens next, or None."""
        due = [end.deadline(self.now_ms) for end in self.ends.values()]
        due += [self._queue[0][0]] if self._queue else []
        due = [at_ms for at_ms in due if at_ms is not None]
        return min(due) if due else None

    def step(self, limit_ms):
        """One event; False when there is none before `limit_ms`, which then is the time."""
        at_ms = self.next_ms()
        if at_ms is None or at_ms > limit_ms:
            self.now_ms = max(self.now_ms, limit_ms)
            return False
        if at_ms > self.now_ms:
            self._timeouts = 0
        self.now_ms = max(self.now_ms, at_ms)
        self.events += 1
        if self._queue and self._queue[0][0] <= self.now_ms:
            _, _, name, item = heapq.heappop(self._queue)
            if callable(item):
                item()
            else:
                self.ends[name].take(self.now_ms, item)
            self.settle(name)
            self._timeouts = 0
            return True
        self._timeouts += 1
        assert self._timeouts < _STUCK, "a deadline does not move"
        for name, end in self.ends.items():
            deadline = end.deadline(self.now_ms)
            if deadline is not None and deadline <= self.now_ms:
                end.timeout(self.now_ms)
                self.settle(name)
        return True

    def run(self, duration_ms):
        """Let time pass."""
        limit_ms = self.now_ms + duration_ms
        while self.step(limit_ms):
            pass

    def until(self, condition, limit_ms=600_000):
        """Let time pass until `condition()`; fails after `limit_ms` more."""
        end_ms = self.now_ms + limit_ms
        for name in self.ends:
            self.settle(name)
        while not condition():
            if not self.step(end_ms):
                assert condition(), "not within %d ms" % limit_ms
                return
