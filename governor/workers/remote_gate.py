"""What the rim of a worker sees of an upstream's gate, which is in another process.

*Rule of this file*: the part of :class:`governor.core.gate.Gate` that the rim uses, over a
:class:`~governor.workers.link.Link`. Nothing is decided here but whether there is credit.

A call within credit is admitted and told of. Any other is asked about: the rim lets it wait and
hears by ``told`` what was decided; what comes later, for those who were told to wait, by
``apply``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from governor.core.arrival import Arrival
from governor.core.lease import Asked, Decision, Lease, LeaseState, Untouched, make_lease
from governor.workers.link import Link, RemoteLease, Reply
from governor.workers.records import REASON_CODE, Kind
from governor.workers.remote_refused import RemoteRefused, read_decision
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict

_ADMIT = Action.ADMIT
_PENDING, _OPEN, _CLOSED = LeaseState.PENDING, LeaseState.OPEN, LeaseState.CLOSED
_ADMITTED, _ARRIVE, _DEPART = int(Kind.ADMITTED), int(Kind.ARRIVE), int(Kind.DEPART)


class SharedCount:
    """The part of a ledger that the rim writes: callers that shared another's call."""

    __slots__ = ("n_arrived", "n_by_outcome")

    def __init__(self) -> None:
        self.n_arrived = 0
        self.n_by_outcome = [0] * len(Outcome)


