"""What a record says, on records made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.storm_analysis import Axis, analyse, orphaned_share, recovery_s

AXIS = Axis(fault_s=8.0, fault_end_s=12.0, end_s=32.0, offered_hz=100.0)


def steady(from_s: float, to_s: float, rate_hz: float) -> list[float]:
    """Return evenly spaced instants."""
    return [from_s + i / rate_hz for i in range(int((to_s - from_s) * rate_hz))]


def test_full_goodput_at_once_is_recovery_at_nought() -> None:
    """Goodput that is full from the fault's end on has recovered after 0 s."""
    done = np.array(steady(0, 8, 100) + steady(12, 32, 100))
    assert recovery_s(done, AXIS) == 0.0


def test_recovery_is_where_goodput_becomes_full_for_good() -> None:
    """A dip later on moves the recovery behind it."""
    done = np.array(steady(0, 8, 100) + steady(15, 32, 100))
    assert recovery_s(done, AXIS) == pytest.approx(3.0, abs=0.25)
    dips = np.array(steady(0, 8, 100) + steady(12, 20, 100) + steady(22, 32, 100))
    assert recovery_s(dips, AXIS) == pytest.approx(10.0, abs=0.6)


def test_goodput_that_stays_low_never_recovers() -> None:
    """80 % of the offered rate is not full."""
    done = np.array(steady(0, 8, 100) + steady(12, 32, 80))
    assert recovery_s(done, AXIS) is None


def test_ordinary_noise_is_not_a_dip() -> None:
    """Poisson goodput at the offered rate counts as recovered at once."""
    axis = Axis(8.0, 12.0, 32.0, 240.0)
    rng = np.random.default_rng(4)
    found = []
    for _ in range(50):
        done = np.sort(rng.uniform(12.0, 32.0, rng.poisson(20 * 240)))
        found.append(recovery_s(done, axis))
    times = sorted(99.0 if value is None else value for value in found)
    assert times[40] <= 1.0


def test_work_is_useful_only_if_its_caller_got_the_reply() -> None:
    """Refusals do no work; a timed-out attempt's job is orphaned; one under way counts nowhere."""
    statuses = np.array([200, 0, -1, 503])
    jobs = [
        (0, 0.0, 0.0, 1.0, 0.1, True),
        (1, 0.0, 0.0, 3.0, 0.3, True),
        (2, 0.0, 0.0, 1.0, 9.0, True),
    ]
    work, slot_seconds, n_orphans = orphaned_share(jobs, statuses)
    assert work == pytest.approx(0.75)
    assert slot_seconds == pytest.approx(0.75)
    assert n_orphans == 1


def record(**changes: Any) -> dict[str, Any]:
    """Return a record of three tasks: done at once, done at the second attempt, never ended."""
    value: dict[str, Any] = {
        "began_s": 1000.0,
        "cpu_s": 1.0,
        "tasks": [(1001.0, 1001.1, True, 1), (1002.0, 1005.0, True, 2), (1030.0, -1.0, False, 1)],
        "attempts": [
            (1001.0, 1001.1, 200),
            (1002.0, 1002.1, 429),
            (1004.9, 1005.0, 200),
            (1030.0, -1.0, -1),
        ],
        "jobs": [(0, 1001.0, 1001.0, 1001.1, 0.1, True), (2, 1004.9, 1004.9, 1005.0, 0.1, True)],
    }
    return {**value, **changes}


def test_a_task_without_an_end_has_not_succeeded() -> None:
    """Success is over all tasks that began."""
    seen = analyse(record(), AXIS)
    assert (seen["succeeded"], seen["failed"], seen["unfinished"]) == (2, 0, 1)
    assert seen["success_ratio"] == pytest.approx(2 / 3)
    assert seen["attempts_per_task"] == pytest.approx(4 / 3)
    assert seen["refusals"] == 1
    assert seen["task_max_s"] == pytest.approx(3.0)


def test_the_timeline_keeps_every_event() -> None:
    """Rates times their step give the counts again."""
    line = analyse(record(), AXIS)["timeline"]
    assert sum(line["goodput_hz"]) * 0.5 == 2
    assert sum(line["attempts_hz"]) * 0.5 == 4
    assert sum(line["useful_jobs_hz"]) * 0.5 == 2
    assert len(line["t_s"]) == 64


def test_an_empty_record_is_no_error() -> None:
    """Nothing happened: zeros."""
    seen = analyse(record(tasks=[], attempts=[], jobs=[]), AXIS)
    assert seen["tasks"] == 0
    assert seen["recovery_s"] is None
