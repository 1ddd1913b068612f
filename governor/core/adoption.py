"""Requests that have their place already: given elsewhere, on credit, and booked here.

*Rule of this file*: the gate's side of lending. How much is lent is
:mod:`governor.workers.credit`'s.

*Theory*: a request that finds room in calm is admitted, whatever else is true of it: no policy
acts beside a free place. So as many may be admitted unasked as would find room in any order;
whoever admits them tells afterwards, and everything that a gate learns of an arrival it learns
then. What is booked is never refused, held or moved: it is under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from governor.core.admission import Admission
from governor.core.arrival import Arrival
from governor.core.faults import Part
from governor.core.lease import Lease, LeaseState
from policies.decision import Reason
from signals import GONE

if TYPE_CHECKING:
    from governor.core.gate import Gate


class Adoption(Admission):
    """The ways of a gate that lends places."""

    @property
    def n_lendable(self) -> int:
        """Places that may be given unasked: none unless every arrival would be admitted now.

        None of an upstream with several endpoints: which one takes a call is decided here.
        """
        only = self._only
        if only is None or self.line.n_live or self._restraints or not self.shaping.is_calm:
            return 0
        return max(0, only.limit.limit - only.in_flight - self.shaping.kept_from_crowd)

    def lose(self, now_ns: int, lease: Lease) -> None:
        """Close a pending lease whose connection is lost, by no fault of its caller's."""
        if self.recording is not None:
            self.recording.note_leave(now_ns, lease, is_lost=True)
        self.settle(self._clamp(now_ns), lease, GONE)

    def sent_late(self, lease: Lease, late_ns: int) -> None:
        """Learn, before the answer is told, that a call went out later than it got its place.

        Its place was taken meanwhile, but none of that time was the upstream's. Where several
        endpoints are compared the difference is the same for all, and is left.
        """
        if self.recording is not None:
            self.recording.note_late(self._now_ns, lease, late_ns)
        is_open = lease.state is LeaseState.OPEN and not lease.answered_at_ns
        if self._only is None or lease.arrival.is_exempt or not is_open or late_ns <= 0:
            return
        lease.dispatched_at_ns += late_ns
        self.faults.tell(Part.LIMIT, self._only.limit.on_late, lease.phase, late_ns)
        kind = self._kinds.get(lease.arrival.kind)
        if kind is not None:
            kind.sent_sum_ns += late_ns

    def adopt(
        self, now_ns: int, arrival: Arrival, owner: Any = None, endpoint_idx: int = 0
    ) -> Lease:
        """Take note of a request that is under way to an endpoint; return its open lease."""
        if self._only is not None and (arrival.is_exempt or self.n_lendable):
            lease = cast("Gate", self).arrive(now_ns, arrival, owner).lease  # admitted: see above
        else:
            lease = self._book(now_ns, arrival, owner, endpoint_idx)
        if self.recording is not None:
            self.recording.note_booked(arrival, endpoint_idx)
        return lease

    def _book(self, now_ns: int, arrival: Arrival, owner: Any, endpoint_idx: int) -> Lease:
        """Book a request that would not have been admitted now."""
        now_ns = self._clamp(now_ns)
        if self.rests:
            self._wake(now_ns)
        self.ledger.n_arrived += 1
        endpoint = self.endpoints[endpoint_idx]
        if arrival.is_exempt:
            lease = self._meet_exempt(now_ns, arrival, owner)
            endpoint.open_exempt(now_ns, lease)
            return lease
        flow = arrival.flow
        self._n_calls_by_flow[flow] += 1
        self.faults.tell(Part.HOLD, self._herd.note, now_ns, flow)
        lease = self._meet(now_ns, arrival, owner)
        self._admit(now_ns, lease, endpoint, Reason.UNTOUCHED)
        return lease
