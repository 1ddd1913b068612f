"""Many workers before one gate: one outcome each, one count of what is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.identity import Identities
from governor.core.lease import Asked, Untouched, make_lease
from governor.core.spread import SpreadGate
from governor.workers.board import KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.link import ASK_S, GRACE_NS, SILENCE_NS
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict
from policies.limit import FixedLimit, Limit
from tests.workers.rig import MS, Fleet, Request, S, SilentSignals, arrival, make_gate


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Return two workers before a gate of four places."""
    made = Fleet(2)
    yield made
    made.close()


def ask(fleet: Fleet, row: int, who: int = 1, idx: int = 0, **more: object) -> Request:
    """Let a request come to a worker."""
    request = Request(fleet.remote[row][idx], who)
    return request.start(fleet.now_ns, arrival(who, **more))


def test_within_credit_nobody_is_asked(fleet: Fleet) -> None:
    """What is free is lent, and what is admitted so is booked as admitted."""
    assert [list(row) for row in fleet.board.credits] == [[2], [2]]
    request = ask(fleet, 0)
    assert request.said == [("ADMIT", "untouched", 0, 0)]
    assert fleet.gates[0].in_flight == 0
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.ledger.n_arrived, gate.ledger.n_untouched) == (1, 1, 1)
    request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert (gate.in_flight, gate.ledger.n_by_outcome[Outcome.COMPLETED]) == (0, 1)


def test_beyond_credit_the_keeper_decides(fleet: Fleet) -> None:
    """A place is given while there is one; then they wait, and one gets what comes free."""
    requests = [ask(fleet, 0, who) for who in range(6)]
    assert [x.is_waiting for x in requests] == [False, False, *[True] * 4]
    fleet.turn()
    assert [x.said[0][0] for x in requests] == ["ADMIT"] * 4 + ["WAIT"] * 2
    assert requests[1].said == [("ADMIT", "untouched", 0, 0)]
    fleet.now_ns += MS
    requests[2].depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    told = [x.said[1][:2] for x in requests[4:] if len(x.said) > 1]
    assert told == [("ADMIT", "capacity_freed")]
    assert fleet.gates[0].in_flight == 4 == sum(row[0] for row in fleet.board.opens)


def test_a_place_that_comes_free_at_one_worker_is_given_at_another(fleet: Fleet) -> None:
    """The line is one for all workers."""
    first = [ask(fleet, 0, who) for who in range(4)]
    fleet.turn()
    other = ask(fleet, 1, 9)
    fleet.turn()
    assert other.said[0][0] == "WAIT"
    first[0].depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert other.is_open


def test_no_credit_while_anybody_waits(fleet: Fleet) -> None:
    """Nobody overtakes at another worker."""
    for who in range(5):
        ask(fleet, 0, who)
    fleet.turn()
    assert [list(row) for row in fleet.board.credits] == [[0], [0]]


def test_who_leaves_before_an_answer_leaves_nothing_behind(fleet: Fleet) -> None:
    """A place that was given while the caller left comes free at once."""
    for who in range(4):
        ask(fleet, 0, who)
    fleet.turn()
    crossed = ask(fleet, 1, 7)
    fleet.links[1].leases[crossed.lease.number].gate.link.receive()  # type: ignore[union-attr]
    fleet.host.drain()  # it is told to wait, and has not heard of it
    crossed.leave(fleet.now_ns)
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.line_length, gate.ledger.n_left_waiting) == (4, 0, 1)
    asked = ask(fleet, 1, 8)
    fleet.host.gates[0].endpoints[0].limit.limit = 5
    fleet.host.drain()  # it has a place, and has not heard of it
    assert gate.in_flight == 5
    asked.leave(fleet.now_ns)
    fleet.turn()
    assert gate.in_flight == 4
    assert gate.ledger.n_by_outcome[Outcome.UNSENT] == 1
    assert not asked.said


def test_abandoned_work_keeps_its_place(fleet: Fleet) -> None:
    """A caller that leaves an open call frees nothing before the upstream answers."""
    request = ask(fleet, 0)
    request.leave(fleet.now_ns)
    fleet.turn()
    assert fleet.gates[0].in_flight == 1
    request.depart(fleet.now_ns, Outcome.ORPHANED, 200)
    fleet.turn()
    assert fleet.gates[0].in_flight == 0


def test_a_lease_closes_once(fleet: Fleet) -> None:
    """A second time is the rim's own fault, as at the gate itself."""
    request = ask(fleet, 0)
    lease = request.lease
    request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    with pytest.raises(RuntimeError, match="closes once"):
        request.gate.depart(fleet.now_ns, lease, Outcome.COMPLETED)  # type: ignore[arg-type]


