"""Held and quarantined flows at the gate: who waits, who is answered, who is not touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import LeaseState
from governor.core.registry import Registry
from governor.core.restraint import Restraint
from policies.decision import Action, Outcome, Reason
from signals import Shared
from tests.core.test_gate import MS, S, make_gate


class Broken(dict[int, Restraint]):
    """Restraints that cannot be read."""

    def get(self, *_: object) -> Any:
        """Fail."""
        raise ZeroDivisionError


def make(limit: int = 100, **options: Any) -> tuple[Gate, Registry]:
    """Return a gate, and the registry over its flows."""
    gate = make_gate(limit=limit, **options)
    return gate, Registry(gate.identities, Shared(64, 64, 64))


def test_a_quarantined_flow_is_answered_403_until_released() -> None:
    """At once, with no time to come back, and unseen by the signals; its neighbour is served."""
    gate, registry = make()
    assert registry.restrain(0, 3, 0, "envelope", "rate")
    found = gate.arrive(0, Arrival(flow=3))
    assert (found.action, found.reason) == (Action.ANSWER, Reason.QUARANTINED)
    assert (found.status, found.retry_after_ns) == (403, 0)
    assert found.lease.state is LeaseState.CLOSED
    assert gate.signals.noted == []  # type: ignore[attr-defined]
    assert gate.ledger.n_answered[Reason.QUARANTINED] == 1
    assert gate.arrive(0, Arrival(flow=4)).reason is Reason.UNTOUCHED
    assert gate.arrive(0, Arrival(flow=3, is_exempt=True)).reason is Reason.EXEMPT
    assert registry.release(S, 3, "token-1", "fixed")
    assert gate.arrive(S, Arrival(flow=3)).reason is Reason.UNTOUCHED
    assert [event.kind for event in registry.events] == ["quarantined", "released"]


def test_a_held_flow_has_no_more_in_flight_than_its_cap() -> None:
    """What is beyond waits, first come first served, while others go past it."""
    gate, registry = make()
    registry.restrain(0, 3, 2, "envelope", "in_flight")
    own = [gate.arrive(0, Arrival(flow=3)) for _ in range(5)]
    assert [x.action for x in own] == [Action.ADMIT] * 2 + [Action.WAIT] * 3
    assert own[2].reason is Reason.CAPPED
    assert gate.arrive(0, Arrival(flow=4)).action is Action.ADMIT
    assert gate.tick(50 * MS) == ()
    gate.depart(60 * MS, own[0].lease, Outcome.COMPLETED, 200)
    late = gate.arrive(70 * MS, Arrival(flow=3))
    assert late.action is Action.WAIT  # nobody overtakes who waits
    [granted] = gate.tick(100 * MS)
    assert granted.lease is own[2].lease
    assert granted.lease.state is LeaseState.OPEN


def test_a_released_flow_goes_on_at_the_next_tick() -> None:
    """Nothing that waited for a place of its own is lost."""
    gate, registry = make()
    registry.restrain(0, 3, 1, "token-1", "")
    waiting = [gate.arrive(0, Arrival(flow=3)) for _ in range(4)][1:]
    registry.release(10 * MS, 3, "token-1", "")
    granted = gate.tick(50 * MS)
    assert [x.lease for x in granted] == [x.lease for x in waiting]
    assert gate.restrained.n_parked == 0


def test_a_wait_for_a_place_of_its_own_has_an_end() -> None:
    """Patience bounds it as any other wait; who is quarantined meanwhile is told so."""
    gate, registry = make()
    registry.restrain(0, 3, 1, "token-1", "")
    gate.arrive(0, Arrival(flow=3))
    gate.arrive(0, Arrival(flow=3, patience_ns=S))
    [late] = gate.tick(S)
    assert (late.action, late.reason) == (Action.ANSWER, Reason.PATIENCE_SPENT)
    gate.arrive(S, Arrival(flow=3))
    registry.restrain(S, 3, 0, "token-1", "")
    [told] = gate.tick(S + 50 * MS)
    assert (told.status, told.reason) == (403, Reason.QUARANTINED)


@pytest.mark.parametrize("cap", [0, 1])
def test_observe_mode_counts_and_does_nothing(cap: int) -> None:
    """The same is decided; every request is served."""
    gate, registry = make(is_observing=True)
    registry.restrain(0, 3, cap, "envelope", "rate")
    found = [gate.arrive(0, Arrival(flow=3)) for _ in range(3)]
    assert {x.action for x in found} == {Action.ADMIT}
    reason = Reason.QUARANTINED if cap == 0 else Reason.CAPPED
    assert gate.ledger.n_observed[reason] == (3 if cap == 0 else 2)


@pytest.mark.interpreted
def test_a_fault_lets_the_request_through() -> None:
    """A restraint that cannot be read is counted, and the request is served."""
    gate, registry = make()
    registry.restrain(0, 3, 0, "token-1", "")
    gate.restrained.by_flow = Broken()
    assert gate.arrive(0, Arrival(flow=3)).action is Action.ADMIT
    assert gate.ledger.n_faults == 2  # asked whether to answer it, then whether to park it


def test_a_restrained_flow_keeps_its_number() -> None:
    """Nobody pushes it out of the table by inventing names."""
    gate, registry = make()
    registry.restrain(0, 3, 0, "envelope", "rate")
    flows = gate.identities.flows
    label = flows.label(3)
    for key in range(1_000, 5_000):
        flows.index(key, 600 * S)
    assert flows.label(3) == label
    registry.release(600 * S, 3, "token-1", "")
    assert flows.n_open[3] == 0


STEPS = st.lists(st.sampled_from("aaabdltqhr"), max_size=60)


@settings(max_examples=60)
@given(STEPS, st.integers(1, 3))
def test_every_request_has_one_outcome_whatever_is_done_to_its_flow(steps: str, cap: int) -> None:
    """Arrivals, departures, leavers, ticks, holds, quarantines, releases in any order."""
    gate, registry = make(limit=4)
    leases, n_closed, now_ns = [], 0, 0
    for step in steps:
        now_ns += 20 * MS
        if step in "ab":
            decision = gate.arrive(now_ns, Arrival(flow=3 if step == "a" else 4))
            leases.append(decision.lease)
        elif step in "dl":
            for lease in leases:
                if step == "d" and lease.state is LeaseState.OPEN:
                    gate.depart(now_ns, lease, Outcome.COMPLETED, 200)
                    break
                if step == "l" and lease.state is LeaseState.PENDING:
                    gate.leave(now_ns, lease)
                    break
        elif step == "t":
            gate.tick(now_ns)
        elif step == "r":
            registry.release(now_ns, 3, "token-1", "")
        else:
            registry.restrain(now_ns, 3, 0 if step == "q" else cap, "token-1", "")
    registry.release(now_ns, 3, "token-1", "")
    for _ in range(200):
        now_ns += 100 * MS
        gate.tick(now_ns)
        for lease in leases:
            if lease.state is LeaseState.OPEN:
                gate.depart(now_ns, lease, Outcome.COMPLETED, 200)
    n_closed = sum(lease.state is LeaseState.CLOSED for lease in leases)
    assert n_closed == len(leases)
    assert gate.ledger.n_faults == 0
    assert gate.in_flight == gate.restrained.n_parked == 0
    assert gate.identities.flows.n_open[3] == 0
