"""What a gate tells about one lease: to the signals, the limit, the roots of trees and the log.

*Rule of this file*: nothing is decided here; a fault in what is told is counted
(:mod:`governor.core.faults`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from governor.core.arrival import Arrival
from governor.core.endpoint import Endpoint
from governor.core.faults import Part
from governor.core.lease import Lease, LeaseState, make_lease
from governor.core.parts import GateParts
from policies.decision import Reason
from policies.switches import GOVERN, OFF, Policy, state_of
from signals import ATTEMPT_MASK, FIRST_BYTE, PARENT

_CLOSED: Final = LeaseState.CLOSED


class Telling(GateParts):
    """A gate's bookkeeping of single leases."""

    def _meet(self, now_ns: int, arrival: Arrival, owner: Any) -> Lease:
        """Tell the signals of an arrival and enter it everywhere; return its pending lease."""
        tenant, flow, tree = arrival.tenant, arrival.flow, arrival.tree
        recording = self.recording
        try:
            if now_ns >= self._boundary_ns:
                self._pass_time(now_ns)
            if recording is not None:
                call = recording.arrive(now_ns, arrival, owner)
            else:
                call = self._signal_arrival(
                    self._signals_root,
                    now_ns,
                    tenant,
                    flow,
                    tree,
                    arrival.fingerprint,
                    arrival.attempt,
                    arrival.family,
                    arrival.is_identified,
                    arrival.patience_ns,
                )
        except Exception:
            self.faults.note(Part.SIGNALS)
            call = max(arrival.attempt, 0)
            if recording is not None:
                call = recording.note_arrival(now_ns, arrival, owner, call)
        lease = make_lease(arrival, now_ns, call, owner)
        if arrival.source:  # it names the trace that it is part of
            try:
                self.roots.arrive(self.name, lease, self._n_open_by_tree[tree] == 0)
            except Exception:
                self.faults.note(Part.ROOTS)
        if arrival.parent_flow:
            self._signal(PARENT, now_ns, lease, arrival.parent_flow)
        if call & ATTEMPT_MASK:
            self.ledger.n_attempts_repeated += 1
            self._n_retries_by_flow[flow] += 1
        if self.reservations.n_outstanding:
            self.refused.redeem(now_ns, lease)
        self._n_open_by_tenant[tenant] += 1  # as Identities.opened does
        self._n_open_by_flow[flow] += 1
        self._n_open_by_tree[tree] += 1
        return lease

    def _meet_exempt(self, now_ns: int, arrival: Arrival, owner: Any) -> Lease:
        """Enter an arrival that the signals do not see; return its pending lease."""
        lease = make_lease(arrival, now_ns, max(arrival.attempt, 0), owner)
        if lease.attempt:
            self.ledger.n_attempts_repeated += 1
        if self.reservations.n_outstanding:
            self.refused.redeem(now_ns, lease)
        self.identities.opened(arrival.tenant, arrival.flow, arrival.tree)
        if self.recording is not None:
            lease.call = self.recording.note_arrival(now_ns, arrival, owner, lease.call)
        return lease

    def settle(self, now_ns: int, lease: Lease, how: int, retry_after_ns: int = 0) -> None:
        """Close a lease that never reached the upstream."""
        lease.state = _CLOSED
        arrival = lease.arrival
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, 0.0)
        if lease.line_key >= 0:
            self.faults.tell(Part.LINE, self.line.forget, lease)
        self._signal(how, now_ns, lease, retry_after_ns)
        if self._compares:
            self.faults.tell(Part.HOLDBACK, self._compare, arrival.flow, False)

    def _learn_answer(self, now_ns: int, lease: Lease, endpoint: Endpoint) -> None:
        """Teach the limit and the patience what a first byte tells."""
        try:
            endpoint.limit.on_answer(
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

    def _outlived(self, sojourn_ns: int) -> None:
        """Take note of a caller that was still there when its answer came."""
        self.faults.tell(Part.PATIENCE, self.patience.on_answer, sojourn_ns)

    def learn_refusal(self, now_ns: int, lease: Lease) -> None:
        """Tell the limit and the quota of a call that the upstream has turned away."""
        limit, found = self.endpoints[lease.endpoint_idx].limit, lease.in_flight_at_dispatch
        is_beyond = self.faults.ask(Part.LIMIT, False, limit.is_beyond, found)
        self.faults.tell(Part.LIMIT, limit.on_refused, now_ns, found)
        self.shaping.refused(now_ns, lease, self.n_accepted, is_for_places=is_beyond)

    def _signal(self, kind: int, now_ns: int, lease: Lease, value: int = 0) -> None:
        """Tell the signals what happened to a call."""
        try:
            if now_ns >= self._boundary_ns:
                self._pass_time(now_ns)
            self._signal_later(self._signals_root, kind, now_ns, lease.call, value)
        except Exception:
            self.faults.note(Part.SIGNALS)

    def _begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Tell the signals of a first byte, which they write down if somebody listens."""
        recording = self.recording
        if recording is None:
            self._signal(FIRST_BYTE, now_ns, lease)
            return
        try:
            if now_ns >= self._boundary_ns:
                self._pass_time(now_ns)
            recording.later(FIRST_BYTE, now_ns, lease.call, 0, 0, status)
        except Exception:
            self.faults.note(Part.SIGNALS)
            recording.note_begin(now_ns, lease, status)

    def _pass_time(self, now_ns: int) -> None:
        """Let the signals close the buckets that have ended; remember when the next one does."""
        signals = self.signals
        signals.advance(now_ns)
        self._boundary_ns = signals.boundary_ns

    def _note_left(self, now_ns: int, lease: Lease) -> None:
        """Take note that the caller of a traced call has left without an answer."""
        self.faults.tell(Part.ROOTS, self.roots.leave, now_ns, lease)

    def _doomed(self, now_ns: int) -> Sequence[Lease]:
        """Return those who wait here for the sake of a root whose caller has left for good."""
        state = state_of(self.shaping.switches, Policy.CONTAIN)
        if state == OFF:
            return ()
        try:
            is_any = len(self.roots.doomed(now_ns)) > 0
            leases = [x for x in self.line if self.roots.is_vain(self.name, x)] if is_any else []
        except Exception:
            self.faults.note(Part.ROOTS)
            return ()
        if state == GOVERN:
            return leases
        new = [lease for lease in leases if lease not in self._known_vain]  # each counts once
        if new:
            self.ledger.n_observed[Reason.DOOMED] += len(new)
        self._known_vain = frozenset(leases)
        return ()
