"""Many workers before one gate: one outcome each, one count of what is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from governor.core.identity import Identities
from governor.core.lease import Asked, Untouched
from governor.core.spread import SpreadGate
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict
from policies.limit import FixedLimit, Limit
from tests.workers.rig import MS, Fleet, S, SilentSignals, ask


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