class RemoteGate:
    """Admission control of one upstream, asked for.

    Parameters
    ----------
    link : Link
    idx : int
        Of the upstream in the configuration.
    name : str
    first_place : int
        Of its endpoints among those of all upstreams.
    n_endpoints : int
    has_choice : bool
        Whether the keeper chooses among endpoints or another upstream, so that each call is
        asked for.
    """

    def __init__(
        self,
        link: Link,
        idx: int,
        name: str,
        first_place: int = 0,
        n_endpoints: int = 1,
        has_choice: bool = False,
    ) -> None:
        self.name = name
        self.idx = idx
        self.fallback: RemoteGate | None = None
        self.refused = RemoteRefused(self)
        self.ledger = SharedCount()
        self.link = link
        self._leases = link.leases
        self._has_choice = has_choice or n_endpoints > 1
        places = slice(first_place, first_place + n_endpoints)
        self._credits = link.board.credits[link.row][places]
        self._opens = link.board.opens[link.row][places]
        self._shares = link.board.shares[places]
        self._n_shared_told = 0
        link.gates.append(self)

    @property
    def in_flight(self) -> int:
        """Calls of this worker that hold a place."""
        return sum(self._opens)

    # -- events, as at the gate itself ------------------------------------------

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        """Admit a new request at once if there is credit; else ask."""
        link = self.link
        lease = make_lease(arrival, now_ns, max(arrival.attempt, 0), owner, RemoteLease)
        number = lease.number = link.next_number()
        lease.gate = self
        lease.is_asked = lease.is_told = False
        lease.late_ns = 0
        lease.rule = rule = link.latest_rule()
        if not self._has_choice:
            n_open = self._opens[0]
            is_exempt = arrival.is_exempt
            if is_exempt or n_open < self._credits[0]:
                lease.state = _OPEN
                lease.endpoint_idx = 0
                lease.dispatched_at_ns = now_ns
                self._leases[number] = lease
                lease.is_booked = link.send_arrival(
                    _ADMITTED, self.idx, now_ns, number, arrival, owner, rule, is_urgent=False
                )
                if not lease.is_booked:
                    link.count_unasked()
                if is_exempt:
                    return Decision(_ADMIT, Reason.EXEMPT, lease)
                self._opens[0] = n_open + 1
                admitted: Decision = Untouched()
                admitted.lease = lease
                return admitted
        return self._ask(now_ns, lease)

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """Tell of the first byte of a response that is not complete yet."""
        assert isinstance(lease, RemoteLease)
        if lease.state is not _OPEN or lease.answered_at_ns:
            return
        lease.answered_at_ns = now_ns
        if lease.is_booked:
            late_ns, lease.late_ns = lease.late_ns, 0
            self._send(Kind.ANSWERED, now_ns, lease, small=status, b=late_ns, is_urgent=False)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """The caller is gone. A pending lease closes; an open one goes on as abandoned."""
        assert isinstance(lease, RemoteLease)
        if lease.state is _CLOSED or lease.has_left:
            return ()
        lease.has_left = True
        is_pending = lease.state is _PENDING
        if is_pending:
            lease.state = _CLOSED
            self._leases.pop(lease.number, None)
        if lease.is_booked:
            self._send(Kind.LEAVE, now_ns, lease, flag=int(is_pending))
        return ()

    def depart(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int = 0, retry_after_ns: int = 0
    ) -> Sequence[Decision]:
        """Close an open lease; who gets its place hears of it from the keeper."""
        if lease.state is not _OPEN:
            raise RuntimeError(f"a lease closes once: this one is {lease.state.name}")
        assert isinstance(lease, RemoteLease)
        lease.state = _CLOSED
        self._leases.pop(lease.number, None)
        endpoint_idx = lease.endpoint_idx
        if not lease.arrival.is_exempt:
            self._opens[endpoint_idx] -= 1
        if lease.is_booked:
            self.link.send(
                _DEPART,
                self.idx,
                now_ns,
                lease.number,
                outcome,
                status,
                retry_after_ns,
                lease.late_ns,
                is_urgent=not self._credits[endpoint_idx],
            )
        return ()

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """Tell what the upstream says is left of a tenant's quota."""
        self.link.send(
            *(Kind.QUOTA, self.idx, now_ns, 0, 0, kind, tenant, limit, remaining, reset_ns),
            is_urgent=False,
        )

    def reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """Ask where a call goes that its endpoint failed; None where there is no choice."""
        assert isinstance(lease, RemoteLease)
        is_fit = lease.state is _OPEN and lease.is_booked and not lease.has_left
        if not (self._has_choice and is_fit and self.link.has_keeper):
            return None, ()
        self.close_place(lease)
        lease.tried = lease.endpoint_idx + 1  # where it goes back to if there is nowhere else
        lease.state, lease.endpoint_idx = _PENDING, -1
        lease.is_asked, lease.is_told = True, False
        self._send(Kind.REROUTE, now_ns, lease, small=int(verdict))
        return asked(lease), ()

    def saw(self, now_ns: int, lease: Lease, reason: Reason) -> Decision:
        """Tell what a policy that only observes would have done."""
        self.link.send_arrival(
            *(Kind.SAW, self.idx, now_ns, 0, lease.arrival, lease.owner, -1),
            small=REASON_CODE[reason],
        )
        return Decision(_ADMIT, Reason.OBSERVED, lease, observed=reason)

    def tell_shared(self, now_ns: int) -> None:
        """Tell how many callers have shared another's call since the last time."""
        n_shared = self.ledger.n_by_outcome[Outcome.COALESCED]
        if n_shared > self._n_shared_told:
            n_new, self._n_shared_told = n_shared - self._n_shared_told, n_shared
            self.link.send(Kind.SHARED, self.idx, now_ns, 0, small=n_new, is_urgent=False)

    # -- what the keeper says ---------------------------------------------------

    def hear(self, lease: RemoteLease, record: Reply) -> None:
        """Take a decision and let the rim act on it."""
        if lease.state is not _PENDING:
            return  # it went without: a keeper that was gone for a while has come back
        owner = lease.owner
        lease.is_asked = False
        if record[3] == Kind.NOWHERE:
            lease.state, lease.endpoint_idx = _OPEN, lease.tried - 1
            lease.is_told = True
            self._open_place(lease)
            self._act(lease, owner.nowhere_to_go)
            return
        decision = read_decision(lease, record)
        action = decision.action
        if action is _ADMIT:
            self._open(lease, record[0], record[8])
            lease.late_ns = max(0, self.link.now_ns - record[0])
        elif action is not Action.WAIT:
            lease.state = _CLOSED
            self._leases.pop(lease.number, None)
        if not lease.is_told:
            lease.is_told = True
            self._act(lease, owner.told, decision)
        elif action is not Action.WAIT:
            self._act(lease, owner.apply, decision)

    def announce(self, lease: RemoteLease) -> None:
        """Tell a new keeper of a lease; ask again if it waits."""
        arrival, owner, link = lease.arrival, lease.owner, self.link
        lease.is_booked = True
        parts = (self.idx, lease.arrived_at_ns, lease.number, arrival, owner, lease.rule)
        if lease.state is _PENDING:
            lease.is_asked = True
            lease.is_booked = link.send_arrival(_ARRIVE, *parts)
            return
        lease.is_booked = link.send_arrival(_ADMITTED, *parts, small=lease.endpoint_idx)
        if lease.is_booked and lease.answered_at_ns:
            self._send(Kind.ANSWERED, lease.answered_at_ns, lease, small=200)
        if lease.is_booked and lease.has_left:
            self._send(Kind.LEAVE, lease.answered_at_ns or lease.dispatched_at_ns, lease)

    def go_without(self, now_ns: int, lease: RemoteLease, is_long: bool) -> None:
        """Let a request go that waits for a keeper that is gone, if there is a share left."""
        endpoint_idx = self._roomiest()
        if not is_long and self._opens[endpoint_idx] >= self._shares[endpoint_idx]:
            return
        lease.is_asked = False
        self.link.count_unasked()
        self._open(lease, now_ns, endpoint_idx)
        decision: Decision = Untouched()
        decision.lease = lease
        act = lease.owner.apply if lease.is_told else lease.owner.told
        lease.is_told = True
        self._act(lease, act, decision)

    # -- parts --------------------------------------------------------------------

    def _ask(self, now_ns: int, lease: RemoteLease) -> Decision:
        """Ask the keeper; without one, or without room to ask, let it through."""
        link = self.link
        self._leases[lease.number] = lease
        lease.is_booked = True
        arrival, owner = lease.arrival, lease.owner
        if link.has_keeper:
            lease.is_asked = True
            parts = (self.idx, now_ns, lease.number, arrival, owner, lease.rule)
            if link.send_arrival(_ARRIVE, *parts):
                return asked(lease)
            lease.is_asked = lease.is_booked = False  # a keeper that is behind is spared
        endpoint_idx = self._roomiest()
        if not link.has_keeper and not arrival.is_exempt:
            if self._opens[endpoint_idx] >= self._shares[endpoint_idx]:
                lease.is_asked = True
                return asked(lease)  # the next keeper will be asked
        link.count_unasked()
        self._open(lease, now_ns, endpoint_idx)
        lease.is_told = True
        admitted: Decision = Untouched()
        admitted.lease = lease
        return admitted

    def _roomiest(self) -> int:
        opens = self._opens
        return min(range(len(opens)), key=opens.__getitem__)

    def _open(self, lease: RemoteLease, now_ns: int, endpoint_idx: int) -> None:
        lease.state = _OPEN
        lease.endpoint_idx = endpoint_idx
        lease.dispatched_at_ns = now_ns
        self._open_place(lease)

    def _open_place(self, lease: RemoteLease) -> None:
        if not lease.arrival.is_exempt:
            self._opens[lease.endpoint_idx] += 1

    def close_place(self, lease: RemoteLease) -> None:
        """Count a place as given back."""
        if not lease.arrival.is_exempt:
            self._opens[lease.endpoint_idx] -= 1

    def _send(
        self,
        kind: int,
        now_ns: int,
        lease: RemoteLease,
        flag: int = 0,
        small: int = 0,
        b: int = 0,
        is_urgent: bool = True,
    ) -> None:
        self.link.send(kind, self.idx, now_ns, lease.number, flag, small, 0, b, is_urgent=is_urgent)

    def _act(self, lease: RemoteLease, act: Any, *arguments: Any) -> None:
        """Let the rim act on one request; a fault of one is not another's."""
        owner = lease.owner
        try:
            act(*arguments)
        except Exception as error:
            owner.stats.n_faults += 1
            owner.server.report_fault(error)


def asked(lease: Lease) -> Decision:
    """Return word that the keeper will say."""
    decision: Decision = Asked()
    decision.lease = lease
    return decision
