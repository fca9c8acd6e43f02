"""Faults by dice, so that no kind stays rare."""

from __future__ import annotations

from random import Random

from tests.fire.proxy import Asked, Fault, FireProxy
from tests.fire.proxy.faults import may_apply
from tests.fire.proxy.proxy import Choose

__all__ = ["choosing"]

_CANDIDATES = 5


def choosing(proxy: FireProxy, share: float) -> Choose:
    """Return what gives a share of the requests a fault; those that were rare so far are more probable."""

    def choose(asked: Asked, dice: Random) -> Fault | None:
        if dice.random() > share:
            return None
        possible = [fault for fault in Fault if may_apply(fault, asked.operation)]
        counts = proxy.by_fault
        return min(dice.sample(possible, min(_CANDIDATES, len(possible))), key=lambda one: counts[one])

    return choose
