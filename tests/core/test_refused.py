"""An upstream's refusals at the gate, on a made-up time axis: slots, waiting out, kept slots."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Lease, LeaseState
from governor.core.line import INVITED
from governor.core.shaping import Modes, Shaping
from policies.decision import Action, Outcome, Reason
from policies.limit import FixedLimit
from policies.limit.refusals import N_REFUSED_MIN
from tests.core.test_gate import MS, S, fill, make_gate


def refuse(gate: Gate, now_ns: int, lease: Lease, asked_ns: int = 0) -> int:
    """Let the upstream refuse an open lease; return the slot its caller gets, -1 for none."""
    gate.refused.note(now_ns)
    decision = gate.refused.answer(now_ns, lease, 429, asked_ns)
    retry_after_ns = decision.retry_after_ns if decision is not None else -1
    gate.depart(now_ns, lease, Outcome.REFUSED, 429, max(retry_after_ns, 0) or asked_ns)
    return retry_after_ns


def storm(gate: Gate, now_ns: int = 0, **shape: Any) -> list[int]:
    """Refuse five callers at once; return their slots."""
    return [refuse(gate, now_ns, x.lease) for x in fill(gate, 5, now_ns, **shape)]


def test_slots_begin_with_the_storm() -> None:
    """Four refusals are handed on, the fifth and all while invitations are out have slots."""
    gate = make_gate(limit=100)
    assert [slot > 0 for slot in storm(gate)] == [False] * 4 + [True]
    [late] = fill(gate, 1, 250 * MS)
    assert refuse(gate, 250 * MS, late.lease) > 0
    gate.tick(10 * S)
    [later] = fill(gate, 1, 10 * S)
    assert refuse(gate, 10 * S, later.lease) == -1
    assert gate.ledger.n_by_outcome[Outcome.REFUSED] == 7


def test_observing_counts_and_gives_nothing() -> None:
    """The slots that would have been given are counted by their reason."""
    gate = make_gate(limit=100, is_observing=True)
    assert storm(gate) == [-1] * 5
    assert gate.ledger.n_observed == {Reason.SLOT_GIVEN: 1}
    [taken] = fill(gate, 1)
    assert gate.refused.absorb(0, taken.lease, 0, S) is None
    assert gate.ledger.n_observed[Reason.ABSORBED] == 1
    assert taken.lease.state is LeaseState.OPEN
    assert gate.reservations.n_made == 0


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_slots_and_absorbing_are_switched_each_by_itself(mode: str) -> None:
    """Observed they are counted, off they are not even that; the other one goes on."""
    counted = mode == "observe"
    gate = make_gate(limit=100, shaping=Shaping(Modes(slots=mode)))
    assert storm(gate) == [-1] * 5
    assert (Reason.SLOT_GIVEN in gate.ledger.n_observed) == counted
    [taken] = fill(gate, 1)
    assert gate.refused.absorb(0, taken.lease, 0, S) is not None
    gate = make_gate(limit=100, shaping=Shaping(Modes(absorb=mode)))
    assert storm(gate)[-1] > 0
    [taken] = fill(gate, 1)
    assert gate.refused.absorb(0, taken.lease, 0, S) is None
    assert (Reason.ABSORBED in gate.ledger.n_observed) == counted


def test_a_route_may_switch_slots_for_itself() -> None:
    """The refusal of one of its requests goes on as it came."""
    gate = make_gate(limit=100)
    storm(gate)
    [plain] = fill(gate, 1)
    assert refuse(gate, 0, plain.lease) > 0
    [own] = fill(gate, 1)
    own.lease.arrival.switches = Modes(slots="off").pack()
    assert refuse(gate, 0, own.lease) == -1


@pytest.mark.parametrize(
    ("shape", "asked_ns", "expected"),
    [
        ({"is_exempt": True}, 0, -1),
        ({"can_retry": False}, 0, -1),
        ({}, 61 * S, 0),
        ({"patience_ns": 2 * S, "is_deadline": True}, 3 * S, 0),
    ],
    ids=["exempt", "no word for it", "horizon", "deadline"],
)
def test_who_gets_no_slot(shape: dict[str, Any], asked_ns: int, expected: int) -> None:
    """Who is not governed or would not understand is left alone; who cannot be helped is told."""
    gate = make_gate(limit=100)
    storm(gate)
    [one] = fill(gate, 1, 0, **shape)
    n_made = gate.reservations.n_made
    assert refuse(gate, 0, one.lease, asked_ns) == expected
    assert gate.reservations.n_made == n_made


def test_a_time_out_of_each_try_is_no_deadline() -> None:
    """An SDK that waits 2 s for each answer may be invited for later: its clock begins anew."""
    gate = make_gate(limit=100)
    storm(gate)
    [one] = fill(gate, 1, 0, patience_ns=2 * S)
    assert refuse(gate, 0, one.lease, 3 * S) >= 3 * S


def test_governors_own_refusal_ends_where_no_retry_helps() -> None:
    """A caller whose deadline lies before any slot is told so: no time to come back."""
    gate = make_gate(limit=1, max_waiting=0)
    _, hopeless = fill(gate, 2, 0, patience_ns=200 * MS, is_deadline=True)
    assert (hopeless.action, hopeless.retry_after_ns) == (Action.ANSWER, 0)
    [other] = fill(gate, 1)
    assert other.retry_after_ns > 0


def test_a_slot_that_is_kept_is_first_in_line() -> None:
    """Who comes when invited goes before others of its urgency that came earlier."""
    gate = make_gate(limit=1)
    for _ in range(4):
        [x] = fill(gate, 1)
        refuse(gate, 0, x.lease)
    [invited] = fill(gate, 1, 0, flow=5, is_identified=True)
    slot_ns = refuse(gate, 0, invited.lease)
    assert slot_ns > 0
    busy, early = fill(gate, 2, slot_ns - 10 * MS)
    [back] = fill(gate, 1, slot_ns, flow=5, is_identified=True)
    assert back.action is Action.WAIT
    assert gate.reservations.n_outstanding == 0
    [granted] = gate.depart(slot_ns + MS, busy.lease, Outcome.COMPLETED, 200)
    assert granted.lease is back.lease
    [next_one] = gate.depart(slot_ns + 2 * MS, granted.lease, Outcome.COMPLETED, 200)
    assert next_one.lease is early.lease


def test_who_does_not_wait_for_its_slot_gains_nothing() -> None:
    """A retry before its time closes the invitation and stands where it would have stood."""
    gate = make_gate(limit=1)
    for _ in range(4):
        [x] = fill(gate, 1)
        refuse(gate, 0, x.lease)
    [invited] = fill(gate, 1, 0, flow=5, is_identified=True)
    assert refuse(gate, 0, invited.lease) > 0
    busy, other = fill(gate, 2, MS)
    [back] = fill(gate, 1, 2 * MS, flow=5, is_identified=True, attempt=1)
    assert back.lease.line_key != INVITED
    assert gate.reservations.n_outstanding == 0
    [granted] = gate.depart(3 * MS, busy.lease, Outcome.COMPLETED, 200)
    assert granted.lease is other.lease


def test_an_absorbed_request_waits_and_goes_again() -> None:
    """Its place is another's meanwhile; it returns at its slot, first in line, with one outcome."""
    gate = make_gate(limit=1)
    refused, other, third = fill(gate, 3)
    taken = gate.refused.absorb(10 * MS, refused.lease, 500 * MS, 2 * S)
    assert taken is not None
    decision, [granted] = taken
    assert (decision.action, decision.reason) == (Action.WAIT, Reason.ABSORBED)
    assert granted.lease is other.lease
    assert refused.lease.state is LeaseState.CLOSED
    assert gate.ledger.refused_s == pytest.approx(0.01)
    assert sum(gate.ledger.n_by_outcome) == 0
    assert not gate.tick(400 * MS)
    assert gate.refused.n_parked == 1
    gate.tick(10 * MS + decision.retry_after_ns)
    assert gate.refused.n_parked == 0
    assert decision.retry_after_ns >= 500 * MS
    [again] = gate.depart(700 * MS, granted.lease, Outcome.COMPLETED, 200)
    assert (again.lease, again.reason) == (decision.lease, Reason.ABSORBED)
    [last] = gate.depart(800 * MS, again.lease, Outcome.COMPLETED, 200)
    assert last.lease is third.lease
    gate.depart(900 * MS, last.lease, Outcome.COMPLETED, 200)
    assert gate.ledger.n_by_outcome[Outcome.COMPLETED] == gate.ledger.n_arrived == 3
    assert not any(gate.identities.flows.n_open)