def test_exempt_calls_are_never_asked_about(fleet: Fleet) -> None:
    """They take no place and are told of."""
    requests = [ask(fleet, 0, who, is_exempt=True) for who in range(9)]
    assert {x.said[0][1] for x in requests} == {"exempt"}
    fleet.turn()
    endpoint = fleet.gates[0].endpoints[0]
    assert (endpoint.n_exempt, endpoint.in_flight) == (9, 0)
    for request in requests:
        request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert endpoint.n_exempt == 0


def test_one_caller_at_two_workers_is_one_caller(fleet: Fleet) -> None:
    """Its key finds the same place in the keeper's tables."""
    ask(fleet, 0, 5)
    ask(fleet, 1, 5)
    fleet.turn()
    flows = fleet.identities.flows
    assert len(flows) == 1
    assert flows.n_open[flows.find(2_005)] == 2


def test_a_dead_worker_is_missed_by_nobody(fleet: Fleet) -> None:
    """What it held ends within a second, what it had waiting at once; the other goes on."""
    lost = [ask(fleet, 0, who) for who in range(4)]
    fleet.turn()
    waiting = [ask(fleet, 0, 10), ask(fleet, 1, 11)]
    fleet.turn()
    assert fleet.gates[0].line_length == 2
    fleet.gates[0].dispatcher.response_ns = 300 * MS
    fleet.board.workers[0][WorkerWord.LIFE] = Life.DEAD
    fleet.now_ns += 50 * MS
    fleet.host.tick(fleet.now_ns)
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.line_length) == (4, 1)
    gate.dispatcher.response_ns = 0
    fleet.now_ns += 950 * MS
    fleet.host.tick(fleet.now_ns)
    fleet.turn()
    assert waiting[1].is_open
    assert (gate.in_flight, gate.line_length) == (1, 0)
    assert gate.ledger.n_by_outcome[Outcome.CANCELLED] == len(lost)
    assert not waiting[0].said[1:]


def test_who_takes_a_dead_workers_row_begins_with_nothing(fleet: Fleet) -> None:
    """Numbers begin anew, and nothing that was meant for the one before is heard."""
    ask(fleet, 0, 1)
    for who in range(4):
        ask(fleet, 0, who)
    fleet.host.drain()  # decisions are on their way
    fleet.hire(0)
    fleet.turn()
    new = ask(fleet, 0, 9)
    fleet.now_ns += S
    fleet.host.tick(fleet.now_ns)
    fleet.turn()
    assert new.is_open
    assert fleet.gates[0].in_flight == 1 == fleet.board.opens[0][0]


def test_a_keeper_that_is_too_slow_holds_nobody(fleet: Fleet) -> None:
    """With a full ring calls go through, untold and counted; ends of told ones are not lost."""
    fleet.board.credits[0][0] = 5_000
    told = [ask(fleet, 0, who) for who in range(4_200)]
    assert all(x.is_open for x in told)
    assert fleet.board.workers[0][WorkerWord.N_UNASKED] == 4_200 - 4_096
    for request in told:
        request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    fleet.links[0].tick(fleet.now_ns)
    fleet.host.tick(fleet.now_ns)
    fleet.turn()
    gate = fleet.gates[0]
    assert gate.in_flight == 0 == fleet.board.opens[0][0]
    assert gate.ledger.n_by_outcome[Outcome.COMPLETED] == 4_096


def test_without_a_keeper_the_share_of_the_limit_goes_through(fleet: Fleet) -> None:
    """At once within the share that was published last, the rest after a second."""
    fleet.board.credits[0][0] = 0
    fleet.board.keeper[KeeperWord.LIFE] = Life.DEAD
    requests = [ask(fleet, 0, who) for who in range(5)]
    assert [x.is_open for x in requests] == [True, True, False, False, False]
    fleet.links[0].tick(fleet.now_ns)
    requests[0].depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.links[0].tick(fleet.now_ns)
    assert [x.is_open for x in requests] == [False, True, True, False, False]
    fleet.links[0].tick(fleet.now_ns + GRACE_NS)
    assert [x.is_open for x in requests[1:]] == [True] * 4
    assert fleet.board.workers[0][WorkerWord.N_UNASKED] == 5


