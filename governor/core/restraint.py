"""What becomes of the requests of a flow that was held or quarantined.

*Rule of this file*: the gate's side of it; who is restrained, and why, is
:mod:`governor.core.registry`'s. No I/O, no clock.

A flow that is *held* has no more calls in flight than its envelope allows, over all
upstreams. What is beyond is parked, first come first served, and joins the line
in the crowd's band (or, of a kind that hangs, in that of the hung), behind those who come by
themselves, at a tick: up to 50 ms
after a place of its own came free. It waits no longer than any other: then it is answered
with its slot.

A flow that is *quarantined* is answered at once, 403, with no time to come back: only a
person ends it. No client named in :mod:`governor.load.laws` repeats a 403 by itself; 429 is
repeated up to ten times by those that do not know ``x-should-retry``. The signals are not
told: what is never served must not look like demand, or like a storm.

Exempt requests (health routes, idle event streams) are never touched.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from governor.core.arrival import Arrival
from governor.core.bands import Band
from governor.core.faults import Part
from governor.core.lease import Decision, Lease, LeaseState, make_lease
from policies.decision import Action, Reason
from signals import GONE

if TYPE_CHECKING:
    from governor.core.gate import Gate
    from governor.core.identity import Identities
    from governor.core.parts import GateParts

STATUS_QUARANTINED: Final = 403
"""Repeating it cannot help (RFC 9110 section 15.5.4), and no SDK does."""

_PENDING: Final = LeaseState.PENDING


class Restraint:
    """One flow that is held or quarantined, at all upstreams of the process.

    Parameters
    ----------
    flow : int
    cap : int
        Calls that it may have in flight; 0 if it is quarantined.
    """

    __slots__ = ("cap", "flow", "n_parked", "n_turned_away")

    def __init__(self, flow: int, cap: int) -> None:
        self.flow = flow
        self.cap = cap
        self.n_parked = 0
        self.n_turned_away = 0

    @property
    def is_quarantine(self) -> bool:
        """Whether nothing of it is served."""
        return self.cap == 0


def impose(identities: Identities, flow: int, cap: int) -> None:
    """Restrain a flow from now on; its place is pinned, so that nobody can push it out."""
    if flow not in identities.restraints:
        identities.flows.n_open[flow] += 1
    identities.restraints[flow] = Restraint(flow, cap)


def lift(identities: Identities, flow: int) -> bool:
    """Let a flow go on; return whether it was restrained."""
    if identities.restraints.pop(flow, None) is None:
        return False
    identities.flows.n_open[flow] -= 1
    return True


class Restrained:
    """The requests of restrained flows at one gate.

    Attributes
    ----------
    by_flow : dict of int to Restraint
        Shared by all gates; empty nearly always.
    """

    __slots__ = ("_gate", "_parked", "by_flow")

    def __init__(self, gate: GateParts) -> None:
        self._gate = cast("Gate", gate)
        self._parked: deque[tuple[Restraint, Lease]] = deque()
        self.by_flow: dict[int, Restraint] = {}

    @property
    def n_parked(self) -> int:
        """Requests that wait until their flow may have another in flight."""
        return sum(lease.state is _PENDING for _, lease in self._parked)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is parked."""
        return not self._parked

    def turn_away(self, now_ns: int, arrival: Arrival, owner: Any) -> Decision | None:
        """Answer a request of a quarantined flow; None if it is not."""
        restraint = self.by_flow.get(arrival.flow)
        if restraint is None or not restraint.is_quarantine:
            return None
        gate = self._gate
        if gate.is_observing:
            gate.ledger.n_observed[Reason.QUARANTINED] += 1
            return None
        lease = make_lease(arrival, now_ns, max(arrival.attempt, 0), owner)
        lease.state = LeaseState.CLOSED
        return self._refuse(now_ns, restraint, lease)

    def park(self, now_ns: int, lease: Lease) -> Decision | None:
        """Let a request of a held flow wait if it has enough in flight; None if it goes on."""
        restraint = self.by_flow.get(lease.arrival.flow)
        if restraint is None or restraint.is_quarantine:
            return None
        if not restraint.n_parked and self._n_in_flight(restraint) <= restraint.cap:
            return None  # itself included; nobody overtakes who waits already
        gate = self._gate
        if gate.is_observing:
            gate.ledger.n_observed[Reason.CAPPED] += 1
            return None
        if len(self._parked) >= gate.dispatcher.max_waiting:
            return gate.send_away(now_ns, lease, Reason.LINE_FULL)
        restraint.n_parked += 1
        lease.waits_since_ns = now_ns
        self._parked.append((restraint, lease))
        gate.ledger.n_waited_for[Reason.CAPPED] += 1
        return Decision(Action.WAIT, Reason.CAPPED, lease)

    def release(self, now_ns: int) -> list[Decision]:
        """Let those go on whose flow may have another call in flight, or is free (at each tick)."""
        gate, parked = self._gate, self._parked
        decisions: list[Decision] = []
        for _ in range(len(parked)):
            restraint, lease = parked.popleft()
            if lease.state is not _PENDING:
                restraint.n_parked -= 1
                continue
            quarantine, has_room = gate.faults.ask(
                Part.ENVELOPE, (None, True), self._weigh, restraint
            )
            if quarantine is not None:
                restraint.n_parked -= 1
                gate.settle(now_ns, lease, GONE)
                decisions.append(self._refuse(now_ns, quarantine, lease))
            elif now_ns - lease.arrived_at_ns >= gate.dispatcher.bound_ns(lease):
                restraint.n_parked -= 1
                decisions.append(gate.send_away(now_ns, lease, Reason.PATIENCE_SPENT))
            elif has_room:
                restraint.n_parked -= 1
                if (decision := self._join(now_ns, lease)) is not None:
                    decisions.append(decision)
            else:
                parked.append((restraint, lease))
        return decisions

    def _weigh(self, restraint: Restraint) -> tuple[Restraint | None, bool]:
        """Return the flow's quarantine, if it is in one by now, and whether a call may go on."""
        current = self.by_flow.get(restraint.flow)
        if current is not None and current.is_quarantine:
            return current, False
        is_held = current is restraint
        return None, not is_held or self._n_in_flight(restraint) < restraint.cap

    def _refuse(self, now_ns: int, restraint: Restraint, lease: Lease) -> Decision:
        """Return the answer to a request of a quarantined flow."""
        gate = self._gate
        restraint.n_turned_away += 1
        gate.ledger.n_answered[Reason.QUARANTINED] += 1
        decision = Decision(Action.ANSWER, Reason.QUARANTINED, lease, status=STATUS_QUARANTINED)
        gate.note(now_ns, decision)
        return decision

    def _join(self, now_ns: int, lease: Lease) -> Decision | None:
        """Stand in the line, behind those who come by themselves."""
        since_ns = lease.waits_since_ns
        band = self._gate.band(lease)
        band = Band.CROWD if band is not Band.HUNG else band
        decision = self._gate.join(now_ns, lease, 0.0, band)
        lease.waits_since_ns = since_ns
        return decision

    def _n_in_flight(self, restraint: Restraint) -> int:
        """Calls of a flow that are not parked; one of ``n_open`` is its pin in the table."""
        return self._gate.identities.flows.n_open[restraint.flow] - 1 - restraint.n_parked
