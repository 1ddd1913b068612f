"""The gate of an upstream with several endpoints, or with a fallback: which one takes a call.

*Rule of this file*: the gate's side of :mod:`policies.reroute`, and the way out of
an upstream. A gate of one endpoint without a fallback is a plain
:class:`~governor.core.gate.Gate` and pays nothing for it.

A call leaves for the fallback upstream, whose own gate then decides about it,

- when every endpoint is out of use and none is due to be probed,
- when an endpoint failed it before its first byte and no fit one is left to try,
- when a storm is foretold and it finds no place, before a line has grown, or when it
  would be answered because the line is full or too long; and the fallback has room. Who
  has waited until patience is spent is answered: it would leave the fallback, too.

A fault in the choice is counted and the roomiest endpoint is taken.

Where it only observes, or is off, the roomiest endpoint is taken and nothing is moved; the calls
go on teaching, so that the state page shows what would be done, and a switch that is thrown while
it runs finds it ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from governor.core.admission import STATUS_WAIT
from governor.core.arrival import Arrival
from governor.core.bands import Band, Room
from governor.core.endpoint import Endpoint, is_normal
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState, Untouched, make_lease
from governor.core.line import INVITED
from governor.core.outlook import count_spill
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict, judge
from policies.reroute import Reroute
from policies.switches import GOVERN, Policy, state_of
from signals import GONE

if TYPE_CHECKING:
    from governor.core.identity import Identities
    from governor.core.parts import InterventionLog
    from governor.core.shaping import Shaping
    from policies.limit import Limit
    from signals import SignalBank


class SpreadGate(Gate):
    """Admission control of one upstream with more than one place to go.

    Parameters
    ----------
    reroute_seed : int
        Of the draws among the endpoints.

    Attributes
    ----------
    routing : Reroute
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
        shaping: Shaping | None = None,
        log: InterventionLog | None = None,
        reroute_seed: int = 1,
    ) -> None:
        super().__init__(  # one by one: compiled code does not pass on ``*parts`` to ``super()``
            name,
            limits,
            signals,
            identities,
            is_observing=is_observing,
            patience_ns=patience_ns,
            max_wait_ns=max_wait_ns,
            max_waiting=max_waiting,
            slot_horizon_ns=slot_horizon_ns,
            shaping=shaping,
            log=log,
        )
        self._only = None  # even a single endpoint may be out of use
        routed = [RoutedEndpoint(x.idx, x.limit, self.faults) for x in self.endpoints]
        self.endpoints = list(routed)
        self.routing: Reroute[Endpoint] = Reroute(self.endpoints, reroute_seed)
        for endpoint in routed:
            endpoint.routing = self.routing
        self._n_spare = 0
        self._moves = state_of(self.shaping.switches, Policy.REROUTE) == GOVERN

    def switch(self, switches: int, is_observing: bool) -> None:
        """Set every policy's state, whether calls may move among them."""
        super().switch(switches, is_observing)
        self._moves = state_of(switches, Policy.REROUTE) == GOVERN

    # -- events -----------------------------------------------------------

    def _reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """Move a call that its endpoint failed: to another, or out of this upstream."""
        now_ns = self._clamp(now_ns)
        if lease.state is not LeaseState.OPEN or lease.has_left or lease.answered_at_ns:
            return None, ()
        endpoint = self.endpoints[lease.endpoint_idx]
        if verdict is Verdict.UNREACHED:  # the end of a call that was not sent will not tell
            self.faults.tell(Part.REROUTE, self._learn_unreached, now_ns, lease, endpoint)
            verdict = Verdict.UNTOLD
        lease.tried |= 1 << endpoint.idx
        other = self.faults.ask(Part.REROUTE, None, self._next_place, now_ns, lease)
        if other is None and self.fallback is None:
            return None, ()
        reason = Reason.REROUTED if other is not None else Reason.FALLBACK
        if not self.may(now_ns, lease, reason):
            return None, ()
        self._part(now_ns, lease, endpoint, verdict)
        decision = self._move(now_ns, lease, other)
        return decision, self._dispatch(now_ns) if self.line.n_live else ()

    def _tick(self, now_ns: int) -> Sequence[Decision]:
        """Do what is due at a tick, and see who is fit again."""
        self.faults.tell(Part.REROUTE, self.routing.tick, self._clamp(now_ns))
        self._n_spare = 0 if self.fallback is None else self.fallback.n_free
        decisions = super()._tick(now_ns)
        self.faults.tell(Part.REROUTE, self._weigh_outlook)
        return decisions

    def _weigh_outlook(self) -> None:
        """Charge each endpoint with what a foretold storm brings it beyond what it serves."""
        spill_hz, used = self.outlook.spill_hz, [x for x in self.endpoints if not x.is_out]
        for endpoint in used:
            capacity_hz = endpoint.limit.capacity_hz(self._now_ns) if spill_hz else 0.0
            endpoint.n_expected = count_spill(spill_hz, len(used), capacity_hz)

    # -- where to -------------------------------------------------------------

    def _pick(self, now_ns: int, lease: Lease) -> Endpoint:
        if not self._moves:
            return super()._pick(now_ns, lease)
        if lease.arrival.is_exempt:
            fit = [x for x in self.endpoints if not x.is_out] or self.endpoints
            return min(fit, key=lambda x: (x.n_exempt + x.in_flight) / x.limit.limit)
        try:
            endpoint = self.routing.choose(now_ns, lease.arrival.affinity, lease.tried)
        except Exception:
            self.faults.note(Part.REROUTE)
            endpoint = None
        return endpoint or super()._pick(now_ns, lease)

    def _next_place(self, now_ns: int, lease: Lease) -> Endpoint | None:
        """Return where a call goes that an endpoint has failed; None: nowhere in this upstream."""
        other = self.routing.choose(now_ns, lease.arrival.affinity, lease.tried)
        if other is None or self.fallback is None or not other.is_out:
            return other
        return other if other.health.is_due(now_ns) else None

    def _is_down(self, now_ns: int) -> bool:
        """Whether calls must go to the fallback: all is out, and none is due to be probed."""
        if self.fallback is None:
            return False
        try:
            return self.routing.is_down and not any(x.health.is_due(now_ns) for x in self.endpoints)
        except Exception:
            self.faults.note(Part.REROUTE)
            return False

    def _room(self, as_seen: bool = False) -> Room:
        """Return whom a place is open to now, on the endpoints in use."""
        limit = n_free = 0
        try:
            used = self.routing.in_use(self._now_ns) if self._moves else self.endpoints
        except Exception:
            self.faults.note(Part.REROUTE)
            used = self.endpoints
        for endpoint in used:
            limit += endpoint.limit.limit
            n_free += max(0, endpoint.limit.limit - endpoint.in_flight)
        return self.shaping.room(limit, limit - n_free, as_seen)

    def _move(self, now_ns: int, lease: Lease, other: Endpoint | None) -> Decision:
        """Give a call that has lost its place another one."""
        if other is None:
            return self._divert(now_ns, lease)
        action = Action.ADMIT
        if lease.arrival.is_exempt:
            other.open_exempt(now_ns, lease)
        elif other.has_room or not self.shaping.is_limiting:
            # it has had its turn: it does not wait behind others
            other.open(now_ns, lease, other.in_flight + 1 >= other.limit.limit)
            self._opened(now_ns, lease)
        else:
            lease.state, lease.endpoint_idx = LeaseState.PENDING, -1
            if self.join(now_ns, lease, 0.0, self.band(lease)) is None:
                action = Action.WAIT
        self.ledger.n_rerouted += 1
        decision = Decision(action, Reason.REROUTED, lease)
        self.note(now_ns, decision, 0)
        return decision

    def _part(self, now_ns: int, lease: Lease, endpoint: Endpoint, verdict: Verdict) -> None:
        """Take a call's place back from the endpoint that failed it; its limit learns nothing."""
        sent_at_ns = lease.dispatched_at_ns
        lease.line_key = -1  # it waits no more, wherever it has waited
        if lease.arrival.is_exempt:
            endpoint.n_exempt -= 1
            return
        endpoint.in_flight -= 1
        tell = self.faults.tell
        tell(Part.LIMIT, endpoint.limit.on_depart, now_ns, now_ns - sent_at_ns, False)
        self.unanswered(now_ns, lease)
        closed = self.routing.closed
        tell(Part.REROUTE, closed, now_ns, endpoint, sent_at_ns, lease, verdict, False)

    def _learn_unreached(self, now_ns: int, lease: Lease, endpoint: Endpoint) -> None:
        endpoint.health.failed(now_ns, lease, is_unreached=True)
        self.routing.look_again()

    def _divert(self, now_ns: int, lease: Lease) -> Decision:
        """Close a lease here: the fallback upstream's gate decides about its request."""
        arrival = lease.arrival
        waited_ns = now_ns - lease.waits_since_ns if lease.line_key >= 0 else 0
        lease.state = LeaseState.CLOSED
        if lease.line_key >= 0:
            self.faults.tell(Part.LINE, self.line.forget, lease)
        if not arrival.is_exempt:
            self._signal(GONE, now_ns, lease)
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, 0.0)
        self.ledger.n_diverted += 1
        decision = Decision(Action.DIVERT, Reason.FALLBACK, lease)
        self.note(now_ns, decision, waited_ns)
        return decision

    # -- the gate's ways, with a way out --------------------------------------

    def _spread(self, now_ns: int, lease: Lease, is_crowd: bool) -> Decision:
        decision: Decision
        is_down = self.fallback is not None and self._is_down(now_ns)
        if is_down and self.may(now_ns, lease, Reason.FALLBACK):
            decision = self._divert(now_ns, lease)
        else:
            endpoint = self._pick(now_ns, lease)
            if is_crowd or self.line.n_live or not (self.shaping.is_calm and endpoint.has_room):
                return self._consider(now_ns, lease, endpoint, is_crowd)
            # nearly every request takes this way
            endpoint.open(now_ns, lease, endpoint.in_flight + 1 >= endpoint.limit.limit)
            self._opened(now_ns, lease)
            self.ledger.n_untouched += 1
            decision = Untouched()
            decision.lease = lease
        if self.recording is not None:  # which endpoint takes it, even if untouched
            self.recording.note_said(decision)
        return decision

    def _exempt(self, now_ns: int, arrival: Arrival, owner: Any) -> Decision:
        if not (self._moves and self._is_down(now_ns)):
            return super()._exempt(now_ns, arrival, owner)
        self.identities.opened(arrival.tenant, arrival.flow, arrival.tree)
        decision = self._divert(now_ns, make_lease(arrival, now_ns, 0, owner))
        if self.recording is not None:
            self.recording.note_said(decision)
        return decision

    def _dispatch(self, now_ns: int) -> list[Decision]:
        if not self._moves or not self._is_down(now_ns):
            return super()._dispatch(now_ns)
        waiting = [x for x in self.line if x.state is LeaseState.PENDING]
        return [self._divert(now_ns, lease) for lease in waiting]

    def _wait(self, now_ns: int, lease: Lease, band: Band, reason: Reason) -> Decision:
        other = self.fallback
        is_spill = other is not None and self.outlook.is_storm and reason is Reason.OVER_LIMIT
        if is_spill and other is not None and not other.outlook.is_storm and other.n_free:
            if lease.line_key != INVITED and self.may(now_ns, lease, Reason.FALLBACK):
                return self._divert(now_ns, lease)
        return super()._wait(now_ns, lease, band, reason)

    def send_away(self, now_ns: int, lease: Lease, reason: Reason) -> Decision:
        """Close a pending lease: with an invitation, or to the fallback while that has room."""
        is_taken = False
        if reason is Reason.LINE_FULL and self.fallback is not None:
            is_taken = self.fallback.n_free > 0
        elif reason is Reason.LINE_TOO_LONG and self._n_spare > 0:
            self._n_spare -= 1
            is_taken = True
        if is_taken and self.may(now_ns, lease, Reason.FALLBACK):
            return self._divert(now_ns, lease)
        return super().send_away(now_ns, lease, reason)

    # -- what the calls teach -------------------------------------------------

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """Take note of the first byte of a response that is not complete yet."""
        is_first = lease.state is LeaseState.OPEN and not lease.answered_at_ns
        if is_first and not lease.arrival.is_exempt:
            now_ns = self._clamp(now_ns)
            endpoint = self.endpoints[lease.endpoint_idx]
            try:
                if is_normal(status):
                    self.routing.answered(now_ns, endpoint, lease.dispatched_at_ns)
                else:
                    endpoint.pace.dropped(lease.dispatched_at_ns)
            except Exception:
                self.faults.note(Part.REROUTE)
        super().answered(now_ns, lease, status)

    def depart(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int = 0, retry_after_ns: int = 0
    ) -> Sequence[Decision]:
        """Close an open lease; return what to do with those who waited for its place."""
        if lease.state is LeaseState.OPEN and not lease.arrival.is_exempt:
            now_ns = max(now_ns, self._now_ns)
            try:
                if outcome is Outcome.COMPLETED and status:
                    endpoint = self.endpoints[lease.endpoint_idx]
                    is_paced = lease.answered_at_ns != 0
                    self.routing.completed(now_ns, endpoint, lease.dispatched_at_ns, is_paced)
                else:
                    self._learn_end(now_ns, lease, outcome, status, retry_after_ns)
            except Exception:
                self.faults.note(Part.REROUTE)
        return super().depart(now_ns, lease, outcome, status, retry_after_ns)

    def given_back(self, now_ns: int, lease: Lease) -> None:
        """Learn from a refusal that its caller does not see: it is full, but there."""
        end = (now_ns, lease, Outcome.REFUSED, STATUS_WAIT, 0)
        self.faults.tell(Part.REROUTE, self._learn_end, *end)

    def _learn_end(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int, retry_after_ns: int
    ) -> None:
        routing, sent_at_ns = self.routing, lease.dispatched_at_ns
        endpoint = self.endpoints[lease.endpoint_idx]
        is_paced = lease.answered_at_ns != 0
        if not is_paced and outcome is not Outcome.UNSENT and is_normal(status):
            routing.answered(now_ns, endpoint, sent_at_ns)
            is_paced = True
        verdict = judge(outcome, status, retry_after_ns)
        routing.closed(now_ns, endpoint, sent_at_ns, lease, verdict, is_paced)


class RoutedEndpoint(Endpoint):
    """An endpoint that tells the choice of what is sent to it."""

    __slots__ = ("routing",)

    routing: Reroute[Endpoint]

    def open(self, now_ns: int, lease: Lease, is_bound: bool) -> None:
        """Give a place to a lease."""
        super().open(now_ns, lease, is_bound)
        try:
            self.routing.sent(now_ns, self, lease)
        except Exception:
            self.faults.note(Part.REROUTE)
