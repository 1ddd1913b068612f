"""The gate of one upstream: every arrival gets exactly one outcome, with a reason.

*Rule of this file*: events in, decisions out. No I/O, no clock, no log. The
order in which the parts act is the contract:

1. a quarantined flow is answered (:mod:`governor.core.restraint`),
2. signals observe the arrival (retry inference, synchrony),
3. who comes at its slot redeems it; a held flow's call beyond its cap is parked,
4. the adaptive limit of an endpoint admits at once while nothing else binds and nobody waits,
   one of a crowd beside the places that are kept from it,
5. otherwise shaping says who yields, and whether there is room: crowds, long and hung kinds,
   steep demand, a quota found from refusals; :mod:`governor.core.shaping` tells the whole order,
6. whoever finds none waits in the line: urgency, fairness, least attained service, patience,
7. whoever the line cannot serve within patience, or whose tree nobody waits for any more, is
   answered, with a slot of its own from the reservations,
8. a call that its endpoint failed may go to another (:mod:`governor.core.spread`),
9. departures teach the limit, the quota, the signals, the patience and the ledger,
10. what the upstream refuses is given a slot, or waited out and sent again
    (:mod:`governor.core.refused`).

A fault in a signal or a policy is counted under its name, and the request goes through
(:mod:`governor.core.faults`): the gate's own books are settled before anybody is told.

A policy that only observes is computed, counted and not heeded; in ``observe`` mode
that is so of all of them, and every arrival is admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from governor.core.adoption import Adoption
from governor.core.arrival import Arrival
from governor.core.endpoint import is_normal
from governor.core.faults import Part
from governor.core.lease import Decision, Lease, LeaseState, Untouched
from governor.core.outlook import Outlook, look_ahead
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict
from signals import ANSWERED, FAILED, GONE, LEFT

_ADMIT: Final = Action.ADMIT
_COMPLETED: Final = Outcome.COMPLETED
_PENDING: Final = LeaseState.PENDING
_OPEN: Final = LeaseState.OPEN
_CLOSED: Final = LeaseState.CLOSED


class Gate(Adoption):
    """Admission control of one upstream; made as :class:`~governor.core.parts.GateParts` says."""

    # -- events -----------------------------------------------------------

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        """Decide about a new request: ADMIT now, WAIT in the line, or ANSWER it."""
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        if self.rests:
            self._wake(now_ns)
        self._now_ns = now_ns
        ledger = self.ledger
        ledger.n_arrived += 1
        if arrival.is_exempt:
            return self._exempt(now_ns, arrival, owner)
        tenant, flow = arrival.tenant, arrival.flow
        self._n_calls_by_flow[flow] += 1
        restraints = self._restraints
        if restraints:
            decision = self.faults.ask(
                Part.ENVELOPE, None, self.restrained.turn_away, now_ns, arrival, owner
            )
            if decision is not None:
                return decision
        is_crowd = False
        try:
            is_crowd = self._herd.note(now_ns, flow)
        except Exception:
            ledger.faults.note(Part.HOLD)
        lease = self._meet(now_ns, arrival, owner)
        if restraints:
            decision = self.faults.ask(Part.ENVELOPE, None, self.restrained.park, now_ns, lease)
            if decision is not None:
                return decision
        endpoint = self._only
        if endpoint is None:
            return self._spread(now_ns, lease, is_crowd)
        limit, shaping = endpoint.limit, self.shaping
        in_flight = endpoint.in_flight + 1
        n_places = limit.limit
        if is_crowd:  # beside places enough a crowd is like anybody
            n_places -= shaping.kept_from_crowd
        if in_flight <= n_places and shaping.is_calm and not self.line.n_live:
            # as Endpoint.open and Shaping.opened do: nearly every request takes this way
            endpoint.in_flight = lease.in_flight_at_dispatch = in_flight
            lease.state = _OPEN
            lease.endpoint_idx = endpoint.idx
            lease.dispatched_at_ns = now_ns
            self._n_held_by_tenant[tenant] += 1
            try:
                lease.phase = limit.on_dispatch(now_ns, in_flight, in_flight >= limit.limit)
            except Exception:
                ledger.faults.note(Part.LIMIT)
            try:
                kind = self._kinds.get(arrival.kind) or self._meet_kind(arrival.kind)
                kind.n_open += 1
                kind.sent_sum_ns += now_ns
            except Exception:
                ledger.faults.note(Part.CONTAIN)
            ledger.n_untouched += 1
            admitted: Decision = Untouched()
            admitted.lease = lease
            return admitted
        return self._consider(now_ns, lease, endpoint, is_crowd)

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """Take note of the first byte of a response that is not complete yet."""
        now_ns = self._clamp(now_ns)
        if lease.state is not _OPEN or lease.answered_at_ns:
            return
        lease.answered_at_ns = now_ns
        if is_normal(status):
            self._begin(now_ns, lease, status)
            if not lease.arrival.is_exempt:
                self._learn_answer(now_ns, lease, self.endpoints[lease.endpoint_idx])
                try:
                    self._kinds[lease.arrival.kind].n_begun += 1
                except Exception:
                    self.faults.note(Part.CONTAIN)
        elif self.recording is not None:
            self.recording.note_begin(now_ns, lease, status)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """The caller is gone. A pending lease closes; an open one goes on as abandoned."""
        if self.recording is not None:
            self.recording.note_leave(now_ns, lease, is_lost=False)
        now_ns = self._clamp(now_ns)
        if lease.state is _CLOSED or lease.has_left:
            return ()
        lease.has_left = True
        self._signal(LEFT, now_ns, lease)
        if not lease.answered_at_ns:
            self.faults.tell(Part.PATIENCE, self.patience.on_leave, now_ns - lease.arrived_at_ns)
            if lease.arrival.source:
                self._note_left(now_ns, lease)
        if lease.state is _PENDING:
            self.ledger.n_left_waiting += 1
            self.settle(now_ns, lease, GONE)
        return ()

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """Take note of what the upstream says is left of a tenant's quota.

        Parameters
        ----------
        kind : int
            What it counts, see :mod:`signals.quota`.
        limit, remaining : int
        reset_ns : int
            From now until it is whole again; 0 if not told.
        """
        if self.recording is not None:
            self.recording.note_quota(now_ns, tenant, kind, limit, remaining, reset_ns)
        now_ns = self._clamp(now_ns)
        if self.rests:
            self._wake(now_ns)
        told = (now_ns, tenant, kind, limit, remaining, reset_ns)
        self.faults.tell(Part.SIGNALS, self.signals.note_quota, *told)

    def depart(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int = 0, retry_after_ns: int = 0
    ) -> Sequence[Decision]:
        """Close an open lease; return what to do with those who waited for its place.

        A second time is a RuntimeError: the rim's own fault, never a user's.

        Parameters
        ----------
        retry_after_ns : int
            For how long the upstream asked the caller to stay away; 0 if it did not.
        """
        if now_ns < self._now_ns:
            now_ns = self._now_ns
        self._now_ns = now_ns
        if lease.state is not _OPEN:
            raise RuntimeError(f"a lease closes once: this one is {lease.state.name}")
        lease.state = _CLOSED
        arrival = lease.arrival
        if arrival.is_exempt:
            return self._part_exempt(now_ns, lease, outcome, status)
        endpoint = self._only or self.endpoints[lease.endpoint_idx]
        held_ns = now_ns - lease.dispatched_at_ns
        has_sample = lease.answered_at_ns != 0
        if not has_sample and (status == 200 or is_normal(status)):
            has_sample = True
            lease.answered_at_ns = now_ns
            try:
                endpoint.limit.on_answer(  # as _learn_answer does
                    now_ns,
                    lease.phase,
                    lease.dispatched_at_ns,
                    lease.in_flight_at_dispatch,
                    endpoint.in_flight,
                )
            except Exception:
                self.faults.note(Part.LIMIT)
            if self.patience.is_learned and not lease.has_left:
                self._outlived(now_ns - lease.arrived_at_ns)
        endpoint.in_flight -= 1
        held_s = held_ns * 1e-9
        self._n_held_by_tenant[arrival.tenant] -= 1
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, held_s)
        try:
            endpoint.limit.on_depart(now_ns, held_ns, has_sample)
        except Exception:
            self.faults.note(Part.LIMIT)
        try:
            kind = self._kinds[arrival.kind]  # as Containment.close does
            kind.n_open -= 1
            kind.n_done += 1
            kind.sent_sum_ns -= lease.dispatched_at_ns
            kind.held_ns += held_ns
            if not has_sample and outcome is not _COMPLETED:
                kind.n_unanswered += 1
        except Exception:
            self.faults.note(Part.CONTAIN)
        ledger = self.ledger
        how = ANSWERED
        if outcome is _COMPLETED:  # as Ledger.close does, without the call
            ledger.n_by_outcome[0] += 1
            ledger.useful_s += held_s
        else:
            ledger.close(outcome, held_s, has_sample)
            how = FAILED
            if outcome is Outcome.REFUSED:
                self.learn_refusal(now_ns, lease)
        if lease.has_left:
            how = GONE
        if self._compares:
            self.faults.tell(Part.HOLDBACK, self._compare, arrival.flow, how == ANSWERED)
        recording = self.recording
        try:
            if now_ns >= self._boundary_ns:
                self._pass_time(now_ns)
            if recording is not None:
                recording.later(how, now_ns, lease.call, retry_after_ns, outcome, status)
            else:
                self._signal_later(self._signals_root, how, now_ns, lease.call, retry_after_ns)
        except Exception:
            self.faults.note(Part.SIGNALS)
            if recording is not None:
                recording.note_end(now_ns, lease, outcome, status, retry_after_ns)
        return self._succeed(now_ns, arrival.tenant) if self.line.n_live else ()

    def fill(self, now_ns: int) -> Sequence[Decision]:
        """Give places that came free outside of a departure to those who wait."""
        return self._dispatch(self._clamp(now_ns)) if self.line.n_live else ()

    def tick(self, now_ns: int) -> Sequence[Decision]:
        """Run what looks across a window (every 50 ms); return decisions about waiting leases."""
        recording = self.recording
        if recording is None:
            return self._tick(now_ns)
        recording.note_tick(now_ns)
        decisions = self._tick(now_ns)
        recording.note_all(now_ns, decisions)
        return decisions

    def reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """Move a call that its endpoint failed before the first byte of an answer.

        Whoever asks knows that nothing was sent, or that what was may be sent again.

        Returns
        -------
        decision : Decision or None
            ADMIT or WAIT: the lease is as good as new. DIVERT: it is closed here. None: there
            is nowhere to go; the lease is still open, and to be closed as failed.
        followers : sequence of Decision
            About those who waited for the place that it leaves.
        """
        recording = self.recording
        if recording is None:
            return self._reroute(now_ns, lease, verdict)
        recording.note_reroute(now_ns, lease, verdict)
        decision, followers = self._reroute(now_ns, lease, verdict)
        if decision is not None:
            recording.note_all(now_ns, (decision,))
        recording.note_all(now_ns, followers)
        return decision, followers

    # -- parts ---------------------------------------------------------------

    def _tick(self, now_ns: int) -> Sequence[Decision]:
        """Do what is due at a tick, or at those that were left out."""
        now_ns = self._clamp(now_ns)
        faults = self.faults
        faults.tell(Part.SIGNALS, self.signals.tick, now_ns)
        self.identities.advance(now_ns)
        self._learn_capacity(now_ns)
        self.outlook = faults.ask(
            Part.SIGNALS, Outlook(), look_ahead, self.signals, self.others.storm
        )
        others = self.others
        weighed = (self.outlook.held_hz, others.offset, others.n_governors)
        faults.tell(Part.SHAPING, self.shaping.tick, now_ns, self.limit, *weighed)
        faults.tell(Part.SLOTS, self.reservations.expire, now_ns)
        released = self.refused.release(now_ns)
        released += self.restrained.release(now_ns)
        self.ticked_ns = now_ns
        self._weigh_rest(now_ns)
        if not self.line.n_live:
            return released or ()
        decisions = [self.send_away(now_ns, x, Reason.DOOMED) for x in self._doomed(now_ns)]
        decisions += released
        decisions += self._dispatch(now_ns)
        while lease := self.dispatcher.next_expired(now_ns):
            decisions.append(self.send_away(now_ns, lease, Reason.PATIENCE_SPENT))
        while lease := self._next_surplus(now_ns):
            decisions.append(self.send_away(now_ns, lease, Reason.LINE_TOO_LONG))
        return decisions

    def _learn_capacity(self, now_ns: int) -> None:
        """Let the limits and the quota tick; take from them what the line can be served at."""
        ask, tell = self.faults.ask, self.faults.tell
        capacity_hz = 0.0
        response_ns = 0
        for endpoint in self.endpoints:
            limit = endpoint.limit
            tell(Part.LIMIT, limit.tick, now_ns, endpoint.in_flight)
            capacity_hz += ask(Part.LIMIT, 0.0, limit.capacity_hz, now_ns)
            response_ns = max(response_ns, ask(Part.LIMIT, 0, limit.response_ns))
        is_partial = self.shaping.is_partial(now_ns)
        if self.shaping.pace(now_ns, self.line.n_live > 0) or is_partial:
            for endpoint in self.endpoints:
                limit = endpoint.limit
                tell(Part.LIMIT, limit.disbelieve if is_partial else limit.lift, now_ns)
        self.dispatcher.capacity_hz = self.shaping.bound_hz(capacity_hz)
        self.dispatcher.response_ns = response_ns

    def _next_surplus(self, now_ns: int) -> Lease | None:
        """Return a call to send away because the line is too long, if there is one."""
        faults, shed = self.faults, self.shed
        trees = faults.ask(Part.SHED, (), shed.trees, now_ns)
        lease = faults.ask(Part.LINE, None, self.dispatcher.next_surplus, trees)
        if lease is not None and self._n_open_by_tree[lease.arrival.tree] > 1:
            faults.tell(Part.SHED, shed.note, now_ns, lease.arrival.tree)  # of something larger
        return lease

    def _succeed(self, now_ns: int, tenant: int) -> Sequence[Decision]:
        """Give a tenant's place that came free to those who wait."""
        self.faults.tell(Part.LINE, self.line.released, tenant)
        decisions = self._dispatch(now_ns)
        if self.recording is not None:
            self.recording.note_all(now_ns, decisions)
        return decisions

    def _exempt(self, now_ns: int, arrival: Arrival, owner: Any) -> Decision:
        """Admit what is never held, beside the limit and unseen by the signals."""
        lease = self._meet_exempt(now_ns, arrival, owner)
        (self._only or self._pick(now_ns, lease)).open_exempt(now_ns, lease)
        decision = Decision(_ADMIT, Reason.EXEMPT, lease)
        if self.recording is not None:
            self.recording.note_said(decision)
        return decision

    def _part_exempt(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int
    ) -> Sequence[Decision]:
        """Close a lease that took no place and teaches nothing."""
        recording = self.recording
        if recording is not None:
            recording.note_end(now_ns, lease, outcome, status, 0)
        if self.rests:
            self._wake(now_ns)
        arrival = lease.arrival
        self.endpoints[lease.endpoint_idx].n_exempt -= 1
        held_s = (now_ns - lease.dispatched_at_ns) * 1e-9
        self.ledger.close(outcome, held_s, lease.answered_at_ns != 0 or is_normal(status))
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, held_s)
        decisions = self._dispatch(now_ns) if self.line.n_live else ()
        if recording is not None:
            recording.note_all(now_ns, decisions)
        return decisions

    def _spread(self, now_ns: int, lease: Lease, is_crowd: bool) -> Decision:
        return self._consider(now_ns, lease, self._pick(now_ns, lease), is_crowd)
