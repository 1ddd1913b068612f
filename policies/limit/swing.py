"""How the limit varies on purpose: which kind of phase comes next, and how far it swings.

*Rule of this file*: the schedule of probing. What the phases teach is
:mod:`policies.limit.control`'s.

*Theory*: only where callers wait and a knee is known does the number in flight
move with the limit, so only then can the limit ask a question by moving: a
little up and down all the time, a deep dip now and then (it shows the base
while the service is busy), a far reach where nothing steep was met for long.
"""

from __future__ import annotations

from typing import Final

from policies.limit.control import Control
from policies.limit.phases import Kind

DIP_NS: Final = 10_000_000_000
"""Every 10 s while pressed one low phase is a dip."""

DIP_SOON_NS: Final = 2_000_000_000
"""The first dip, and one after a dip that found the base too high, come after 2 s."""

DIP_SHARE: Final = 0.7
"""Depth of a dip."""

REACH_NS: Final = 3_000_000_000
"""Without steep evidence for 3 s one high phase is a reach."""

REACH_SHARE: Final = 1.5
"""Height of a reach."""


class Swing:
    """When the limit of one endpoint dips and reaches."""

    __slots__ = ("_dip_at_ns", "_reach_at_ns")

    def __init__(self) -> None:
        self._dip_at_ns = -1
        self._reach_at_ns = -1

    def next_kind(self, now_ns: int, last: Kind, is_pressed: bool, control: Control) -> Kind:
        """Return the kind of the phase that follows one of kind ``last``."""
        if not (is_pressed and control.has_knee):
            self._dip_at_ns = self._reach_at_ns = -1
            return Kind.STEADY
        if self._dip_at_ns < 0:
            self._dip_at_ns = now_ns + DIP_NS
            self._reach_at_ns = now_ns + REACH_NS
        if last is Kind.HIGH or last is Kind.REACH:
            if now_ns >= self._dip_at_ns - (DIP_NS - DIP_SOON_NS if control.wants_dip else 0):
                control.wants_dip = False
                self._dip_at_ns = now_ns + DIP_NS
                return Kind.DIP
            return Kind.LOW
        if now_ns >= max(self._reach_at_ns, control.steep_at_ns + REACH_NS):
            if not control.is_suspicious and not control.is_overdue:
                self._reach_at_ns = now_ns + REACH_NS
                return Kind.REACH
        return Kind.HIGH


def limit_in(kind: Kind, control: Control) -> int:
    """Return the limit that the level gives in a phase of this kind, before bounds."""
    level = control.level
    if kind is Kind.STEADY:
        return round(level)
    if kind is Kind.DIP:
        return round(level * (1.0 - control.share * (1.0 - DIP_SHARE)))
    if kind is Kind.REACH:
        return round(level * (1.0 + control.share * (REACH_SHARE - 1.0)))
    swing = control.share * control.swing()
    low, high = round(level * (1.0 - swing)), round(level * (1.0 + swing))
    if high == low:
        low, high = (low - 1, high) if low > level or low > 1 else (low, high + 1)
    return high if kind is Kind.HIGH else low