def test_who_leaves_while_absorbed_is_gone() -> None:
    """It closes at once, and its instant finds nothing."""
    gate = make_gate(limit=1)
    [one] = fill(gate, 1)
    taken = gate.refused.absorb(0, one.lease, 0, 2 * S)
    assert taken is not None
    gate.leave(MS, taken[0].lease)
    assert gate.refused.n_parked == 0
    assert gate.ledger.n_left_waiting == 1
    assert gate.tick(3 * S) == ()
    assert gate.in_flight == 0
    assert not any(gate.identities.flows.n_open)


@pytest.mark.parametrize(
    ("shape", "asked_ns", "bound_ns"),
    [
        ({}, 3 * S, 2 * S),
        ({}, 0, 0),
        ({}, 0, 100 * MS),
        ({"patience_ns": S}, 950 * MS, 2 * S),
        ({"is_exempt": True}, 0, 2 * S),
    ],
    ids=["longer than allowed", "off", "no slot so soon", "patience", "exempt"],
)
def test_what_is_not_absorbed(shape: dict[str, Any], asked_ns: int, bound_ns: int) -> None:
    """The lease stays open, for its caller gets the refusal."""
    gate = make_gate(limit=1)
    [one] = fill(gate, 1, 0, **shape)
    assert gate.refused.absorb(0, one.lease, asked_ns, bound_ns) is None
    assert one.lease.state is LeaseState.OPEN
    assert gate.reservations.n_outstanding == 0