def test_a_new_keeper_learns_what_is_open_and_is_asked_about_what_waits(fleet: Fleet) -> None:
    """In flight is true again, and nobody who waited is forgotten or told twice."""
    requests = [ask(fleet, 0, who) for who in range(6)]
    fleet.turn()
    requests.append(ask(fleet, 1, 7))
    fleet.turn()
    unheard = ask(fleet, 1, 8)
    fleet.gates = (make_gate(4, fleet.identities),)
    fleet.board.keeper[KeeperWord.EPOCH] += 1
    fleet.host = Host(fleet.board, fleet.gates, fleet.identities)
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.line_length) == (4, 4)
    for request in [x for x in requests if x.is_open]:
        request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert (gate.in_flight, gate.line_length) == (4, 0)
    assert all(len(x.said) == 2 for x in requests[4:])
    assert unheard.is_open


def test_what_a_worker_writes_before_it_has_heard_of_a_new_keeper_is_booked_once(
    fleet: Fleet,
) -> None:
    """Its announcement finds it known: nothing is lost, nothing counted twice."""
    fleet.gates = (make_gate(4, fleet.identities),)
    fleet.host = Host(fleet.board, fleet.gates, fleet.identities)
    requests = [ask(fleet, 0, who) for who in range(3)]
    fleet.host.drain()
    fleet.board.keeper[KeeperWord.EPOCH] += 1
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.ledger.n_arrived) == (3, 3)
    for request in requests:
        request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.now_ns += S
    fleet.turn()
    fleet.host.tick(fleet.now_ns)
    assert sum(gate.ledger.n_by_outcome) == gate.ledger.n_by_outcome[Outcome.COMPLETED] == 3


def test_a_silent_keeper_counts_as_gone_and_may_come_back(fleet: Fleet) -> None:
    """Who went without it hears nothing twice; what it decided of them is ignored."""
    for who in range(4):
        ask(fleet, 0, who)
    fleet.turn()
    late = ask(fleet, 0, 9)
    fleet.host.drain()
    fleet.now_ns += SILENCE_NS
    fleet.links[0].tick(fleet.now_ns)
    fleet.now_ns += GRACE_NS
    fleet.links[0].tick(fleet.now_ns)
    assert late.said == [("ADMIT", "untouched", 0, 0)]
    fleet.turn()
    assert len(late.said) == 1
    late.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    fleet.host.tick(fleet.now_ns)
    assert (fleet.gates[0].in_flight, fleet.gates[0].line_length) == (4, 0)


def test_a_fault_of_the_keeper_lets_the_request_through(fleet: Fleet) -> None:
    """It is counted, and whoever has asked gets an answer."""
    fleet.board.credits[0][0] = 0
    fleet.gates[0].arrive = None  # type: ignore[method-assign, assignment]
    n_before = fleet.gates[0].ledger.n_faults
    request = ask(fleet, 0)
    fleet.turn()
    assert request.said == [("ADMIT", "untouched", 0, 0)]
    assert (fleet.host.n_faults, fleet.gates[0].ledger.n_faults) == (1, n_before + 1)
    request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert fleet.host.n_faults == 1


def test_shared_calls_and_quotas_and_switches_reach_the_other_side(fleet: Fleet) -> None:
    """Counts of callers that shared a call; what was switched, for workers still to come, too."""
    remote = fleet.remote[0][0]
    remote.ledger.n_by_outcome[Outcome.COALESCED] += 3
    remote.tell_shared(fleet.now_ns)
    remote.tell_shared(fleet.now_ns)
    fleet.host.switch(fleet.now_ns, "mode", "observe")
    fleet.turn()
    assert fleet.gates[0].ledger.n_by_outcome[Outcome.COALESCED] == 3
    assert fleet.switched == {(0, "mode", "observe"): 1, (1, "mode", "observe"): 1}
    fleet.hire(1)
    fleet.turn()
    assert fleet.switched[1, "mode", "observe"] == 2


def test_a_single_endpoint_has_nowhere_else(fleet: Fleet) -> None:
    """Nobody is asked where there is no choice."""
    request = ask(fleet, 0)
    assert request.lease is not None
    assert request.gate.reroute(fleet.now_ns, request.lease, Verdict.FAILED) == (None, ())


def test_asked_is_no_decision() -> None:
    """The rim tells them apart by their type."""
    assert Asked().action is Action.WAIT
    assert type(Untouched()) is not Asked


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["arrive"] * 4 + ["depart"] * 3 + ["leave", "host", "links", "tick", "kill", "keeper"]
        ),
        st.integers(0, 9),
        st.integers(0, 40),
    ),
    max_size=120,
)


