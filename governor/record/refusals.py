"""Listens where a gate is told of refusals, and at the restrained, beside :mod:`.gate_tap`.

*Rule of this file*: as the gate's own, and a record of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from governor.core.arrival import Arrival
from governor.core.lease import Decision, Lease
from governor.core.parts import GateParts
from governor.core.refused import Refused
from governor.core.restraint import Restrained
from governor.record.events import Kind
from signals.calls import PLACE_MASK
from signals.tape import NUMBER_BITS

if TYPE_CHECKING:
    from governor.record.gate_tap import GateTap


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
            again = tap.tap.ring.take_number()
            taken[0].lease.call = numbered(lease.call, again)
        number = number_of(lease)
        tap.tap.note(now_ns, Kind.ABSORB, tap.idx, number, again, asked_ns)
        tap.tap.write_tail(0, 0, 0, bound_ns)
        if taken is not None:
            tap.note_decision(now_ns, taken[0])
            tap.note_all(now_ns, taken[1])
        return taken


class RecordedRestrained(Restrained):
    """Tells the tap what is decided about the requests of restrained flows."""

    __slots__ = ("_tap",)

    def __init__(self, gate: GateParts, tap: GateTap) -> None:
        super().__init__(gate)
        self.by_flow = gate.identities.restraints
        self._tap = tap

    def turn_away(self, now_ns: int, arrival: Arrival, owner: Any) -> Decision | None:
        """Answer a request of a quarantined flow; None if it is not."""
        decision = super().turn_away(now_ns, arrival, owner)
        if decision is not None:
            self._tap.note_said(decision)
        return decision

    def park(self, now_ns: int, lease: Lease) -> Decision | None:
        """Let a request of a held flow wait if it has enough in flight; None if it goes on."""
        decision = super().park(now_ns, lease)
        if decision is not None:
            self._tap.note_said(decision)
        return decision


def number_of(lease: Lease) -> int:
    """Return a lease's number in the recording; 0 for one that is not in it."""
    return lease.call >> NUMBER_BITS


def numbered(call: int, number: int) -> int:
    """Return a call's handle with another number."""
    return call & PLACE_MASK | number << NUMBER_BITS
