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

*Cost*: that of the gate, and about an eighth of it again (``python -m bench record``): an arrival
is made straight of the recording's columns (:mod:`governor.record.rows`), and one that was and is
let through untouched is compared in place, and no tuple is made of it.
*Considered and rejected*: leaving out ticks at which nothing happened (the limit and the shares
of attained service move at each); a process for each upstream (they share the tables that decide
who is served next, so it would not be exact).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities, IdentityTable
from governor.core.lease import Decision, Lease, LeaseState, Untouched, make_lease
from governor.core.restraint import impose, lift
from governor.record.events import BOOKED, KINDS_WITH_TAIL, REASON_CODE, Kind
from governor.record.rows import (
    KIND_MASK,
    SAID_MASK,
    Chunk,
    Head,
    action_of,
    endpoint_of,
    in_chunks,
    reason_of,
    status_of,
    upstream_of,
)
from governor.record.store import Recording, RecordingError
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict

MAX_SHOWN: Final = 20
"""Differences that are kept whole; all are counted."""

_OUTCOMES: Final = tuple(Outcome)
_ARRIVE: Final = int(Kind.ARRIVE)
_TICK: Final = int(Kind.TICK)
_ANSWERED: Final = int(Kind.ANSWERED)
_DEPART: Final = int(Kind.DEPART)
_DECIDE: Final = int(Kind.DECIDE)
_OPEN: Final = LeaseState.OPEN
_UNTOUCHED: Final = (int(Action.ADMIT), REASON_CODE[Reason.UNTOUCHED])
assert _UNTOUCHED == (0, 0)

NOBODY: Final = Arrival()
"""In place of an arrival, of the kinds that have none."""

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
    return Player(gates, identities).play(recording.events, recording.n_bytes_skipped > 0)


