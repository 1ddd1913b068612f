"""A gate of several endpoints on a made-up time axis: moved once, booked once, never lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.lease import Decision, Lease, LeaseState
from governor.core.shaping import Modes, Shaping
from policies.decision import Action, Outcome, Reason
from policies.ejection import REST_NS, Verdict
from policies.switches import observe_all
from tests.core.several_endpoints import (
    FAILED,
    MS,
    UNREACHED,
    S,
    admit,
    in_flight,
    make,
    pair,
    unreached,
)
from tests.core.test_gate import make_gate


def test_room_on_any_endpoint_is_room() -> None:
    """All places are filled before anyone waits."""
    gate = make(n=3, limit=2)
    for _ in range(6):
        admit(gate)
    assert in_flight(gate) == [2, 2, 2]
    assert gate.arrive(0, Arrival()).action is Action.WAIT


def test_places_of_the_ejected_are_none() -> None:
    """Who finds the healthy full waits, and goes there when one comes free."""
    gate = make(n=2, limit=1)
    unreached(gate, 0, 0)
    first = admit(gate, 1)
    assert first.endpoint_idx == 1
    waiting = gate.arrive(2, Arrival())
    assert waiting.action is Action.WAIT
    assert not gate.tick(50 * MS)
    [granted] = gate.depart(60 * MS, first, Outcome.COMPLETED, 200)
    assert (granted.lease, granted.lease.endpoint_idx) == (waiting.lease, 1)


def test_an_unreached_call_moves_with_its_books() -> None:
    """In flight goes from one endpoint to the other; the lease stays open and closes once."""
    gate = make(n=2)
    lease = admit(gate)
    origin = lease.endpoint_idx
    decision, followers = gate.reroute(MS, lease, UNREACHED)
    assert decision is not None
    assert (decision.action, decision.reason) == (Action.ADMIT, Reason.REROUTED)
    assert not followers
    assert lease.endpoint_idx == 1 - origin
    assert in_flight(gate)[origin] == 0
    assert gate.in_flight == 1
    gate.depart(5 * MS, lease, Outcome.COMPLETED, 200)
    assert gate.in_flight == 0
    assert gate.ledger.n_by_outcome[Outcome.COMPLETED] == 1
    assert sum(gate.ledger.n_by_outcome) == gate.ledger.n_arrived == 1
    assert gate.ledger.n_rerouted == 1
    assert all(x.pace.n_unanswered == 0 for x in gate.endpoints)


def test_a_switch_stops_moving_calls_and_starts_it_again() -> None:
    """In observe mode nothing is moved, also where that was switched while it runs."""
    gate = make(n=2)
    governs = gate.shaping.switches
    gate.switch(observe_all(governs), is_observing=True)
    lease = admit(gate)
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    assert gate.ledger.n_observed[Reason.REROUTED] == 1
    gate.depart(2 * MS, lease, Outcome.UNSENT, 502)
    gate.switch(governs, is_observing=False)
    lease = admit(gate, 3 * MS)
    assert gate.reroute(4 * MS, lease, UNREACHED)[0] is not None


def test_each_endpoint_fails_a_call_once() -> None:
    """After the last there is nowhere to go: the lease is still open, to be closed as failed."""
    gate = make(n=3)
    lease = admit(gate)
    seen = {lease.endpoint_idx}
    for _ in range(2):
        assert gate.reroute(MS, lease, UNREACHED)[0] is not None
        seen.add(lease.endpoint_idx)
    assert seen == {0, 1, 2}
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    assert lease.state is LeaseState.OPEN
    gate.depart(2 * MS, lease, Outcome.UNSENT, 502)
    assert gate.in_flight == 0


def test_a_moved_call_waits_where_the_others_are_full() -> None:
    """Nothing is sent beyond a limit: it goes back to the line, and not to where it failed."""
    gate = make(n=2, limit=1)
    first, second = admit(gate), admit(gate)
    decision, _ = gate.reroute(MS, first, UNREACHED)
    assert decision is not None
    assert (decision.action, decision.reason) == (Action.WAIT, Reason.REROUTED)
    assert (gate.in_flight, gate.line_length) == (1, 1)
    [granted] = gate.depart(2 * MS, second, Outcome.COMPLETED, 200)
    assert granted.lease is first
    assert first.endpoint_idx == second.endpoint_idx
    gate.depart(3 * MS, first, Outcome.COMPLETED, 200)
    assert (gate.in_flight, gate.line_length) == (0, 0)


def test_who_waited_takes_the_place_that_a_move_leaves() -> None:
    """A broken endpoint that is still in use gives its place on in the same turn."""
    gate = make(n=2, limit=2)
    leases = [admit(gate) for _ in range(4)]
    moved = next(x for x in leases if x.endpoint_idx == 0)
    other = next(x for x in leases if x.endpoint_idx == 1)
    gate.depart(MS, other, Outcome.COMPLETED, 200)
    waiting = admit(gate, MS)
    assert waiting.endpoint_idx == 1
    gate.depart(MS, waiting, Outcome.COMPLETED, 200)
    full = [admit(gate, MS), gate.arrive(MS, Arrival()).lease]
    assert full[1].state is LeaseState.PENDING
    decision, followers = gate.reroute(2 * MS, moved, FAILED)
    assert decision is not None
    assert decision.action is Action.WAIT
    assert [x.lease for x in followers] == [full[1]]
    assert full[1].endpoint_idx == 0


def test_what_is_over_is_not_moved() -> None:
    """Neither a closed lease nor one whose caller has left or whose answer has begun."""
    gate = make(n=2)
    closed, left, begun = admit(gate), admit(gate), admit(gate)
    gate.depart(MS, closed, Outcome.COMPLETED, 200)
    gate.leave(MS, left)
    gate.answered(MS, begun, 200)
    for lease in (closed, left, begun):
        assert gate.reroute(2 * MS, lease, FAILED) == (None, ())


def test_five_failed_answers_put_an_endpoint_out_of_use() -> None:
    """Answers 5xx count, refusals with a date do not; then one probe, then the ramp."""
    gate = make(n=2, limit=50)
    for _ in range(12):
        lease = admit(gate)
        is_sick = lease.endpoint_idx == 0
        outcome, status = (Outcome.FAILED, 500) if is_sick else (Outcome.REFUSED, 503)
        gate.depart(MS, lease, outcome, status, 0 if is_sick else S)
    while not gate.endpoints[0].is_out:
        lease = admit(gate)
        is_sick = lease.endpoint_idx == 0
        gate.depart(MS, lease, *((Outcome.FAILED, 500) if is_sick else (Outcome.COMPLETED, 200)))
    assert not gate.endpoints[1].is_out
    assert {admit(gate, MS).endpoint_idx for _ in range(20)} == {1}
    later_ns = MS + REST_NS
    probe = admit(gate, later_ns)
    assert probe.endpoint_idx == 0
    assert {admit(gate, later_ns).endpoint_idx for _ in range(5)} == {1}
    gate.depart(later_ns + MS, probe, Outcome.COMPLETED, 200)
    assert gate.endpoints[0].health.state == "ramping"


def test_exempt_calls_avoid_the_ejected_and_move() -> None:
    """What is never held is not sent to an endpoint that is out of use, either."""
    gate = make(n=2, limit=1)
    unreached(gate, 0, 0)
    for _ in range(3):
        assert admit(gate, is_exempt=True).endpoint_idx == 1
    lease = admit(gate, is_exempt=True)
    decision, _ = gate.reroute(MS, lease, UNREACHED)
    assert decision is not None
    assert lease.endpoint_idx == 0
    gate.depart(2 * MS, lease, Outcome.COMPLETED, 200)
    assert [x.n_exempt for x in gate.endpoints] == [0, 3]


def test_an_affinity_keeps_calls_together() -> None:
    """The same key, the same endpoint, as long as that has room."""
    gate = make(n=3, limit=4)
    assert len({admit(gate, affinity=77).endpoint_idx for _ in range(4)}) == 1
    home = admit(gate, affinity=77)
    assert home.endpoint_idx != [x.in_flight for x in gate.endpoints].index(4)


def test_rerouting_is_observed_alone() -> None:
    """Nothing is moved or diverted, and counted; the line works on."""
    gate, _ = pair(n=2, limit=1, shaping=Shaping(Modes(reroute="observe")))
    lease = admit(gate)
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    assert gate.ledger.n_observed == {Reason.REROUTED: 1}
    admit(gate)
    assert gate.arrive(2 * MS, Arrival()).action is Action.WAIT
    assert gate.ledger.n_diverted == gate.ledger.n_rerouted == 0


@pytest.mark.interpreted
def test_a_broken_choice_lets_everything_through() -> None:
    """What raises is counted; calls go to the roomiest endpoint and their books stay right."""
    gate = make(n=2, limit=2)

    class Broken:
        """Raises whatever it is asked, but for what is told on the way out."""

        is_down = False

        def sent(self, *_: Any) -> None:
            """Say nothing."""

        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any) -> Any:
                raise ZeroDivisionError(name)

            return fail

    gate.routing = Broken()  # type: ignore[assignment]
    for endpoint in gate.endpoints:
        endpoint.routing = gate.routing  # type: ignore[attr-defined]
    leases = [admit(gate) for _ in range(4)]
    assert in_flight(gate) == [2, 2]
    waiting = gate.arrive(MS, Arrival())
    assert waiting.action is Action.WAIT
    gate.tick(50 * MS)
    gate.answered(60 * MS, leases[0], 200)
    [granted] = gate.depart(70 * MS, leases[0], Outcome.COMPLETED, 200)
    assert granted.lease is waiting.lease
    assert gate.in_flight == 4
    assert gate.ledger.n_faults > 6


EVENTS = st.tuples(
    st.sampled_from(["arrive", "arrive", "depart", "reroute", "answered", "leave", "tick"]),
    st.integers(0, 2 * S),
    st.integers(0, 63),
    st.sampled_from(list(Outcome)),
    st.sampled_from([UNREACHED, FAILED, Verdict.UNTOLD]),
)


@settings(max_examples=150)
@given(
    st.lists(EVENTS, max_size=120), st.integers(1, 4), st.booleans(), st.booleans(), st.booleans()
)
def test_invariants(
    events: list[tuple[str, int, int, Outcome, Verdict]],
    n: int,
    is_observing: bool,
    has_fallback: bool,
    is_seeded: bool,
) -> None:
    """Every arrival has one outcome, in-flight equals open leases, places are never overdrawn."""
    gate = make(n, 2, seed=int(is_seeded), is_observing=is_observing, patience_ns=S)
    if has_fallback:
        gate.fallback = make_gate(limit=1)
    now_ns = 0
    leases: list[Lease] = []
    n_ended = 0

    def apply(decisions: Any) -> None:
        nonlocal n_ended
        for decision in decisions:
            assert isinstance(decision, Decision)
            is_over = decision.action in (Action.ANSWER, Action.DIVERT)
            n_ended += is_over
            assert (decision.lease.state is LeaseState.CLOSED) == is_over

    for event, pause_ns, which, outcome, verdict in events:
        now_ns += pause_ns
        if event == "arrive":
            arrival = Arrival(
                flow=which % 7, affinity=which % 3, is_exempt=which % 11 == 0, urgency=which % 8
            )
            decision = gate.arrive(now_ns, arrival)
            leases.append(decision.lease)
            apply([decision])
        elif event == "tick":
            apply(gate.tick(now_ns))
        elif leases:
            lease = leases[which % len(leases)]
            is_open = lease.state is LeaseState.OPEN
            if event == "leave":
                n_ended += lease.state is LeaseState.PENDING
                gate.leave(now_ns, lease)
            elif event == "answered":
                gate.answered(now_ns, lease, 200 if which % 2 else 500)
            elif event == "reroute":
                tried = lease.tried
                decision_or_none, followers = gate.reroute(now_ns, lease, verdict)
                if decision_or_none is not None:
                    apply([decision_or_none])
                    assert lease.endpoint_idx < 0 or not tried >> lease.endpoint_idx & 1
                apply(followers)
            elif is_open:
                n_ended += 1
                status = {Outcome.COMPLETED: 200, Outcome.REFUSED: 503, Outcome.FAILED: 500}
                apply(gate.depart(now_ns, lease, outcome, status.get(outcome, 0)))
        assert gate.in_flight == sum(x.state is LeaseState.OPEN for x in leases)
        assert gate.line_length == sum(x.state is LeaseState.PENDING for x in leases)
        if not is_observing:
            assert all(x.in_flight <= x.limit.limit for x in gate.endpoints)
        assert all(x.pace.n_unanswered >= 0 for x in gate.endpoints)
    assert gate.ledger.n_arrived == len(leases)
    assert n_ended == sum(x.state is LeaseState.CLOSED for x in leases)


def test_without_rerouting_the_roomiest_is_taken() -> None:
    """The plain gate over several endpoints moves nothing."""
    gate = make_gate(limit=2, n_endpoints=2)
    lease = admit(gate)
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    gate.depart(2 * MS, lease, Outcome.UNSENT, 502)
    with pytest.raises(RuntimeError, match="closes once"):
        gate.depart(2 * MS, lease, Outcome.UNSENT, 502)
