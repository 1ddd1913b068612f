"""A worker or the keeper dies, is slow or silent: nobody is held, nothing is counted twice."""

from __future__ import annotations

import pytest

from governor.workers.board import KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.link import GRACE_NS, SILENCE_NS
from policies.decision import Outcome
from tests.workers.rig import MS, Fleet, S, ask, make_gate


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


@pytest.mark.interpreted
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
