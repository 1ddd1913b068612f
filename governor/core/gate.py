"""The gate of one upstream: every arrival gets exactly one outcome, with a reason.

*Rule of this file*: events in, decisions out. No I/O, no clock, no log. The
order in which the parts act is the contract:

1. signals observe the arrival (retry inference, synchrony); a fault in them
   is counted and the request goes through,
2. the adaptive limit of an endpoint admits at once while nobody waits,
3. otherwise the line: urgency, fairness, least attained service, patience,
4. whoever the line cannot serve within patience is answered, with a slot of
   its own from the reservations,
5. departures teach the limit, the signals, the patience and the ledger.

In ``observe`` mode all of it is computed and every arrival is admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from governor.core.arrival import Arrival
from governor.core.dispatcher import Dispatcher
from governor.core.lease import Decision, Lease, LeaseState
from governor.core.ledger import Ledger
from governor.core.reservations import Reservations
from policies.decision import Action, Outcome, Reason
from signals import ANSWERED, FAILED, FIRST_BYTE, GONE, LEFT, PARENT, REFUSED

if TYPE_CHECKING:
    from governor.core.identity import Identities
    from policies.limit import Limit
    from signals import SignalBank

STATUS_WAIT = 429
"""Capacity exists and is taken: come back at your slot (RFC 6585 section 4)."""

_ADMIT = Action.ADMIT
_UNTOUCHED = Reason.UNTOUCHED
_PENDING = LeaseState.PENDING
_OPEN = LeaseState.OPEN
_CLOSED = LeaseState.CLOSED


class InterventionLog(Protocol):
    """Takes note of what the gate did to a request that it did not just admit."""

    def append(self, now_ns: int, gate: Gate, decision: Decision, waited_ns: int) -> None:
        """Record one intervention."""


class Endpoint:
    """One address of an upstream, as the gate sees it: a limit and what is in flight."""

    __slots__ = ("idx", "in_flight", "limit", "n_exempt")

    def __init__(self, idx: int, limit: Limit) -> None:
        self.idx = idx
        self.limit = limit
        self.in_flight = 0
        self.n_exempt = 0


class Gate:
    """Admission control of one upstream.

    Parameters
    ----------
    name : str
        The upstream's name in the configuration.
    limits : sequence of Limit
        One per endpoint.
    signals : SignalBank
    identities : Identities
        Shared by all gates of the process.
    is_observing : bool
        Decide the same, do nothing.
    patience_ns, max_wait_ns, slot_horizon_ns : int
    max_waiting : int
    """

    def __init__(
        self,
        name: str,
        limits: Sequence[Limit],
        signals: SignalBank,
        identities: Identities,
        *,
        is_observing: bool = False,
        patience_ns: int = 10_000_000_000,
        max_wait_ns: int = 30_000_000_000,
        max_waiting: int = 10_000,
        slot_horizon_ns: int = 60_000_000_000,
        log: InterventionLog | None = None,
    ) -> None:
        self.name = name
        self.endpoints = [Endpoint(idx, limit) for idx, limit in enumerate(limits)]
        self.signals = signals
        self.identities = identities
        self.is_observing = is_observing
        self.dispatcher = Dispatcher(patience_ns, max_wait_ns, max_waiting)
        self.line = self.dispatcher.line
        self.patience = self.dispatcher.patience
        self.reservations = Reservations(slot_horizon_ns)
        self.ledger = Ledger()
        self.log = log
        self._signal_arrival = signals.arrive
        self._opened = identities.opened
        self._closed = identities.closed
        self._book = self.ledger.close
        self._only = self.endpoints[0] if len(self.endpoints) == 1 else None
        self._now_ns = 0

    # -- events -----------------------------------------------------------

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        """Decide about a new request: ADMIT now, WAIT in the line, or ANSWER it."""
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        self._now_ns = now_ns
        ledger = self.ledger
        ledger.n_arrived += 1
        flow = arrival.flow
        if arrival.is_exempt:
            call = arrival.attempt if arrival.attempt > 0 else 0
        else:
            try:
                if now_ns >= self.signals.boundary_ns:
                    self.signals.advance(now_ns)
                call = self._signal_arrival(
                    now_ns,
                    arrival.tenant,
                    flow,
                    arrival.tree,
                    arrival.fingerprint,
                    arrival.attempt,
                    arrival.family,
                    arrival.is_identified,
                    arrival.patience_ns,
                )
            except Exception:
                ledger.n_faults += 1
                call = arrival.attempt if arrival.attempt > 0 else 0
        lease = Lease(arrival, now_ns, call, owner)
        if arrival.parent_flow:
            self._signal(PARENT, now_ns, lease, arrival.parent_flow)
        if lease.attempt:
            ledger.n_attempts_repeated += 1
        if self.reservations.n_outstanding:
            self._redeem(now_ns, lease)
        self._opened(arrival.tenant, flow, arrival.tree)
        endpoint = self._only or self._roomiest()
        if arrival.is_exempt:
            return self._exempt(now_ns, lease, endpoint)
        limit = endpoint.limit
        in_flight = endpoint.in_flight + 1
        if in_flight <= limit.limit and not self.line.n_live:
            # as _open does, without the call: nearly every request takes this way
            endpoint.in_flight = lease.in_flight_at_dispatch = in_flight
            lease.state = _OPEN
            lease.endpoint_idx = endpoint.idx
            lease.dispatched_at_ns = now_ns
            lease.phase = limit.on_dispatch(now_ns, in_flight, in_flight >= limit.limit)
            ledger.n_untouched += 1
            return Decision(_ADMIT, _UNTOUCHED, lease)
        if self.is_observing:
            return self._observe(now_ns, lease, endpoint)
        return self._wait(now_ns, lease)

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """Take note of the first byte of a response that is not complete yet."""
        now_ns = self._clamp(now_ns)
        if lease.state is not _OPEN or lease.answered_at_ns:
            return
        lease.answered_at_ns = now_ns
        if is_normal(status):
            self._signal(FIRST_BYTE, now_ns, lease)
            self._learn_answer(now_ns, lease)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """The caller is gone. A pending lease closes; an open one goes on as abandoned."""
        now_ns = self._clamp(now_ns)
        if lease.state is _CLOSED or lease.has_left:
            return ()
        lease.has_left = True
        self._signal(LEFT, now_ns, lease)
        if not lease.answered_at_ns:
            self.patience.on_leave(now_ns - lease.arrived_at_ns)
        if lease.state is _PENDING:
            self.ledger.n_left_waiting += 1
            self._settle(now_ns, lease, GONE)
        return ()

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """Take note of what the upstream says is left of its quota.

        Parameters
        ----------
        tenant, kind : int
            Whose, and of what (:mod:`signals.quota`).
        limit, remaining : int
            Of several the one of which the least share is left.
        reset_ns : int
            From now until it is whole again; 0 if not told.
        """
        try:
            self.signals.note_quota(self._clamp(now_ns), tenant, kind, limit, remaining, reset_ns)
        except Exception:
            self.ledger.n_faults += 1

    def depart(
        self,
        now_ns: int,
        lease: Lease,
        outcome: Outcome,
        status: int = 0,
        retry_after_ns: int = 0,
    ) -> Sequence[Decision]:
        """Close an open lease; return what to do with those who waited for its place.

        Parameters
        ----------
        retry_after_ns : int
            For how long the upstream asked the caller to stay away; 0 if it did not.

        Raises
        ------
        RuntimeError
            If the lease is not open: the caller's own fault, never a user's.
        """
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        self._now_ns = now_ns
        if lease.state is not _OPEN:
            raise RuntimeError(f"a lease closes once: this one is {lease.state.name}")
        arrival = lease.arrival
        endpoint = self.endpoints[lease.endpoint_idx]
        has_sample = lease.answered_at_ns != 0
        if not has_sample and is_normal(status):
            lease.answered_at_ns = now_ns
            self._learn_answer(now_ns, lease)
            has_sample = True
        lease.state = _CLOSED
        held_ns = now_ns - lease.dispatched_at_ns
        if arrival.is_exempt:
            endpoint.n_exempt -= 1
        else:
            endpoint.in_flight -= 1
            endpoint.limit.on_depart(now_ns, held_ns, has_sample)
        held_s = held_ns * 1e-9
        self._book(outcome, held_s, has_sample)
        self._closed(arrival.tenant, arrival.flow, arrival.tree, held_s)
        how = GONE if lease.has_left else FAILED if outcome else ANSWERED
        self._signal(how, now_ns, lease, retry_after_ns)
        if self.line.n_live:
            decisions: list[Decision] = []
            self._dispatch(now_ns, decisions)
            return decisions
        return ()

    def tick(self, now_ns: int) -> Sequence[Decision]:
        """Run what looks across a window (every 50 ms); return decisions about waiting leases."""
        now_ns = self._clamp(now_ns)
        try:
            self.signals.tick(now_ns)
        except Exception:
            self.ledger.n_faults += 1
        self.identities.advance(now_ns)
        capacity_hz = 0.0
        response_ns = 0
        for endpoint in self.endpoints:
            endpoint.limit.tick(now_ns, endpoint.in_flight)
            capacity_hz += endpoint.limit.capacity_hz(now_ns)
            response_ns = max(response_ns, endpoint.limit.response_ns())
        dispatcher = self.dispatcher
        dispatcher.capacity_hz = capacity_hz
        dispatcher.response_ns = response_ns
        self.reservations.expire(now_ns)
        if not self.line.n_live:
            return ()
        decisions: list[Decision] = []
        self._dispatch(now_ns, decisions)
        while lease := dispatcher.next_expired(now_ns):
            decisions.append(self._answer(now_ns, lease, Reason.PATIENCE_SPENT))
        while lease := dispatcher.next_surplus():
            decisions.append(self._answer(now_ns, lease, Reason.LINE_TOO_LONG))
        return decisions

    # -- what the control plane reads -------------------------------------

    @property
    def in_flight(self) -> int:
        """Open leases over all endpoints, exempt ones included."""
        return sum(endpoint.in_flight + endpoint.n_exempt for endpoint in self.endpoints)

    @property
    def limit(self) -> int:
        """Sum of the endpoints' limits."""
        return sum(endpoint.limit.limit for endpoint in self.endpoints)

    @property
    def line_length(self) -> int:
        """Requests that wait."""
        return self.line.n_live

    @property
    def best_capacity_hz(self) -> float:
        """Best-known capacity over all endpoints, requests per second; 0 if unknown."""
        return sum(x.limit.best_capacity_hz(self._now_ns) for x in self.endpoints)

    # -- parts ------------------------------------------------------------

    def _clamp(self, now_ns: int) -> int:
        if now_ns < self._now_ns:
            return self._now_ns
        self._now_ns = now_ns
        return now_ns

    def _roomiest(self) -> Endpoint:
        return min(self.endpoints, key=lambda x: x.in_flight / x.limit.limit)

    def _open(self, now_ns: int, lease: Lease, endpoint: Endpoint, is_bound: bool) -> None:
        endpoint.in_flight += 1
        lease.state = _OPEN
        lease.endpoint_idx = endpoint.idx
        lease.dispatched_at_ns = now_ns
        lease.in_flight_at_dispatch = endpoint.in_flight
        lease.phase = endpoint.limit.on_dispatch(now_ns, endpoint.in_flight, is_bound)

    def _exempt(self, now_ns: int, lease: Lease, endpoint: Endpoint) -> Decision:
        """Admit what is never held, and count it apart: an idle event stream takes no capacity."""
        endpoint.n_exempt += 1
        lease.state = _OPEN
        lease.endpoint_idx = endpoint.idx
        lease.dispatched_at_ns = now_ns
        return Decision(_ADMIT, Reason.EXEMPT, lease)

    def _observe(self, now_ns: int, lease: Lease, endpoint: Endpoint) -> Decision:
        """Admit beyond the limit, and report that governing would have let it wait."""
        observed = self.ledger.n_observed
        observed[Reason.OVER_LIMIT] = observed.get(Reason.OVER_LIMIT, 0) + 1
        self._open(now_ns, lease, endpoint, is_bound=True)
        decision = Decision(_ADMIT, Reason.OBSERVED, lease)
        self._note(now_ns, decision, 0)
        return decision

    def _wait(self, now_ns: int, lease: Lease) -> Decision:
        if self.dispatcher.is_full:
            return self._answer(now_ns, lease, Reason.LINE_FULL)
        arrival = lease.arrival
        service_s = self.dispatcher.response_ns * 1e-9
        attained_s = self.identities.attained_s(arrival.flow, arrival.tree, service_s)
        self.dispatcher.join(now_ns, lease, attained_s)
        self.ledger.n_waited += 1
        return Decision(Action.WAIT, Reason.OVER_LIMIT, lease)

    def _dispatch(self, now_ns: int, decisions: list[Decision]) -> None:
        """Fill every free place from the line (work-conserving)."""
        dispatcher = self.dispatcher
        while lease := dispatcher.first():
            endpoint = self._only or self._roomiest()
            if endpoint.in_flight >= endpoint.limit.limit:
                return
            if dispatcher.is_too_late(now_ns, lease):
                decisions.append(self._answer(now_ns, lease, Reason.PATIENCE_SPENT))
                continue
            dispatcher.take(lease)
            waited_ns = now_ns - lease.arrived_at_ns
            self.ledger.waited_s += waited_ns * 1e-9
            self._open(now_ns, lease, endpoint, is_bound=True)
            decision = Decision(_ADMIT, Reason.CAPACITY_FREED, lease)
            self._note(now_ns, decision, waited_ns)
            decisions.append(decision)

    def _answer(self, now_ns: int, lease: Lease, reason: Reason) -> Decision:
        """Close a pending lease with an invitation to come back."""
        arrival = lease.arrival
        retry_after_ns = self.reservations.invite(
            now_ns, _slot_key(arrival), self.best_capacity_hz, self.signals.organic_hz()
        )
        is_waiting = lease.line_key >= 0
        self._settle(now_ns, lease, REFUSED, retry_after_ns)
        answered = self.ledger.n_answered
        answered[reason] = answered.get(reason, 0) + 1
        decision = Decision(Action.ANSWER, reason, lease, retry_after_ns, STATUS_WAIT)
        self._note(now_ns, decision, now_ns - lease.arrived_at_ns if is_waiting else 0)
        return decision

    def _settle(self, now_ns: int, lease: Lease, how: int, retry_after_ns: int = 0) -> None:
        """Close a lease that never reached the upstream."""
        self._signal(how, now_ns, lease, retry_after_ns)
        lease.state = _CLOSED
        if lease.line_key >= 0:
            self.line.forget(lease)
        arrival = lease.arrival
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, 0.0)

    def _learn_answer(self, now_ns: int, lease: Lease) -> None:
        if lease.arrival.is_exempt:
            return
        endpoint = self.endpoints[lease.endpoint_idx]
        endpoint.limit.on_answer(
            now_ns,
            lease.phase,
            lease.dispatched_at_ns,
            lease.in_flight_at_dispatch,
            endpoint.in_flight,
        )
        if not lease.has_left and self.patience.is_learned:
            self.patience.on_answer(now_ns - lease.arrived_at_ns)

    def _signal(self, kind: int, now_ns: int, lease: Lease, value: int = 0) -> None:
        """Tell the signals what happened to a call."""
        signals = self.signals
        try:
            if now_ns >= signals.boundary_ns:
                signals.advance(now_ns)
            signals.note(kind, now_ns, lease.call, value)
        except Exception:
            self.ledger.n_faults += 1

    def _redeem(self, now_ns: int, lease: Lease) -> None:
        self.reservations.redeem(now_ns, _slot_key(lease.arrival), lease.attempt > 0)

    def _note(self, now_ns: int, decision: Decision, waited_ns: int) -> None:
        if self.log is not None:
            self.log.append(now_ns, self, decision, waited_ns)


def is_normal(status: int) -> bool:
    """Whether an answer with ``status`` tells how fast the upstream works (0: no answer)."""
    return 100 <= status < 500 and status != 429 and status != 408


def _slot_key(arrival: Arrival) -> int:
    """Who holds a slot: the agent if it is named, else its tenant."""
    return 2 * arrival.flow + 1 if arrival.is_identified else 2 * arrival.tenant
