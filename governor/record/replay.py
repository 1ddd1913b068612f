"""A recording played through new gates: the same events, the same instants, what is decided.

*Rule of this file*: no clock, no file. The gates are given; whoever made them from the
same configuration gets the same decisions, and every difference is told.

*Theory*: a gate reads no clock and draws no chance that it was not given, so its
decisions are a function of its configuration and its events. What is kept outside of it
and decides with it (attained service by place of the identity tables, a place that is handed
on, a switch thrown, a flow held or quarantined) is in the recording as well, in one order for
all gates: they share the roots of trees and who has how much open. Only a recording that
begins with its process (``Recording.is_whole``) can be exact: one of a ring that has gone round
begins with gates that have learned nothing; its agreement is a figure, not a promise.

*Cost*: that of the gate, and about as much again for Python's side of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities, IdentityTable
from governor.core.lease import Decision, Lease, LeaseState, make_lease
from governor.core.restraint import impose, lift
from governor.record.events import (
    EVENT_DTYPE,
    REASON_CODE,
    Kind,
)
from governor.record.store import Recording, RecordingError
from policies.decision import Action, Outcome
from policies.ejection import Verdict

MAX_SHOWN = 20
"""Differences that are kept whole; all are counted."""

_OUTCOMES = tuple(Outcome)
_ARRIVE, _TICK, _DEPART, _DECIDE = Kind.ARRIVE, Kind.TICK, Kind.DEPART, Kind.DECIDE

Said = tuple[int, int, int, int, int, int]
"""A decision as numbers: lease, action, reason, delay_ns, status, endpoint."""


class Difference(NamedTuple):
    """A decision that came out otherwise."""

    t_ns: int
    upstream: int
    recorded: Said | None
    replayed: Said | None


class Replayed(NamedTuple):
    """What came of it."""

    n_events: int
    n_arrivals: int
    n_decisions: int
    n_different: int
    n_faults: int
    """Events that these gates could not take, because they had decided otherwise before."""
    differences: tuple[Difference, ...]
    replayed: Counter[tuple[int, int]]
    """Decisions by (action, reason)."""


def make_room(identities: Identities, events: Any) -> None:
    """Give every place that a recording names to somebody, so that it can be used."""
    flow = max(int(events[name].max(initial=0)) for name in ("flow", "parent_flow"))
    acts = np.isin(events["kind"], (Kind.RESTRAIN, Kind.RELEASE))
    flow = max(flow, int(events["number"][acts].max(initial=0)))
    tenant, tree = (int(events[name].max(initial=0)) for name in ("tenant", "tree"))
    make_places(identities, tenant, flow, tree)


def make_places(identities: Identities, tenant: int, flow: int, tree: int) -> None:
    """Give the places up to these to somebody."""
    tables = (identities.tenants, identities.flows, identities.trees)
    for table, n_places in zip(tables, (tenant, flow, tree), strict=True):
        if n_places >= table.capacity:
            raise RecordingError(f"there are {n_places} {table.prefix}s, more than a table holds")
        for key in range(1, n_places + 1):
            table.index(key, 0)


def replay(recording: Recording, gates: Sequence[Gate], identities: Identities) -> Replayed:
    """Return how the decisions of ``gates``, in the recording's order, compare with it.

    Parameters
    ----------
    gates : sequence of Gate
        New ones, in the order of the recording's upstreams.
    identities : Identities
        Theirs, empty.
    """
    if len(gates) < len(recording.upstreams):
        raise RecordingError(
            f"the recording has {len(recording.upstreams)} upstreams, the configuration "
            f"{len(gates)}: give one that has them all, in the same order"
        )
    make_room(identities, recording.events)
    return Player(gates, identities).play(recording.events)


class Player:
    """Plays events through gates and compares."""

    def __init__(self, gates: Sequence[Gate], identities: Identities) -> None:
        self._gates = gates
        self._identities = identities
        self._tables: tuple[IdentityTable, ...] = (
            identities.tenants,
            identities.flows,
            identities.trees,
        )
        self._leases: dict[int, Lease] = {}
        self._expected: list[Said] = []
        self._got: list[Said] = []
        self._by: Counter[tuple[int, int]] = Counter()
        self._differences: list[Difference] = []
        self._n_different = self._n_decisions = self._n_faults = self._n_arrivals = 0
        self._t_ns = self._upstream = 0
        self._others = {
            Kind.ANSWERED: self._answered,
            Kind.LEAVE: self._leave,
            Kind.QUOTA: self._quota,
            Kind.REROUTE: self._reroute,
            Kind.REFUSAL: self._refusal,
            Kind.SLOT: self._slot,
            Kind.ABSORB: self._absorb,
            Kind.HANDOVER: self._handover,
            Kind.MEMBER: self._member,
            Kind.SWITCH: self._switch,
            Kind.RESTRAIN: self._restrain,
            Kind.RELEASE: self._release,
        }

    def play(self, events: Any) -> Replayed:
        """Play all; return what came of it."""
        for start in range(0, len(events), 1 << 16):  # as plain tuples, and not all at once
            for event in events[start : start + (1 << 16)].tolist():
                kind = event[4]
                if kind == _DECIDE:
                    self._expected.append(
                        (event[1], event[6], event[7], event[3], event[8], event[9])
                    )
                    continue
                if self._expected or self._got:
                    self._compare()
                self._t_ns, self._upstream = event[0], event[5]
                self._take(kind, event)
        self._compare()
        return Replayed(
            len(events),
            self._n_arrivals,
            self._n_decisions,
            self._n_different,
            self._n_faults,
            tuple(self._differences),
            self._by,
        )

    def _take(self, kind: int, event: tuple[Any, ...]) -> None:
        try:
            gate = self._gates[event[5]]
            if kind == _ARRIVE:
                self._arrive(gate, event)
            elif kind == _DEPART:
                lease = self._leases.pop(event[1])
                if lease.state is LeaseState.OPEN:
                    outcome = _OUTCOMES[event[6]]
                    self._heard(gate.depart(event[0], lease, outcome, event[8], event[3]))
                else:
                    self._n_faults += 1
            elif kind == _TICK:
                self._heard(gate.tick(event[0]))
            else:
                self._others[Kind(kind)](gate, event)
        except (KeyError, IndexError, ValueError, RuntimeError):
            self._n_faults += 1

    # -- what was told ------------------------------------------------------------

    def _arrive(self, gate: Gate, event: tuple[Any, ...]) -> None:
        self._n_arrivals += 1
        number = event[1]
        decision = gate.arrive(event[0], arrival_of(event))
        lease = decision.lease
        lease.number = number
        self._leases[number] = lease
        if decision.action == Action.ANSWER or decision.action == Action.DIVERT:
            del self._leases[number]
        self._expected.append((number, event[6], event[7], event[3], event[8], event[9]))
        self._got.append(said(decision))

    def _answered(self, gate: Gate, event: tuple[Any, ...]) -> None:
        gate.answered(event[0], self._leases[event[1]], event[8])

    def _leave(self, gate: Gate, event: tuple[Any, ...]) -> None:
        lease = self._leases[event[1]]
        is_pending = lease.state is LeaseState.PENDING
        self._heard(gate.leave(event[0], lease))
        if is_pending:
            self._leases.pop(event[1], None)

    def _quota(self, gate: Gate, event: tuple[Any, ...]) -> None:
        gate.observe_quota(event[0], event[10], event[9], event[14], event[15], event[3])

    def _reroute(self, gate: Gate, event: tuple[Any, ...]) -> None:
        lease = self._leases[event[1]]
        decision, followers = gate.reroute(event[0], lease, Verdict(event[9]))
        if decision is not None:
            self._heard([decision])
        self._heard(followers)

    def _refusal(self, gate: Gate, event: tuple[Any, ...]) -> None:
        gate.refused.note(event[0])

    def _slot(self, gate: Gate, event: tuple[Any, ...]) -> None:
        decision = gate.refused.answer(event[0], self._leases[event[1]], event[8], event[3])
        if decision is not None:
            self._heard([decision])

    def _absorb(self, gate: Gate, event: tuple[Any, ...]) -> None:
        taken = gate.refused.absorb(event[0], self._leases[event[1]], event[3], event[16])
        if taken is not None:
            lease = taken[0].lease
            lease.number = event[2]
            self._leases.pop(event[1], None)
            self._leases[event[2]] = lease
            self._heard([taken[0], *taken[1]])

    def _handover(self, gate: Gate, event: tuple[Any, ...]) -> None:
        table = self._tables[event[9]]
        table.service[event[1]] = 0.0
        if table.on_handover is not None:
            table.on_handover(event[1])

    def _member(self, gate: Gate, event: tuple[Any, ...]) -> None:
        lease = make_lease(arrival_of(event), event[0], 0)
        lease.number = event[1]
        self._leases[event[1]] = lease

    def _switch(self, gate: Gate, event: tuple[Any, ...]) -> None:
        gate.switch(event[1], event[6] == 1)

    def _restrain(self, gate: Gate, event: tuple[Any, ...]) -> None:
        impose(self._identities, event[1], event[2])

    def _release(self, gate: Gate, event: tuple[Any, ...]) -> None:
        lift(self._identities, event[1])

    # -- what was decided -----------------------------------------------------------

    def _heard(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self._got.append(said(decision))
            if decision.action == Action.ANSWER or decision.action == Action.DIVERT:
                self._leases.pop(decision.lease.number, None)

    def _compare(self) -> None:
        """Compare what was decided at the last event with what is recorded of it."""
        expected, got = self._expected, self._got
        self._n_decisions += len(got)
        for one in got:
            self._by[one[1], one[2]] += 1
        if expected != got:
            for idx in range(max(len(expected), len(got))):
                recorded = expected[idx] if idx < len(expected) else None
                replayed = got[idx] if idx < len(got) else None
                if recorded != replayed:
                    self._n_different += 1
                    if len(self._differences) < MAX_SHOWN:
                        self._differences.append(
                            Difference(self._t_ns, self._upstream, recorded, replayed)
                        )
        expected.clear()
        got.clear()


def said(decision: Decision) -> Said:
    """Return a decision as numbers."""
    lease = decision.lease
    return (
        lease.number,
        int(decision.action),
        REASON_CODE[decision.reason],
        decision.retry_after_ns,
        decision.status,
        lease.endpoint_idx,
    )


_NAMES = tuple(EVENT_DTYPE.names or ())
assert _NAMES[4:10] == ("kind", "upstream", "action", "reason", "status", "endpoint")


def arrival_of(event: tuple[Any, ...]) -> Arrival:
    """Return the arrival of an ARRIVE or MEMBER record, in the order of its fields."""
    tenant, flow, tree, parent, fingerprint, affinity, patience_ns = event[10:17]
    attempt, is_identified, is_exempt, can_retry, is_deadline = event[17:22]
    family, urgency, kind, _, source, max_wait_ns, switches = event[22:29]
    return Arrival(
        tenant,
        flow,
        tree,
        fingerprint,
        attempt,
        urgency,
        patience_ns,
        is_identified,
        is_exempt,
        can_retry,
        family,
        parent,
        is_deadline,
        kind,
        affinity,
        switches,
        max_wait_ns,
        source,
    )