def test_no_more_than_three_times() -> None:
    """The fourth refusal of one request is handed on."""
    gate = make_gate(limit=1)
    [one] = fill(gate, 1)
    lease, now_ns = one.lease, 0
    for _ in range(3):
        taken = gate.refused.absorb(now_ns, lease, 0, S)
        assert taken is not None
        now_ns += taken[0].retry_after_ns
        [again] = gate.tick(now_ns)
        lease = again.lease
    assert gate.refused.absorb(now_ns, lease, 0, S) is None
    gate.depart(now_ns, lease, Outcome.REFUSED, 429)
    assert gate.ledger.n_by_outcome[Outcome.REFUSED] == 1


def test_refusals_teach_the_limit() -> None:
    """Both those handed on and those absorbed tell how many places there are."""
    gate = make_gate(limit=50)
    told: list[int] = []

    class Told(FixedLimit):
        """A limit that notes what it is told of refusals."""

        def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
            """Note it."""
            told.append(in_flight_at_dispatch)

    gate.endpoints[0].limit = Told(50)
    leases = [x.lease for x in fill(gate, N_REFUSED_MIN)]
    gate.depart(0, leases[0], Outcome.REFUSED, 503)
    assert gate.refused.absorb(0, leases[1], 0, S) is not None
    gate.depart(0, leases[2], Outcome.COMPLETED, 200)
    assert told == [1, 2]


EVENTS = st.tuples(
    st.sampled_from(["arrive", "refuse", "absorb", "end", "leave", "tick"]),
    st.integers(0, 9),  # which of those open
    st.integers(0, 400 * MS),  # pause before it
    st.integers(0, 3 * S),  # asked by the upstream
)


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=60))
def test_invariants(events: list[tuple[str, int, int, int]]) -> None:
    """One outcome for each arrival, whatever is absorbed; slots distinct, in time, not shared."""
    gate = make_gate(limit=3)
    alive: list[Lease] = []
    slots: list[int] = []
    n_left = now_ns = 0

    def replace(decisions: Any) -> None:
        for decision in decisions:
            if decision.action is Action.ANSWER:
                alive.remove(decision.lease)

    for event, which, pause_ns, asked_ns in events:
        now_ns += pause_ns
        is_open = [x for x in alive if x.state is LeaseState.OPEN]
        one = is_open[which % len(is_open)] if is_open else None
        if event == "arrive":
            decision = gate.arrive(now_ns, Arrival(flow=which % 8, is_identified=True))
            if decision.action is not Action.ANSWER:
                alive.append(decision.lease)
        elif event == "tick":
            replace(gate.tick(now_ns))
        elif event == "leave" and alive:
            lease = alive[which % len(alive)]
            if lease.state is LeaseState.PENDING:
                gate.leave(now_ns, lease)
                alive.remove(lease)
                n_left += 1
        elif one is None:
            continue
        elif event == "refuse":
            gate.refused.note(now_ns)
            told = gate.refused.answer(now_ns, one, 429, asked_ns)
            if told is not None and told.retry_after_ns:
                assert asked_ns <= told.retry_after_ns <= 60 * S
                slots.append(now_ns + told.retry_after_ns)
            alive.remove(one)
            replace(gate.depart(now_ns, one, Outcome.REFUSED, 429, asked_ns))
        elif event == "absorb":
            taken = gate.refused.absorb(now_ns, one, asked_ns, 2 * S)
            if taken is not None:
                assert asked_ns <= taken[0].retry_after_ns <= 2 * S
                alive[alive.index(one)] = taken[0].lease
                replace(taken[1])
        else:
            alive.remove(one)
            replace(gate.depart(now_ns, one, Outcome.COMPLETED, 200))
        assert len(set(slots)) == len(slots)
        assert 0 <= gate.in_flight <= 3
        pending = sum(x.state is LeaseState.PENDING for x in alive)
        assert pending == gate.line_length + gate.refused.n_parked
        ledger = gate.ledger
        closed = sum(ledger.n_by_outcome) + sum(ledger.n_answered.values()) + n_left
        assert ledger.n_arrived == closed + len(alive)
