"""What the gate does with an upstream's refusals: a slot for each caller, or another try.

*Rule of this file*: no I/O, no clock. The rim tells of every 429 and 503 when
its head is there, before the lease departs, and does what is said. The rules
are :mod:`policies.slots` and :mod:`policies.absorb`, the instants
:mod:`governor.core.reservations`'.

An absorbed request gives its place back at once, and the upstream's seconds are
booked as refused. Its claim goes on as a new lease with the same arrival, which
is parked until its instant, then stands in the line like a caller that comes at
its slot; so it still has one outcome. A caller that leaves meanwhile closes it.

Where slots or absorbing are only observed, nothing is given or absorbed; what would
have been is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, cast

from governor.core.arrival import Arrival
from governor.core.faults import Part
from governor.core.lease import Decision, Lease, LeaseState, make_lease
from governor.core.line import INVITED
from governor.core.reservations import AT_SLOT, NO_SLOT
from policies.absorb import longest_wait_ns
from policies.decision import Action, Reason
from policies.slots import RefusalStorm, latest_ns, standstill_ns

if TYPE_CHECKING:
    from governor.core.gate import Gate
    from governor.core.parts import GateParts

NO_RETRY: Final = 0
"""In place of a slot: no retry can help."""

_PENDING: Final = LeaseState.PENDING


class Returning(Lease):
    """The claim of a request that was refused and is sent again."""

    __slots__ = ("n_absorbed",)

    n_absorbed: int


class Refused:
    """The upstream's refusals at one gate.

    Parameters
    ----------
    gate : Gate

    Attributes
    ----------
    n_refused : int
        Refusals seen.
    n_slots, n_no_retry, n_absorbed : int
        Slots given on them, callers told that no retry can help, refusals waited out.
    """

    __slots__ = (
        "_gate",
        "_n_parked_ever",
        "_parked",
        "_storm",
        "n_absorbed",
        "n_no_retry",
        "n_refused",
        "n_slots",
    )

    def __init__(self, gate: GateParts) -> None:
        self._gate = cast("Gate", gate)
        self._storm = RefusalStorm()
        self._parked: list[tuple[int, int, Returning]] = []
        self._n_parked_ever = 0
        self.n_refused = 0
        self.n_slots = 0
        self.n_no_retry = 0
        self.n_absorbed = 0

    @property
    def n_parked(self) -> int:
        """Absorbed requests that wait for their instant."""
        return sum(lease.state is _PENDING for _, _, lease in self._parked)

    def is_idle(self, now_ns: int) -> bool:
        """Whether no refusal is waited out, and none is news."""
        return not self._parked and not self.is_storm(now_ns)

    def note(self, now_ns: int) -> None:
        """Count one refusal of the upstream."""
        self.n_refused += 1
        self._gate.faults.tell(Part.SLOTS, self._storm.note, now_ns)

    def is_storm(self, now_ns: int) -> bool:
        """Whether the upstream's refusals come as a storm."""
        return self._storm.is_on(now_ns, self._gate.reservations.n_outstanding)

    def invite(
        self,
        now_ns: int,
        arrival: Arrival,
        arrived_at_ns: int,
        asked_ns: int = 0,
        bound_ns: int = 0,
    ) -> int:
        """Return how long from now a caller should come back, or ``NO_RETRY``.

        Parameters
        ----------
        asked_ns : int
            For how long the upstream asked it to stay away; 0 if it did not.
        bound_ns : int
            Not later than this; 0 for the horizon.
        """
        gate = self._gate
        longest_ns = self._longest_ns(now_ns, arrival, arrived_at_ns, bound_ns)
        if longest_ns <= 0:
            return NO_RETRY
        alone_ns = max(asked_ns, min(standstill_ns(arrival.attempt), longest_ns))
        if not bound_ns and gate.faults.ask(Part.LIMIT, False, self._is_stalled):
            asked_ns = alone_ns
        best_hz, organic_hz = gate.best_capacity_hz, gate.organic_hz
        capacity_hz = gate.faults.ask(
            Part.QUOTA,
            best_hz,
            gate.shaping.returning_hz,
            now_ns,
            arrival.kind,
            best_hz,
            organic_hz,
        )
        return gate.faults.ask(
            Part.SLOTS,
            alone_ns,  # as it would come by itself
            gate.reservations.invite,
            now_ns,
            slot_key(arrival),
            capacity_hz,
            organic_hz,
            asked_ns,
            longest_ns,
        )

    def _is_stalled(self) -> bool:
        return all(x.limit.is_stalled for x in self._gate.endpoints)

    def _longest_ns(
        self, now_ns: int, arrival: Arrival, arrived_at_ns: int, bound_ns: int = 0
    ) -> int:
        """Return from now until when a retry can still be served; 0 or less: never."""
        gate = self._gate
        return latest_ns(
            bound_ns or gate.reservations.horizon_ns,
            arrival.patience_ns,
            arrival.is_deadline,
            now_ns - arrived_at_ns,
            gate.dispatcher.response_ns,
        )

    def _may_touch(self, arrival: Arrival) -> bool:
        """Whether this caller is governed at all."""
        return not (arrival.is_exempt or self._gate.is_held_back(arrival.flow))

    def redeem(self, now_ns: int, lease: Lease) -> None:
        """Close the invitation that an arrival comes with; who comes at its slot goes first."""
        if self._redeem(now_ns, lease, lease.attempt > 0) == AT_SLOT:
            lease.line_key = INVITED

    def _redeem(self, now_ns: int, lease: Lease, is_retry: bool) -> int:
        gate, key = self._gate, slot_key(lease.arrival)
        return gate.faults.ask(Part.SLOTS, NO_SLOT, gate.reservations.redeem, now_ns, key, is_retry)

    # -- slots on refusals --------------------------------------------------------

    def answer(self, now_ns: int, lease: Lease, status: int, asked_ns: int) -> Decision | None:
        """Decide what a refusal's caller is told; None: what the upstream said.

        A decision without a time (``retry_after_ns`` 0) says that no retry can help.
        """
        return self._gate.faults.ask(
            Part.SLOTS, None, self._answer, now_ns, lease, status, asked_ns
        )

    def _answer(self, now_ns: int, lease: Lease, status: int, asked_ns: int) -> Decision | None:
        gate = self._gate
        arrival = lease.arrival
        if not arrival.can_retry or not self._may_touch(arrival) or not self.is_storm(now_ns):
            return None
        can_help = self._longest_ns(now_ns, arrival, lease.arrived_at_ns) > 0
        if not gate.may(now_ns, lease, Reason.SLOT_GIVEN if can_help else Reason.NO_RETRY):
            return None
        wait_ns = self.invite(now_ns, arrival, lease.arrived_at_ns, asked_ns)
        if wait_ns:
            self.n_slots += 1
        else:
            self.n_no_retry += 1
        reason = Reason.SLOT_GIVEN if wait_ns else Reason.NO_RETRY
        decision = Decision(Action.ADMIT, reason, lease, wait_ns, status)
        gate.note(now_ns, decision)
        return decision

    # -- refusals waited out --------------------------------------------------------

    def absorb(
        self, now_ns: int, lease: Lease, asked_ns: int, bound_ns: int
    ) -> tuple[Decision, Sequence[Decision]] | None:
        """Take an open lease back until its slot, if its refusal may be waited out.

        Returns
        -------
        decision, decisions
            To wait, with the lease that goes on; and what to do with those who get the place.
        """
        gate = self._gate
        wait_ns = gate.faults.ask(
            Part.ABSORB, 0, self._absorbed_ns, now_ns, lease, asked_ns, bound_ns
        )
        if wait_ns <= 0:
            return None
        self.n_absorbed += 1
        self._give_back(now_ns, lease)
        again = make_lease(lease.arrival, lease.arrived_at_ns, lease.call, lease.owner, Returning)
        again.n_absorbed = 1 + (lease.n_absorbed if isinstance(lease, Returning) else 0)
        self._n_parked_ever += 1
        heappush(self._parked, (now_ns + wait_ns, self._n_parked_ever, again))
        decision = Decision(Action.WAIT, Reason.ABSORBED, again, wait_ns)
        gate.note(now_ns, decision)
        return decision, gate.fill(now_ns)

    def _absorbed_ns(self, now_ns: int, lease: Lease, asked_ns: int, bound_ns: int) -> int:
        """Return how long from now a refused request is tried again; 0: it is handed on."""
        gate = self._gate
        arrival = lease.arrival
        n_absorbed = lease.n_absorbed if isinstance(lease, Returning) else 0
        dispatcher = gate.dispatcher
        left_ns = lease.arrived_at_ns + dispatcher.bound_ns(lease) - now_ns
        longest_ns = longest_wait_ns(
            bound_ns, n_absorbed, left_ns, dispatcher.response_ns, asked_ns
        )
        if not longest_ns or lease.has_left or not self._may_touch(arrival):
            return 0
        if not gate.may(now_ns, lease, Reason.ABSORBED):
            return 0
        return self.invite(now_ns, arrival, lease.arrived_at_ns, asked_ns, longest_ns)

    def _give_back(self, now_ns: int, lease: Lease) -> None:
        """Close a lease whose refusal its caller does not see: it has no outcome of its own."""
        gate = self._gate
        arrival = lease.arrival
        gate.given_back(now_ns, lease)
        lease.state = LeaseState.CLOSED
        held_ns = now_ns - lease.dispatched_at_ns
        endpoint = gate.endpoints[lease.endpoint_idx]
        endpoint.in_flight -= 1
        gate.faults.tell(Part.LIMIT, endpoint.limit.on_depart, now_ns, held_ns, False)
        gate.learn_refusal(now_ns, lease)
        gate.unanswered(now_ns, lease)
        held_s = held_ns * 1e-9
        gate.ledger.refused_s += held_s
        identities = gate.identities
        identities.closed(arrival.tenant, arrival.flow, arrival.tree, held_s)
        identities.opened(arrival.tenant, arrival.flow, arrival.tree)

    def release(self, now_ns: int) -> list[Decision]:
        """Let those into the line whose instant has come (called by the gate's tick)."""
        decisions: list[Decision] = []
        parked = self._parked
        gate = self._gate
        while parked and (parked[0][0] <= now_ns or parked[0][2].state is not _PENDING):
            lease = heappop(parked)[2]
            if lease.state is not _PENDING:
                continue
            self._redeem(now_ns, lease, is_retry=True)
            lease.line_key = INVITED
            if (decision := gate.join(now_ns, lease, 0.0, gate.band(lease))) is not None:
                decisions.append(decision)
        return decisions


def slot_key(arrival: Arrival) -> int:
    """Who holds a slot: the agent if it is named, else its tenant."""
    return 2 * arrival.flow + 1 if arrival.is_identified else 2 * arrival.tenant
