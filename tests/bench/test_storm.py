"""The storm's options and table."""

from __future__ import annotations

import pytest

from bench import storm
from bench.children import BenchError


def test_a_run_too_short_to_recover_is_refused() -> None:
    """There must be time after the fault."""
    with pytest.raises(BenchError, match="--seconds"):
        storm.main(["--seconds", "10", "--peers", "direct"])


def test_the_table_gives_every_seeds_recovery() -> None:
    """A seed that never recovers is said so; shares are means over seeds."""
    run = {
        "tasks": 100,
        "succeeded": 99,
        "failed": 1,
        "unfinished": 0,
        "recovery_s": 0.4,
        "orphaned_work_ratio": 0.01,
        "orphaned_slot_seconds_ratio": 0.02,
        "attempts_per_task": 1.1,
        "task_p50_s": 0.1,
        "task_p99_s": 2.0,
        "task_max_s": 3.0,
        "refusals": 10,
        "timeouts": 5,
        "goodput_before_hz": 240.0,
        "goodput_after_hz": 239.0,
    }
    worse = {**run, "recovery_s": None, "orphaned_work_ratio": 0.03}
    text = storm.markdown({"direct": [run, worse]}, storm.arguments([]), "versions")
    assert "Governor" not in text
    assert "| direct | 99.00% | 2 / 0 | 0.4, never | 2.00% | 2.00% | 1.10 |" in text


def test_the_verdict_is_by_the_worst_seed() -> None:
    """One seed beyond a bound is a NO."""
    good = {
        "succeeded": 5,
        "tasks": 5,
        "recovery_s": 0.3,
        "orphaned_work_ratio": 0.002,
        "attempts_per_task": 1.15,
    }
    assert "NO" not in storm.verdict([good, good])
    assert storm.verdict([good, {**good, "succeeded": 4}]).count("NO") == 1
    assert storm.verdict([good, {**good, "recovery_s": None}]).count("NO") == 1
    bad = {**good, "orphaned_work_ratio": 0.011, "attempts_per_task": 1.21, "recovery_s": 1.1}
    assert storm.verdict([bad]).count("NO") == 3