class Player:
    """Plays events through gates and compares."""

    def __init__(self, gates: Sequence[Gate], identities: Identities) -> None:
        self._gates = list(gates)
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
        self._n_different = self._n_decisions = self._n_faults = 0
        self._n_untouched = 0
        self._t_ns = self._upstream = 0
        self._others: dict[int, Callable[[Gate, Head, Arrival], None]] = {
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
            Kind.LATE: self._late,
        }

    def play(self, events: Any, is_cut: bool = False) -> Replayed:
        """Play all; return what came of it.

        Where the file was cut off, what the last event led to may be missing: it is no difference.
        """
        for chunk in in_chunks(events):
            self._play(chunk)
        if is_cut:
            del self._got[len(self._expected) :]
        self._compare()
        by = self._by
        if self._n_untouched:
            by[_UNTOUCHED] += self._n_untouched
        return Replayed(
            len(events),
            int(np.count_nonzero(events["kind"] == _ARRIVE)),
            self._n_decisions + self._n_untouched,
            self._n_different,
            self._n_faults,
            tuple(self._differences),
            by,
        )

    def _play(self, chunk: Chunk) -> None:
        gates, leases, others = self._gates, self._leases, self._others
        expected, got = self._expected, self._got
        instants, numbers, whats = chunk.t_ns, chunk.number, chunk.what
        for idx in range(chunk.n):
            what = whats[idx]
            kind = what & KIND_MASK
            if kind == _DECIDE:
                expected.append(said_at(chunk, idx))
                continue
            if expected or got:
                self._compare()
            t_ns, number, upstream = instants[idx], numbers[idx], upstream_of(what)
            self._t_ns, self._upstream = t_ns, upstream
            try:
                gate = gates[upstream]
                if kind == _ARRIVE:
                    arrival = chunk.next_arrival()
                    if status_of(what) == BOOKED:
                        self._booked(gate, chunk.head(idx), arrival)
                        continue
                    decision = gate.arrive(t_ns, arrival)
                    leases[number] = lease = decision.lease
                    lease.number = number
                    if what & SAID_MASK == kind and type(decision) is Untouched:
                        if endpoint_of(what) == lease.endpoint_idx and not chunk.delay_ns[idx]:
                            self._n_untouched += 1  # as recorded: nothing to compare
                            continue
                    expected.append(said_at(chunk, idx))
                    self._heard((decision,))
                elif kind == _DEPART:
                    lease = leases[number]
                    del leases[number]
                    if lease.state is not _OPEN:
                        self._n_faults += 1
                        continue
                    outcome, status = _OUTCOMES[action_of(what)], status_of(what)
                    decisions = gate.depart(t_ns, lease, outcome, status, chunk.delay_ns[idx])
                    if decisions:
                        self._heard(decisions)
                elif kind == _ANSWERED:
                    gate.answered(t_ns, leases[number], status_of(what))
                elif kind == _TICK:
                    self._heard(gate.tick(t_ns))
                else:
                    arrival = chunk.next_arrival() if kind in KINDS_WITH_TAIL else NOBODY
                    others[kind](gate, chunk.head(idx), arrival)
            except (KeyError, IndexError, ValueError, RuntimeError):
                self._n_faults += 1

    # -- what was told ------------------------------------------------------------

    def _booked(self, gate: Gate, event: Head, arrival: Arrival) -> None:
        """Play what was not asked for: nothing was decided, so there is nothing to compare."""
        lease = gate.adopt(event[0], arrival, None, event[9])
        lease.number = event[1]
        self._leases[event[1]] = lease
        self._by[0, event[7]] += 1
        self._n_decisions += 1

    def _late(self, gate: Gate, event: Head, _: Arrival) -> None:
        gate.sent_late(self._leases[event[1]], event[3])

    def _leave(self, gate: Gate, event: Head, _: Arrival) -> None:
        lease = self._leases[event[1]]
        is_pending = lease.state is LeaseState.PENDING
        if event[6]:
            gate.lose(event[0], lease)
            self._leases.pop(event[1], None)
            return
        self._heard(gate.leave(event[0], lease))
        if is_pending:
            self._leases.pop(event[1], None)

    def _quota(self, gate: Gate, event: Head, arrival: Arrival) -> None:
        tenant, limit, remaining = arrival.tenant, arrival.fingerprint, arrival.affinity
        gate.observe_quota(event[0], tenant, event[9], limit, remaining, event[3])

    def _reroute(self, gate: Gate, event: Head, _: Arrival) -> None:
        lease = self._leases[event[1]]
        decision, followers = gate.reroute(event[0], lease, Verdict(event[9]))
        if decision is not None:
            self._heard([decision])
        self._heard(followers)

    def _refusal(self, gate: Gate, event: Head, _: Arrival) -> None:
        gate.refused.note(event[0])

    def _slot(self, gate: Gate, event: Head, _: Arrival) -> None:
        decision = gate.refused.answer(event[0], self._leases[event[1]], event[8], event[3])
        if decision is not None:
            self._heard([decision])

    def _absorb(self, gate: Gate, event: Head, arrival: Arrival) -> None:
        lease = self._leases[event[1]]
        taken = gate.refused.absorb(event[0], lease, event[3], arrival.patience_ns)
        if taken is not None:
            lease = taken[0].lease
            lease.number = event[2]
            self._leases.pop(event[1], None)
            self._leases[event[2]] = lease
            self._heard([taken[0], *taken[1]])

    def _handover(self, gate: Gate, event: Head, _: Arrival) -> None:
        table = self._tables[event[9]]
        table.service[event[1]] = 0.0
        if table.on_handover is not None:
            table.on_handover(event[1])

    def _member(self, gate: Gate, event: Head, arrival: Arrival) -> None:
        lease = make_lease(arrival, event[0], 0)
        lease.number = event[1]
        self._leases[event[1]] = lease

    def _switch(self, gate: Gate, event: Head, _: Arrival) -> None:
        gate.switch(event[1], event[6] == 1)

    def _restrain(self, gate: Gate, event: Head, _: Arrival) -> None:
        impose(self._identities, event[1], event[2])

    def _release(self, gate: Gate, event: Head, _: Arrival) -> None:
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


def said_at(chunk: Chunk, idx: int) -> Said:
    """Return the decision of a record as numbers."""
    what = chunk.what[idx]
    return (
        chunk.number[idx],
        action_of(what),
        reason_of(what),
        chunk.delay_ns[idx],
        status_of(what),
        endpoint_of(what),
    )


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