@settings(max_examples=60)
@given(n_workers=st.integers(1, 4), limit=st.integers(1, 9), steps=STEPS)
def test_whatever_happens_in_whatever_order_the_books_are_right(
    n_workers: int, limit: int, steps: list[tuple[str, int, int]]
) -> None:
    """One outcome each; in flight is what workers hold, within the limit; nothing is negative."""
    identities = Identities(64, 64, 64)
    fleet = Fleet(n_workers, (make_gate(limit, identities),), identities)
    requests: list[tuple[int, Request]] = []
    most = limit
    for what, pick, wait_ms in steps:
        fleet.now_ns += wait_ms * MS
        row = pick % n_workers
        alive = [x for x in requests if x[1].lease is not None]
        chosen = alive[pick % len(alive)][1] if alive else None
        if what == "arrive":
            requests.append((row, ask(fleet, row, pick)))
        elif what == "depart" and chosen is not None and chosen.is_open:
            chosen.depart(fleet.now_ns, Outcome.COMPLETED, 200)
        elif what == "leave" and chosen is not None and chosen.lease is not None:
            chosen.leave(fleet.now_ns)
        elif what == "host":
            fleet.host.drain(pick)
        elif what == "links":
            fleet.links[row].receive()
        elif what == "tick":
            fleet.host.drain()
            fleet.host.tick(fleet.now_ns)
        elif what == "kill":
            for at, request in requests:
                if at == row:
                    request.lease = None
            fleet.hire(row)
        elif what == "keeper":
            identities = Identities(64, 64, 64)
            fleet.gates = (make_gate(limit, identities),)
            fleet.board.keeper[KeeperWord.EPOCH] += 1
            fleet.host = Host(fleet.board, fleet.gates, identities)
            most = 99  # until it has heard of what is open
        assert all(row[0] >= 0 for row in fleet.board.opens)
        assert fleet.gates[0].in_flight >= 0
        held = sum(x.is_open for _, x in requests)
        assert held == sum(row[0] for row in fleet.board.opens)
        assert held <= 2 * most
    for _ in range(3):
        fleet.turn()
        fleet.now_ns += 60 * S
        fleet.host.tick(fleet.now_ns)
        fleet.turn()
        assert fleet.gates[0].in_flight == sum(x.is_open for _, x in requests)
        for _, request in requests:
            if request.is_open:
                request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.line_length) == (0, 0)
    assert all(x.n_ends == 1 for row, x in requests if x.lease is not None or x.n_ends)
    tables = (identities.tenants, identities.flows, identities.trees)
    assert not any(n for table in tables for n in table.n_open)
    assert fleet.host.n_faults == 0
    fleet.close()


def test_reasons_of_the_line_come_through(fleet: Fleet) -> None:
    """Who has waited for as long as is allowed is answered with a time to come back."""
    for who in range(4):
        ask(fleet, 0, who)
    fleet.turn()
    waits = ask(fleet, 1, 9, patience_ns=S)
    fleet.turn()
    fleet.now_ns += 2 * S
    fleet.host.tick(fleet.now_ns)
    fleet.turn()
    action, reason, retry_after_ns, _ = waits.said[-1]
    assert (action, reason) == ("ANSWER", Reason.PATIENCE_SPENT.value)
    assert retry_after_ns >= 0
    assert waits.n_ends == 1


# -- refusals and other places, asked about ----------------------------------------------


def test_a_refusal_outside_a_storm_is_nobodys_business(fleet: Fleet) -> None:
    """The keeper hears of it; nobody waits for what it says."""
    request = ask(fleet, 0)
    fleet.turn()
    remote = fleet.remote[0][0]
    remote.refused.note(fleet.now_ns)
    assert request.lease is not None
    assert remote.refused.answer(fleet.now_ns, request.lease, 429, 0) is None
    fleet.turn()
    assert fleet.gates[0].refused.n_refused == 1


def storm(fleet: Fleet) -> None:
    """Let the upstream refuse until its refusals come as a storm."""
    for _ in range(60):
        fleet.now_ns += 10 * MS
        fleet.remote[0][0].refused.note(fleet.now_ns)
        fleet.turn()
    assert fleet.board.refusals[0]


def test_in_a_storm_each_caller_gets_a_slot_of_its_own_whichever_worker_it_is_at(
    fleet: Fleet,
) -> None:
    """Slots come from one schedule."""
    requests = [ask(fleet, row, who) for who, row in ((1, 0), (2, 1))]
    fleet.turn()
    storm(fleet)
    found = []
    for request in requests:
        assert request.lease is not None
        decision = request.gate.refused.answer(fleet.now_ns, request.lease, 429, 0)
        assert decision is not None
        assert decision.reason is Reason.SLOT_GIVEN
        found.append(decision.retry_after_ns)
    assert found[0] != found[1]
    assert fleet.gates[0].refused.n_slots == 2


