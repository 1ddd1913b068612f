"""Rates over time, on instants made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.storm.series import Axis, peak_hz, recovery_s, timeline
from tests.bench.storm.records import Task, done, job, seen

AXIS = Axis(fault_end_s=12.0, end_s=32.0, offered_hz=100.0)


def steady(from_s: float, to_s: float, rate_hz: float) -> list[float]:
    """Return evenly spaced instants."""
    return [from_s + i / rate_hz for i in range(int((to_s - from_s) * rate_hz))]


def test_full_goodput_at_once_is_recovery_at_nought() -> None:
    """Goodput that is full from the fault's end on has recovered after 0 s."""
    done_s = np.array(steady(0, 8, 100) + steady(12, 32, 100))
    assert recovery_s(done_s, AXIS) == 0.0


def test_recovery_is_where_goodput_becomes_full_for_good() -> None:
    """A dip later on moves the recovery behind it."""
    done_s = np.array(steady(0, 8, 100) + steady(15, 32, 100))
    assert recovery_s(done_s, AXIS) == pytest.approx(3.0, abs=0.25)
    dips = np.array(steady(0, 8, 100) + steady(12, 20, 100) + steady(22, 32, 100))
    assert recovery_s(dips, AXIS) == pytest.approx(10.0, abs=0.6)


def test_goodput_that_stays_low_never_recovers() -> None:
    """80 % of the offered rate is not full."""
    done_s = np.array(steady(0, 8, 100) + steady(12, 32, 80))
    assert recovery_s(done_s, AXIS) == math.inf


def test_ordinary_noise_is_not_a_dip() -> None:
    """Poisson goodput at the offered rate counts as recovered at once."""
    axis = Axis(12.0, 32.0, 240.0)
    rng = np.random.default_rng(4)
    times = sorted(
        recovery_s(np.sort(rng.uniform(12.0, 32.0, rng.poisson(20 * 240))), axis) for _ in range(50)
    )
    assert times[40] <= 1.0


def test_a_peak_is_found_wherever_its_window_begins() -> None:
    """Ten calls across the border of two seconds are ten in one second."""
    instants = np.concatenate([np.linspace(4.7, 5.3, 10), [7.0]])
    assert peak_hz(instants, 0.0, 10.0) == 10.0
    assert peak_hz(instants, 6.0, 10.0) == 1.0
    assert peak_hz(instants, 8.0, 10.0) == 0.0


def test_the_timeline_keeps_every_event() -> None:
    """Rates times their step give the counts again; times are of those that began there."""
    tasks = [
        done("a", 0.1, 0.2),
        done("b", 1.0, 9.0),
        Task("a", 2.0, [(2.0, 2.1, 503), (3.0, 3.2, 200)]),
    ]
    jobs = {"tool": [job(0, 0.1, 0.1, 0.3), job(2, 2.0, 2.0, 2.1)]}
    line = timeline(seen(tasks, jobs), ("a",))
    assert sum(line["goodput_hz"]) * 0.5 == 3
    assert sum(line["attempts_hz"]) * 0.5 == 4
    assert sum(line["refused_hz"]) * 0.5 == 1
    assert sum(line["useful_jobs_hz"]) * 0.5 == 1
    assert sum(line["orphaned_jobs_hz"]) * 0.5 == 1
    assert len(line["t_s"]) == 40
    assert line["p95_s"][0] == pytest.approx(0.2)
    assert math.isnan(line["p95_s"][2])
