"""What is booked after the fact is booked as if the gate had admitted it."""

from __future__ import annotations

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import LeaseState
from governor.core.spread import SpreadGate
from policies.decision import Action, Outcome
from policies.limit import AdaptiveLimit, FixedLimit
from signals import Shared, SignalBank
from tests.support.fields import fields_of

MS = 1_000_000
S = 1_000 * MS


def make(limit: int = 4) -> Gate:
    """Return a gate of one endpoint."""
    identities = Identities(8, 8, 8)
    bank = SignalBank(8, Shared(64, 8, 8), n_tenants=8)
    return Gate("up", [FixedLimit(limit)], bank, identities)


def books(gate: Gate) -> list[object]:
    """Return everything that is counted and read."""
    ledger = gate.ledger
    names = [name for name in fields_of(type(ledger)) if name != "faults"]
    counts = [*(getattr(ledger, name) for name in names), ledger.faults.by_part]
    tables = (gate.identities.tenants, gate.identities.flows, gate.identities.trees)
    opens = [table.n_open for table in tables]
    readings = [str(x) for x in gate.signals.read()]
    return [gate.in_flight, *counts, *opens, gate.identities.flows.n_calls, *readings]


def test_booked_is_as_good_as_admitted() -> None:
    """The same arrivals, asked for at one gate and booked at the other, leave the same books."""
    asked, booked = make(), make()
    for gate in (asked, booked):
        tables = (gate.identities.tenants, gate.identities.flows, gate.identities.trees)
        for table in tables:
            table.index(7, 0)
        gate.tick(S)
    leases = []
    for k in range(4):
        came = Arrival(1, 1, 1, fingerprint=k, attempt=k % 2, is_exempt=k == 3)
        decision = asked.arrive(S + k * MS, came)
        lease = booked.adopt(S + k * MS, came)
        assert decision.action is Action.ADMIT
        assert lease.state is LeaseState.OPEN
        leases.append((decision.lease, lease))
    assert books(booked) == books(asked)
    for one, other in leases:
        asked.depart(2 * S, one, Outcome.COMPLETED, 200)
        booked.depart(2 * S, other, Outcome.COMPLETED, 200)
    asked.tick(3 * S)
    booked.tick(3 * S)
    assert books(booked) == books(asked)


def test_what_is_under_way_is_never_refused() -> None:
    """Beyond the limit, and while others wait."""
    gate = make(1)
    gate.adopt(S, Arrival())
    assert gate.arrive(S, Arrival()).action is Action.WAIT
    gate.adopt(S, Arrival())
    assert (gate.in_flight, gate.line_length) == (2, 1)


def test_nothing_is_lent_unless_everything_would_be_admitted() -> None:
    """Not when full, not beside a line, not while a flow is held, not where there is choice."""
    gate = make(3)
    assert gate.n_lendable == 3
    lease = gate.adopt(S, Arrival())
    assert gate.n_lendable == 2
    for _ in range(3):
        gate.arrive(S, Arrival())
    assert (gate.n_lendable, gate.line_length) == (0, 1)
    gate.depart(S, lease, Outcome.COMPLETED, 200)
    assert gate.n_lendable == 0
    other = make(3)
    other.identities.restraints[1] = None  # type: ignore[assignment]
    assert other.n_lendable == 0
    identities = Identities(8, 8, 8)
    bank = SignalBank(8, Shared(64, 8, 8), n_tenants=8)
    assert SpreadGate("up", [FixedLimit(3), FixedLimit(3)], bank, identities).n_lendable == 0


def test_who_is_lost_waiting_teaches_nothing() -> None:
    """Its caller has not run out of patience: its connection broke."""
    gate = make(1)
    gate.arrive(S, Arrival())
    waiting = gate.arrive(S, Arrival()).lease
    gate.lose(2 * S, waiting)
    assert (gate.line_length, gate.ledger.n_left_waiting) == (0, 0)
    assert waiting.state is LeaseState.CLOSED


def test_time_on_the_way_is_not_the_upstreams() -> None:
    """A call that went out late teaches what it would have taught had it got its place then."""
    limits = [AdaptiveLimit(rng_seed=1), AdaptiveLimit(rng_seed=1)]
    gates = []
    for limit in limits:
        bank = SignalBank(8, Shared(64, 8, 8), n_tenants=8)
        gates.append(Gate("up", [limit], bank, Identities(8, 8, 8)))
    late, punctual = gates
    for k in range(200):
        at_ns = S + k * 20 * MS
        lease = late.arrive(at_ns, Arrival()).lease
        late.sent_late(lease, 7 * MS)
        late.depart(at_ns + 17 * MS, lease, Outcome.COMPLETED, 200)
        lease = punctual.arrive(at_ns + 7 * MS, Arrival()).lease
        punctual.depart(at_ns + 17 * MS, lease, Outcome.COMPLETED, 200)
        for gate in gates:
            gate.tick(at_ns + 18 * MS)
    assert limits[0].response_ns() == limits[1].response_ns() == 10 * MS
    kinds = [gate.shaping.containment.kinds[0] for gate in gates]
    assert [kind.sent_sum_ns for kind in kinds] == [0, 0]
    assert limits[0].explain()["base_s"] == limits[1].explain()["base_s"]
