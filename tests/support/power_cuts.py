"""Campaigns of power cuts: a change of what is in flash is cut wherever it can be, and the device started again."""

import os
import random

from nor_flash import ERASE, NorFlash

MIXTURES = 16
HEADER_MAX = 32  # a shorter program is a header's: there many cuts are followed by others
SEED = int(os.getenv("POWER_CUTS_SEED") or 4)


class Campaign:
    """`restart(flash)` starts a device and returns what is in force; `change(flash)` does what is cut.

    After some of the cuts the restart is cut as well, or, after a restart, `another` change. `step` is the distance of
    the cuts in an operation, in octets, but in headers; `mixtures` the number of cuts that leave all of its octets half
    done; `again_step` the distance of those that are followed by others. `run` checks that the state after a cut is the
    old or the new one, and stays it; not `steady`: the old one may still give way to the new.
    """

    def __init__(self, restart, change, another, base=None, step=1, again_step=197, steady=True, mixtures=MIXTURES):
        self.restart = restart
        self.another = another
        self.base = base
        self.step = step
        self.steady = steady
        self.again_step = again_step
        self.mixtures = mixtures
        self.cuts = 0
        self.found = set()
        self.old = restart(NorFlash(base))
        flash = NorFlash(base)
        restart(flash)
        self.operations = performed(flash, change)
        self.new = restart(flash)

    def run(self):
        """Cut everywhere. Raises AssertionError, which says how to repeat it."""
        random.seed(SEED)
        before = NorFlash(self.base)
        self.restart(before)
        for number, operation in enumerate(self.operations):
            is_header = length_of(operation) < HEADER_MAX
            for at in range(0, length_of(operation), 1 if is_header else self.step):
                flash = copy(before)
                flash.cut(operation, at)
                self.check(flash, (number, operation[:2], at), is_header and at % 4 == 0)
            for _ in range(self.mixtures):
                flash = copy(before)
                flash.cut_everywhere(operation)
                self.check(flash, (number, operation[:2], "everywhere"), is_header)
            before.apply(operation)

    def check(self, flash, where, is_telling):
        torn = copy(flash)
        found = self.started(flash, where, (self.old, self.new))
        self.found.add(found)
        repair = flash.operations
        self.started_again(flash, where, found)
        if is_telling or self.cuts % self.again_step == 0:
            self.cut_again(torn, repair, where, (self.old, self.new))
            self.cut_another(flash, where, found)
        self.cuts += 1

    def cut_another(self, flash, where, found):
        """After a restart, cut another change."""
        done = copy(flash)
        operations = performed(done, self.another)
        self.cut_again(flash, operations, (where, "another"), (found, self.restart(done)))

    def cut_again(self, flash, operations, where, allowed):
        """Cut each of these operations, where, decides chance."""
        for number, operation in enumerate(operations):
            torn = copy(flash)
            torn.cut(operation, random.getrandbits(16) % length_of(operation))
            found = self.started(torn, (where, number, operation[:2]), allowed)
            self.started_again(torn, (where, number, operation[:2]), found, allowed)
            self.cuts += 1
            flash.apply(operation)

    def started_again(self, flash, where, found, allowed=()):
        self.started(flash, where, (found,) if self.steady else (self.old, self.new) + allowed)

    def started(self, flash, where, allowed):
        found = self.restart(flash)
        if found not in allowed:
            raise AssertionError("POWER_CUTS_SEED=%d, cut at %r: %r is not of %r" % (SEED, where, found, allowed))
        return found


def performed(flash, change):
    """What a change does to flash."""
    flash.operations = []
    change(flash)
    return flash.operations


def length_of(operation):
    return operation[2] if operation[0] == ERASE else len(operation[2])


def copy(flash):
    """The same flash, to try something."""
    twin = NorFlash(flash.content)
    twin.weak = dict(flash.weak)
    return twin
