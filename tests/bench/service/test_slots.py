"""The service's queueing core on a made-up time axis."""

from __future__ import annotations

import random

import pytest

from bench.service.slots import Job, Slots


def run(slots: Slots, arrivals: list[tuple[float, float]], until_s: float) -> list[Job]:
    """Offer (instant, demand) in order and return all jobs that ended by ``until_s``."""
    done: list[Job] = []
    for at_s, demand_s in arrivals:
        done += slots.advance(at_s)
        slots.offer(Job(demand_s, at_s))
    return done + slots.advance(until_s)


def test_jobs_wait_in_order_of_arrival() -> None:
    """With one slot, jobs follow one another without a gap, first come first served."""
    done = run(Slots(1), [(0.0, 1.0), (0.1, 2.0), (0.2, 0.5)], 10.0)
    assert [job.finished_s for job in done] == pytest.approx([1.0, 3.0, 3.5])
    assert [job.started_s for job in done] == pytest.approx([0.0, 1.0, 3.0])


def test_a_late_timer_costs_no_capacity() -> None:
    """A job starts at the exact end of the one before, however late anybody looks."""
    slots = Slots(1)
    slots.offer(Job(1.0, 0.0))
    slots.offer(Job(1.0, 0.0))
    assert [job.finished_s for job in slots.advance(5.0)] == pytest.approx([1.0, 2.0])


def test_a_fault_slows_what_is_running() -> None:
    """At a tenth of the speed the rest of a job takes ten times as long."""
    slots = Slots(1, [(1.0, 0.1), (5.0, 1.0)])
    done = run(slots, [(0.5, 0.6)], 10.0)
    assert done[0].finished_s == pytest.approx(2.0)
    slots = Slots(1, [(1.0, 0.1), (5.0, 1.0)])
    done = run(slots, [(0.5, 1.0)], 10.0)
    assert done[0].finished_s == pytest.approx(5.1)


def test_a_stopped_service_goes_on_later() -> None:
    """At speed nought nothing ends, and nothing is lost."""
    slots = Slots(1, [(1.0, 0.0), (3.0, 1.0)])
    slots.offer(Job(2.0, 0.0))
    assert slots.advance(2.9) == []
    assert slots.next_s() == pytest.approx(3.0)
    assert [job.finished_s for job in slots.advance(9.0)] == pytest.approx([4.0])


def test_without_end_every_job_starts_at_once() -> None:
    """No slots given: no line."""
    done = run(Slots(0), [(0.0, 1.0)] * 100, 1.0)
    assert len(done) == 100


def test_stepping_changes_nothing() -> None:
    """Looking often or seldom gives the same instants, through a fault too."""
    rng = random.Random(3)
    arrivals = sorted((rng.uniform(0, 10), rng.expovariate(10)) for _ in range(500))
    faults = [(3.0, 0.1), (5.0, 1.0)]
    often, seldom = Slots(4, faults), Slots(4, faults)
    seen = run(seldom, arrivals, 100.0)
    stepped: list[Job] = []
    now_s = 0.0
    for at_s, demand_s in arrivals:
        while now_s < at_s:
            stepped += often.advance(now_s)
            now_s += 0.013
        stepped += often.advance(at_s)
        now_s = max(now_s, at_s)
        often.offer(Job(demand_s, at_s))
    stepped += often.advance(100.0)
    assert [j.finished_s for j in stepped] == pytest.approx([j.finished_s for j in seen])
    assert max(often.n_running, seldom.n_running) == 0


def test_next_is_the_first_end_or_change() -> None:
    """The rim needs one timer: the next end of a job or change of speed."""
    slots = Slots(2, [(4.0, 0.5)])
    assert slots.next_s() == 4.0
    slots.offer(Job(1.0, 0.0))
    slots.offer(Job(0.5, 0.0))
    assert slots.next_s() == pytest.approx(0.5)


def test_a_bounded_line_refuses_what_does_not_fit() -> None:
    """With one slot and a line of one the third is not taken in; who started is told."""
    slots = Slots(1, queue_bound=1)
    jobs = [Job(1.0, 0.0) for _ in range(3)]
    assert [slots.offer(job) for job in jobs] == [True, True, False]
    assert slots.started == jobs[:1]
    slots.advance(1.5)
    assert slots.started == jobs[:2]
    assert slots.offer(jobs[2])
