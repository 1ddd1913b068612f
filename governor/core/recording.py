"""What a gate tells whoever writes down all that it is told and decides.

*Rule of this file*: who is told what, and when. A gate asks at each such place whether there is
anybody; how it is written is the listener's (:mod:`governor.record`).

*Theory*: a gate that gets the same events again decides the same. So an event is told before the
gate acts on it, and what it decided after, in the order in which it decided; whoever listens knows
the lease's number by then. What a gate does to itself on the way (the ticks that it makes up for
when it wakes) is not told: the event that led to it leads to it again.

*Cost*: arrivals, first bytes and ends, which every request makes, go the signals' way, once: the
listener tells the signals, and they write. Where nobody listens, an untouched request looks twice
whether somebody does, a third time where it had a choice of endpoints.
*Considered and rejected*: a listener whose methods stand in for the gate's own on that one object:
nothing to look for, but a gate that is compiled has no such methods to replace; a protocol in
place of a base class: each call of compiled code goes by name then, 0.2 us a request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from governor.core.arrival import Arrival
from governor.core.lease import Decision, Lease
from policies.decision import Outcome
from policies.ejection import Verdict


class Recording(ABC):
    """Takes a gate's events and decisions, and writes them down."""

    __slots__ = ()

    # -- what every request makes: to the signals, and written --------------------

    @abstractmethod
    def arrive(self, now_ns: int, arrival: Arrival, owner: Any) -> int:
        """Tell the signals, and write; return the call's handle."""

    @abstractmethod
    def later(
        self, how: int, now_ns: int, call: int, retry_after_ns: int, outcome: int, status: int
    ) -> None:
        """Tell them of a first byte or an end, and write."""

    @abstractmethod
    def note_arrival(self, now_ns: int, arrival: Arrival, owner: Any, call: int) -> int:
        """Write an arrival that the signals have not seen; return what its call is from now on."""

    @abstractmethod
    def note_begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Write a first byte that the signals have not seen."""

    @abstractmethod
    def note_end(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int, retry_after_ns: int
    ) -> None:
        """Write an end that the signals have not seen."""

    # -- other events, before the gate acts on them ---------------------------------

    @abstractmethod
    def note_tick(self, now_ns: int) -> None:
        """Write that a tick begins."""

    @abstractmethod
    def note_leave(self, now_ns: int, lease: Lease, is_lost: bool) -> None:
        """Write that a caller is gone, or lost with its connection."""

    @abstractmethod
    def note_late(self, now_ns: int, lease: Lease, late_ns: int) -> None:
        """Write that a call went out so much later than it got its place."""

    @abstractmethod
    def note_reroute(self, now_ns: int, lease: Lease, verdict: Verdict) -> None:
        """Write that an endpoint has failed a call."""

    @abstractmethod
    def note_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """Write what the upstream says is left of a tenant's quota."""

    @abstractmethod
    def note_switch(self, now_ns: int, switches: int, is_observing: bool) -> None:
        """Write that the policies' states are set."""

    # -- decisions, after they were made ----------------------------------------------

    @abstractmethod
    def note_said(self, decision: Decision) -> None:
        """Write what was decided about the latest arrival."""

    @abstractmethod
    def note_booked(self, arrival: Arrival, endpoint_idx: int) -> None:
        """Write that nothing was decided about the latest arrival: it was under way."""

    @abstractmethod
    def note_all(self, now_ns: int, decisions: Sequence[Decision]) -> None:
        """Write what was decided about leases that were there before."""
