"""What a gate tells about one lease: to the signals, the limit, the roots of trees and the log.

*Rule of this file*: nothing is decided here; a fault in what is told is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from governor.core.endpoint import Endpoint
from governor.core.lease import Decision, Lease, LeaseState
from governor.core.parts import GateParts
from policies.decision import Reason
from policies.switches import GOVERN, OFF, Policy, state_of

if TYPE_CHECKING:
    from governor.core.gate import Gate

_CLOSED = LeaseState.CLOSED


class Telling(GateParts):
    """A gate's bookkeeping of single leases."""

    def _settle(self, now_ns: int, lease: Lease, how: int, retry_after_ns: int = 0) -> None:
        """Close a lease that never reached the upstream."""
        self._signal(how, now_ns, lease, retry_after_ns)
        lease.state = _CLOSED
        if lease.line_key >= 0:
            self.line.forget(lease)
        arrival = lease.arrival
        self.identities.closed(arrival.tenant, arrival.flow, arrival.tree, 0.0)
        if self._compares:
            self._compare(arrival.flow, False)

    def _learn_answer(self, now_ns: int, lease: Lease, endpoint: Endpoint) -> None:
        endpoint.limit.on_answer(
            now_ns,
            lease.phase,
            lease.dispatched_at_ns,
            lease.in_flight_at_dispatch,
            endpoint.in_flight,
        )
        if self.patience.is_learned and not lease.has_left:
            self.patience.on_answer(now_ns - lease.arrived_at_ns)

    def _signal(self, kind: int, now_ns: int, lease: Lease, value: int = 0) -> None:
        """Tell the signals what happened to a call."""
        signals = self.signals
        try:
            if now_ns >= signals.boundary_ns:
                signals.advance(now_ns)
            self._signal_later(self._signals_root, kind, now_ns, lease.call, value)
        except Exception:
            self.ledger.n_faults += 1

    def _note(self, now_ns: int, decision: Decision, waited_ns: int) -> None:
        if self.log is not None:
            self.log.append(now_ns, cast("Gate", self), decision, waited_ns)

    def _note_traced(self, now_ns: int, lease: Lease) -> None:
        """Take note of a call that names the trace it is part of."""
        try:
            is_first = self._n_open_by_tree[lease.arrival.tree] == 0
            self.roots.arrive(self.name, lease, is_first)
        except Exception:
            self.ledger.n_faults += 1

    def _note_left(self, now_ns: int, lease: Lease) -> None:
        """Take note that the caller of a traced call has left without an answer."""
        try:
            self.roots.leave(now_ns, lease)
        except Exception:
            self.ledger.n_faults += 1

    def _doomed(self, now_ns: int) -> Sequence[Lease]:
        """Return those who wait here for the sake of a root whose caller has left for good."""
        state = state_of(self.shaping.switches, Policy.CONTAIN)
        if state == OFF:
            return ()
        try:
            doomed = self.roots.doomed(now_ns)
            if not doomed:
                return ()
            leases = [x for x in self.line if self.roots.is_vain(self.name, x)]
        except Exception:
            self.ledger.n_faults += 1
            return ()
        if state == GOVERN:
            return leases
        for lease in leases:  # each is counted once: it came before it was first looked at
            if lease.arrived_at_ns > self._doom_looked_ns or not self._doom_looked_ns:
                self.ledger.n_observed[Reason.DOOMED] += 1
        self._doom_looked_ns = now_ns
        return ()
