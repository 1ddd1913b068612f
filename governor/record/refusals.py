"""Listens where a gate is told of refusals, beside :mod:`governor.record.tap`.

*Rule of this file*: as the gate's own, and a record of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from governor.core.lease import Decision, Lease
from governor.core.parts import GateParts
from governor.core.refused import Refused
from governor.record.events import Kind

if TYPE_CHECKING:
    from governor.record.tap import GateTap


class RecordedRefused(Refused):
    """Tells the tap what the gate is told of refusals."""

    __slots__ = ("_tap",)

    def __init__(self, gate: GateParts, tap: GateTap) -> None:
        super().__init__(gate)
        self._tap = tap

    def note(self, now_ns: int) -> None:
        """Count one refusal of the upstream."""
        tap = self._tap
        tap.tap.note(now_ns, Kind.REFUSAL, tap.idx)
        super().note(now_ns)

    def answer(self, now_ns: int, lease: Lease, status: int, asked_ns: int) -> Decision | None:
        """Decide what a refusal's caller is told; None: what the upstream said."""
        tap = self._tap
        if number_of(lease) == 0:  # it shares another's call: the gate has not seen it yet
            tap.note_member(lease)
        decision = super().answer(now_ns, lease, status, asked_ns)
        tap.tap.note(
            now_ns,
            Kind.SLOT,
            tap.idx,
            number_of(lease),
            delay_ns=asked_ns,
            action=int(decision is not None),
            status=status,
        )
        if decision is not None:
            tap.note_decision(now_ns, decision)
        return decision

    def absorb(
        self, now_ns: int, lease: Lease, asked_ns: int, bound_ns: int
    ) -> tuple[Decision, Sequence[Decision]] | None:
        """Take an open lease back until its slot, if its refusal may be waited out."""
        taken = super().absorb(now_ns, lease, asked_ns, bound_ns)
        tap = self._tap
        again = 0
        if taken is not None:
            again = taken[0].lease.number = tap.tap.n_leases + 1 & 0xFFFFFFFF
            tap.tap.n_leases = again
        number = number_of(lease)
        tap.tap.note(now_ns, Kind.ABSORB, tap.idx, number, again, asked_ns)
        tap.tap.write_tail(0, 0, 0, bound_ns)
        if taken is not None:
            tap.note_decision(now_ns, taken[0])
            tap.note_all(now_ns, taken[1])
        return taken


def number_of(lease: Lease) -> int:
    """Return a lease's number in the recording; 0 for one that is not in it."""
    return getattr(lease, "number", 0)
