"""What-if: tasks without their retries, a service of slots, callers that come back by their law."""

from __future__ import annotations

from pathlib import Path

import pytest

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.record.calls import Attempt, Demand, Task, demand_of
from governor.record.whatif import Model
from policies.limit import FixedLimit
from policies.switches import Modes
from signals import SignalBank
from tests.record.test_replay import record
from tests.record.traffic import MS, Run, make_config

S = 1_000 * MS


def make_gate(limit: int, **options: int) -> Gate:
    """Return a gate with a fixed limit and places for a hundred callers."""
    identities = Identities()
    for key in range(1, 100):
        for table in (identities.tenants, identities.flows, identities.trees):
            table.index(key, 0)
    return Gate("tools", [FixedLimit(limit)], SignalBank(65_536), identities, **options)


def make_tasks(n: int, held_ns: int = S, **task: int) -> list[Task]:
    """Return ``n`` calls at once, each of its own flow."""
    return [
        Task(10 * S, 0, Arrival(1, 1 + x, 1 + x, x, is_identified=True), [Attempt(held_ns)], **task)
        for x in range(n)
    ]


def test_whoever_the_limit_admits_is_served_and_the_rest_waits() -> None:
    """Four calls, two places: all done, two held a second each."""
    fate = Model(Demand(make_tasks(4), [4], None), [make_gate(2)]).run()
    assert (fate.n_done, fate.n_held, fate.n_answered) == (4, 2, 0)
    assert fate.waited_s == pytest.approx(2.0)
    assert (fate.useful_s, fate.wasted_s) == (4.0, 0.0)


def test_a_route_that_governs_observes_where_all_does() -> None:
    """The ungoverned column holds nobody, whatever the recorded routes laid down."""
    tasks = make_tasks(4)
    for task in tasks:
        task.arrival.switches = Modes(hold="observe").pack()
        task.arrival.max_wait_ns = MS
    fate = Model(Demand(tasks, [4], None), [make_gate(2, is_observing=True)]).run()
    assert (fate.n_done, fate.n_held, fate.n_answered) == (4, 0, 0)
    assert {task.arrival.switches for task in tasks} == {Modes(hold="observe").pack()}


def test_a_service_without_a_limit_before_it_works_for_those_who_left() -> None:
    """Six calls at a slot, callers of 2.5 s: what comes later is wasted whole."""
    fate = Model(Demand(make_tasks(6, leaves_ns=2_500 * MS), [1], None), [make_gate(100)]).run()
    assert (fate.n_done, fate.n_left) == (2, 4)
    assert (fate.useful_s, fate.wasted_s) == (2.0, 4.0)


def test_failed_calls_fail_again_and_their_callers_come_back_by_their_law() -> None:
    """A recorded failure is a failure; the second attempt comes after the recorded time."""
    task = make_tasks(1)[0]
    task.attempts[0].is_failed = True
    task.attempts.append(Attempt(held_ns=2 * S, away_ns=5 * S))
    fate = Model(Demand([task], [1], None), [make_gate(1)]).run()
    assert (fate.n_arrivals, fate.n_failed, fate.n_done) == (2, 1, 1)
    assert (fate.useful_s, fate.wasted_s) == (2.0, 1.0)


def test_retries_of_a_recording_are_attempts_of_their_task(tmp_path: Path) -> None:
    """Fewer tasks than calls; every call is in one; what became of them is counted once."""
    run = Run(make_config(), seed=2)
    run.play(4.0, 250.0)
    demand = demand_of(record(run, tmp_path / "a.rec"))
    assert demand.fate is not None
    n_attempts = sum(len(task.attempts) for task in demand.tasks)
    assert n_attempts == demand.fate.n_arrivals > len(demand.tasks)
    assert demand.fate.n_done > 0.5 * len(demand.tasks)
    assert demand.n_slots[1] == 6


def test_new_tasks_come_in_between_what_is_to_come() -> None:
    """Tasks are taken one by one in order of time, before what ends at the same instant."""
    tasks = make_tasks(1) + make_tasks(1, held_ns=2 * S)
    tasks[1].at_ns = 11 * S  # as the first one ends
    assert Model(Demand(tasks, [2], None), [make_gate(1)]).run().n_held == 1
    tasks[1].at_ns = 11 * S + 1
    assert Model(Demand(tasks, [2], None), [make_gate(1)]).run().n_held == 0
