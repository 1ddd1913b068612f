"""Every policy thrown while it runs, on a made-up time axis: what comes afterwards is met so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.shaping import Modes, Shaping
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict
from policies.switches import STATES
from tests.core.test_gate import fill, make_gate
from tests.core.test_refused import storm
from tests.core.test_shaping import LONG, MS, S, crowd, lengthen
from tests.core.test_spread import admit, make

Throw = Callable[[Gate], None]
Found = tuple[Gate, bool, Reason]
"""Where, whether it acted, and why it would."""


def hold(before: str, throw: Throw) -> Found:
    """Sixty callers at once, where a crowd leaves places."""
    gate = make_gate(limit=40, shaping=Shaping(Modes(hold=before)))
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50 * MS)
    throw(gate)
    return gate, Reason.HELD in {d.reason for d in crowd(gate, S, 40)}, Reason.HELD


def contain(before: str, throw: Throw) -> Found:
    """Eight long calls for eight places."""
    gate = make_gate(limit=8, shaping=Shaping(Modes(contain=before)))
    now_ns = lengthen(gate, S, n_rounds=30)
    throw(gate)
    calls = [Arrival(tenant=1, flow=1 + k, kind=LONG) for k in range(8)]
    reasons = [gate.arrive(now_ns + k * S, x).reason for k, x in enumerate(calls)]
    return gate, Reason.CONTAINED in reasons, Reason.CONTAINED


def limit(before: str, throw: Throw) -> Found:
    """Three calls for two places."""
    gate = make_gate(limit=2, shaping=Shaping(Modes(limit=before)))
    throw(gate)
    calls = [gate.arrive(S + k * S, Arrival(tenant=1, flow=1 + k)) for k in range(3)]
    return gate, calls[-1].action is Action.WAIT, Reason.OVER_LIMIT


def slots(before: str, throw: Throw) -> Found:
    """The fifth refusal within a moment."""
    gate = make_gate(limit=100, shaping=Shaping(Modes(slots=before)))
    throw(gate)
    return gate, storm(gate)[-1] > 0, Reason.SLOT_GIVEN


def absorb(before: str, throw: Throw) -> Found:
    """A refusal that may be waited out for a second."""
    gate = make_gate(limit=100, shaping=Shaping(Modes(absorb=before)))
    throw(gate)
    [taken] = fill(gate, 1)
    return gate, gate.refused.absorb(0, taken.lease, 0, S) is not None, Reason.ABSORBED


def reroute(before: str, throw: Throw) -> Found:
    """A call that its endpoint fails, beside one that is well."""
    gate = make(n=2, shaping=Shaping(Modes(reroute=before)))
    throw(gate)
    moved, _ = gate.reroute(MS, admit(gate), Verdict.UNREACHED)
    return gate, moved is not None, Reason.REROUTED


def acceleration(before: str, throw: Throw) -> Found:
    """Thirty calls at one instant, where one a second is no steep demand."""
    gate = make_gate(limit=100, shaping=Shaping(Modes(acceleration=before), acceleration=2.0))
    gate.tick(0)
    throw(gate)
    calls = [gate.arrive(S, Arrival(tenant=1, flow=1 + k % 9)) for k in range(30)]
    return gate, calls[-1].action is Action.WAIT, Reason.ACCELERATING


ACTS = (hold, contain, limit, slots, absorb, reroute, acceleration)
"""Coalescing is the route's, before the gate: tests/control/test_real_runtime.py."""


@pytest.mark.parametrize("provoke", ACTS, ids=lambda x: str(x.__name__))
def test_a_policy_that_is_switched_acts_counts_or_rests_from_then_on(
    provoke: Callable[[str, Throw], Found],
) -> None:
    """From any state to any other: it acts where it governs, and is counted where it observes."""
    name = provoke.__name__
    for before in STATES:
        for to in STATES:
            switches = Modes(**{name: to}).pack()
            gate, acted, reason = provoke(before, lambda x, to=switches: x.switch(to, False))
            seen = gate.ledger.n_observed[reason] > 0
            assert (acted, seen) == (to == "govern", to == "observe"), (before, to)


def test_a_ramp_that_is_switched_on_begins_at_the_demand_it_finds() -> None:
    """Off it bounds nothing and learns what is used; on it lets that go on, but no steep rise."""
    gate = make_gate(limit=100, shaping=Shaping(Modes(acceleration="off"), acceleration=2.0))
    now_ns = 0

    def call(n: int) -> list[Action]:
        nonlocal now_ns
        actions = []
        for step in range(n):
            now_ns += 50 * MS
            decision = gate.arrive(now_ns, Arrival(tenant=1, flow=1 + step % 9))
            actions.append(decision.action)
            if decision.action is Action.ADMIT:
                gate.depart(now_ns + MS, decision.lease, Outcome.COMPLETED, 200)
            gate.tick(now_ns + 2 * MS)
        return actions

    assert set(call(400)) == {Action.ADMIT}  # 20 a second for 20 s, twenty times the floor
    assert gate.shaping.acceleration is None
    gate.switch(Modes().pack(), is_observing=False)
    ramp = gate.shaping.acceleration
    assert ramp is not None
    assert ramp.envelope_hz == pytest.approx(20.0, rel=0.05)
    assert set(call(100)) == {Action.ADMIT}
    steep = [gate.arrive(now_ns, Arrival(tenant=1, flow=1 + k % 9)).action for k in range(60)]
    assert Action.WAIT in steep
