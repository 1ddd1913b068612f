"""What every run is asked."""

from __future__ import annotations

import math

import pytest

from bench.storm.common import measure
from tests.bench.storm.records import Task, done, seen


def test_a_task_without_an_end_has_not_succeeded() -> None:
    """Success is over all tasks that began; attempts, refusals and losses are counted."""
    tasks = [
        done("a", 1.0, 0.5),
        Task("a", 2.0, [(2.0, 2.1, 429), (3.0, 5.0, 200)]),
        Task("a", 4.0, [(4.0, 6.0, 0), (7.0, -1, -1)]),
    ]
    found = measure(seen(tasks), ())
    assert (found["succeeded"], found["failed"], found["unfinished"]) == (2, 0, 1)
    assert found["success_ratio"] == pytest.approx(2 / 3)
    assert found["attempts_per_task"] == pytest.approx(5 / 3)
    assert (found["refusals"], found["timeouts"], found["broken"]) == (1, 1, 0)
    assert found["p50_s"] == pytest.approx(3.0)
    assert found["p99_s"] == math.inf


def test_times_are_those_of_the_watched() -> None:
    """A batch that takes long does not hide how its neighbours fared; goodput counts all."""
    found = measure(seen([done("people", 1.0, 0.5), done("batch", 1.0, 9.0)]), ("people",))
    assert found["p99_s"] == pytest.approx(0.5)
    assert found["goodput_hz"] == pytest.approx(2 / 20)


def test_what_ends_after_the_load_is_success_but_no_goodput() -> None:
    """Goodput is what was done while the load lasted."""
    found = measure(seen([done("a", 19.0, 5.0)], seconds=20.0), ())
    assert found["success_ratio"] == 1.0
    assert found["goodput_hz"] == 0.0


def test_an_empty_record_is_no_error() -> None:
    """Nothing happened: noughts, and no percentile."""
    found = measure(seen([], groups=["a"]), ())
    assert found["tasks"] == 0
    assert math.isnan(found["p99_s"])