def test_who_shares_a_call_gets_a_slot_too(fleet: Fleet) -> None:
    """The keeper has never heard of it: the whole arrival is sent."""
    storm(fleet)
    lease = make_lease(arrival(7), fleet.now_ns, 0, Request(fleet.remote[1][0]))
    decision = fleet.remote[1][0].refused.answer(fleet.now_ns, lease, 503, 0)
    assert decision is not None
    assert decision.retry_after_ns > 0


def test_a_refusal_is_waited_out_and_its_place_given_back(fleet: Fleet) -> None:
    """Its claim goes on under the same number; at its instant it is sent again."""
    request = ask(fleet, 0)
    fleet.turn()
    assert request.lease is not None
    taken = request.gate.refused.absorb(fleet.now_ns, request.lease, 200 * MS, 2 * S)
    assert taken is not None
    decision, followers = taken
    assert (decision.action, decision.reason, followers) == (Action.WAIT, Reason.ABSORBED, ())
    request.lease = decision.lease
    fleet.turn()
    assert fleet.gates[0].in_flight == 0 == fleet.board.opens[0][0]
    for _ in range(60):
        fleet.now_ns += 50 * MS
        fleet.host.tick(fleet.now_ns)
        fleet.turn()
    assert request.said[-1][:2] == ("ADMIT", "absorbed")
    request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert fleet.gates[0].in_flight == 0


def test_nobody_waits_long_for_a_keeper_that_does_not_answer(fleet: Fleet) -> None:
    """The refusal goes on as it came, and for a second nobody asks again."""
    request = ask(fleet, 0)
    fleet.turn()
    storm(fleet)
    link = fleet.links[0]
    waits: list[float] = []

    def sleep(left_s: float) -> bool:
        waits.append(left_s)
        fleet.now_ns += int(left_s * 1e9)
        return False

    link.wait = sleep
    assert request.lease is not None
    for _ in range(3):
        assert request.gate.refused.answer(fleet.now_ns, request.lease, 429, 0) is None
    assert sum(waits) == pytest.approx(ASK_S)
    assert request.gate.refused.absorb(fleet.now_ns, request.lease, 0, S) is None
    fleet.turn()  # the late answer is for nobody
    request.depart(fleet.now_ns, Outcome.REFUSED, 429)
    fleet.turn()
    assert fleet.gates[0].in_flight == 0


@pytest.fixture
def spread() -> Iterator[Fleet]:
    """Return two workers before two endpoints of two places each."""
    identities = Identities(64, 64, 64)
    signals: Any = SilentSignals()
    limits: list[Limit] = [FixedLimit(2), FixedLimit(2)]
    made = Fleet(2, (SpreadGate("up", limits, signals, identities),), identities)
    yield made
    made.close()


def test_where_there_is_a_choice_the_keeper_chooses(spread: Fleet) -> None:
    """Calls of two workers are spread over both endpoints."""
    requests = [ask(spread, who % 2, who) for who in range(4)]
    assert all(x.is_waiting for x in requests)
    spread.turn()
    assert sorted(x.said[0][3] for x in requests) == [0, 0, 1, 1]
    assert [sum(spread.board.opens[row]) for row in (0, 1)] == [2, 2]


def test_a_call_that_failed_moves_or_stays(spread: Fleet) -> None:
    """It hears where to go; the second time there is nowhere, and it is to be closed as failed."""
    request = ask(spread, 0)
    spread.turn()
    first = request.said[0][3]
    assert request.lease is not None
    decision, followers = request.gate.reroute(spread.now_ns, request.lease, Verdict.FAILED)
    assert (type(decision), followers) == (Asked, ())
    request.is_waiting = True
    spread.turn()
    assert request.said[-1] == ("ADMIT", "rerouted", 0, 1 - first)
    assert spread.gates[0].in_flight == 1 == sum(spread.board.opens[0])
    request.gate.reroute(spread.now_ns, request.lease, Verdict.FAILED)
    spread.turn()
    assert request.is_stuck
    assert request.is_open
    request.depart(spread.now_ns, Outcome.FAILED, 502)
    spread.turn()
    assert spread.gates[0].in_flight == 0 == sum(spread.board.opens[0])
