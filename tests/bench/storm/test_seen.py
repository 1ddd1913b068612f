"""A run as arrays: response times, usefulness, waste."""

from __future__ import annotations

import numpy as np
import pytest

from bench.storm.seen import percentile
from tests.bench.storm.records import Task, done, job, seen


def test_a_task_that_never_succeeded_took_for_ever() -> None:
    """Nobody looks quick by failing: refused and open tasks have an infinite response time."""
    run = seen(
        [done("a", 1.0, 0.5), Task("a", 1.0, [(1.0, 2.0, 503)]), Task("a", 3.0, [(3, -1, -1)])]
    )
    assert run.took_s.tolist() == [0.5, np.inf, np.inf]
    assert run.has_ended.tolist() == [True, True, False]


def test_work_is_useful_only_if_its_caller_got_the_reply() -> None:
    """A timed-out attempt's job is waste; one still under way at the end counts nowhere."""
    tasks = [
        done("a", 0.0, 1.0),
        Task("a", 0.0, [(0.0, 2.0, 0)]),
        Task("a", 0.0, [(0.0, -1, -1)]),
    ]
    jobs = [job(0, 0, 0, 1.0, 0.1), job(1, 0, 0, 3.0, 0.1), job(2, 0, 0, 50.0, 5.0)]
    run = seen(tasks, {"tool": jobs})
    assert run.wasted() == pytest.approx(0.75)
    assert run.wasted(in_demand=True) == pytest.approx(0.5)


def test_a_job_nobody_numbered_is_waste() -> None:
    """Work for an attempt that is not in the record benefited nobody."""
    run = seen([done("a", 0.0, 1.0)], {"tool": [job(0, 0, 0, 1.0), job(-1, 0, 0, 1.0)]})
    assert run.wasted() == pytest.approx(0.5)


def test_busy_time_is_clipped_to_its_window() -> None:
    """A job from 1 to 3 s is busy for one second of [2, 4)."""
    run = seen([done("a", 0.0, 1.0)], {"tool": [job(0, 0.5, 1.0, 3.0)]})
    assert run.jobs["tool"].busy_s(2.0, 4.0) == pytest.approx(1.0)
    assert run.jobs["tool"].busy_s(4.0, 9.0) == 0.0


def test_the_first_byte_counts_from_when_the_task_was_due() -> None:
    """Waiting for a second attempt is waiting too; without success there is no first byte."""
    late = Task("a", 1.0, [(1.0, 2.0, 429), (4.0, 9.0, 200)], first_byte_s=5.0)
    never = Task("a", 1.0, [(1.0, 2.0, 429)], first_byte_s=1.5)
    run = seen([late, never])
    assert run.first_byte_took_s().tolist() == [4.0, np.inf]


def test_a_percentile_is_one_of_the_values() -> None:
    """Infinite values do not turn a percentile below them into nonsense."""
    values = np.array([*range(1, 100), np.inf], dtype=float)
    assert percentile(values, 99) == 99.0
    assert percentile(values, 100) == np.inf
    assert np.isnan(percentile(np.zeros(0), 99))
