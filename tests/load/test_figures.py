"""What records say, from records made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from governor.load.figures import SideRecord, figures
from governor.load.record import ATTEMPT_COLUMNS, BROKEN, TASK_COLUMNS, TIMED_OUT

Task = tuple[float, float, bool, int]
"""began, ended, is done, attempts."""
Attempt = tuple[int, float, float, float, int, int]
"""task, began, first byte, ended, status, loss."""

BEGAN_S = 1_000.0


def side(
    tasks: list[Task],
    attempts: list[Attempt],
    gate_log: list[tuple[int, float]] | None = None,
    targets: list[int] | None = None,
    target: int = 0,
    groups: list[int] | None = None,
) -> SideRecord:
    """Return a record with these rows, instants given from the start."""
    task_columns: dict[str, Any] = {name: [0] * len(tasks) for name in TASK_COLUMNS}
    task_columns["began_s"] = [row[0] + BEGAN_S for row in tasks]
    task_columns["ended_s"] = [row[1] + BEGAN_S if row[1] >= 0 else -1.0 for row in tasks]
    task_columns["is_done"] = [int(row[2]) for row in tasks]
    task_columns["attempts"] = [row[3] for row in tasks]
    task_columns["target"] = targets or [0] * len(tasks)
    task_columns["group"] = groups or [0] * len(tasks)
    rows = list(zip(*attempts, strict=True)) if attempts else [()] * 6
    attempt_columns: dict[str, Any] = dict(
        zip(("task", "began_s", "first_byte_s", "ended_s", "status", "loss"), rows, strict=True)
    )
    for name in ("began_s", "first_byte_s", "ended_s"):
        attempt_columns[name] = [v + BEGAN_S if v >= 0 else -1.0 for v in attempt_columns[name]]
    attempt_columns["retry_after_s"] = [-1.0] * len(attempts)
    assert set(attempt_columns) == set(ATTEMPT_COLUMNS)
    record = {
        "began_s": BEGAN_S,
        "ended_s": BEGAN_S + 10.0,
        "cpu_s": 2.5,
        "late_s": {"p50": 0.001, "p99": 0.02, "max": 0.1},
        "is_cut": False,
        "groups": ["one", "two"] if groups else ["agents"],
        "tasks": {name: np.array(column) for name, column in task_columns.items()},
        "attempts": {name: np.array(column) for name, column in attempt_columns.items()},
    }
    return SideRecord(record, target, gate_log)


def test_every_end_of_a_task_is_counted() -> None:
    """Done, failed, still open; goodput counts what was done while new ones began."""
    tasks: list[Task] = [
        (0.0, 1.0, True, 1),
        (1.0, 4.0, True, 3),
        (2.0, 5.0, False, 2),
        (3.0, -1.0, False, 1),
        (9.0, 11.0, True, 1),
    ]
    attempts: list[Attempt] = [
        (0, 0.0, 0.4, 1.0, 200, 0),
        (1, 1.0, 1.2, 1.5, 429, 0),
        (1, 2.0, -1.0, 2.5, 0, TIMED_OUT),
        (1, 3.0, 3.8, 4.0, 201, 0),
        (2, 2.0, 2.1, 2.2, 500, 0),
        (2, 4.0, -1.0, 5.0, 0, BROKEN),
        (3, 3.0, -1.0, -1.0, -1, 0),
        (4, 9.0, 10.0, 11.0, 200, 0),
    ]
    made = figures([side(tasks, attempts)], 10.0)
    counts = [made[name] for name in ("tasks", "succeeded", "failed", "unfinished")]
    assert counts == [5, 3, 1, 1]
    assert made["success_ratio"] == pytest.approx(0.6)
    assert made["attempts_per_task"] == pytest.approx(8 / 5)
    assert made["offered_hz"] == pytest.approx(0.5)
    assert made["goodput_hz"] == pytest.approx(0.2)
    assert made["task_max_s"] == pytest.approx(3.0)
    assert made["first_byte_p50_s"] == pytest.approx(0.8)
    lost = [made[name] for name in ("refusals", "timeouts", "broken", "other_statuses")]
    assert lost == [1, 1, 1, {"500": 1}]
    assert made["attempts_counts"][:4] == [0, 3, 1, 1]
    assert made["waste_ratio"] is None
    assert made["generator_cpu_ratio"] == pytest.approx(0.25)
    assert made["late_p99_s"] == 0.02


def test_waste_is_what_came_back_for_nobody() -> None:
    """Seconds at the service count as useful only if their attempt was taken as a success."""
    tasks: list[Task] = [(0.0, 4.0, True, 2)]
    attempts: list[Attempt] = [
        (0, 0.0, -1.0, 2.0, 0, TIMED_OUT),
        (0, 3.0, 3.5, 4.0, 200, 0),
    ]
    log = [(0, 3.0), (1, 1.0), (-1, 1.0)]
    assert figures([side(tasks, attempts, log)], 10.0)["waste_ratio"] == pytest.approx(0.8)


def test_sides_of_one_record_are_told_apart_by_target() -> None:
    """Each side has its own tasks and their attempts only."""
    tasks: list[Task] = [(0.0, 1.0, True, 1), (0.0, 2.0, False, 1)]
    attempts: list[Attempt] = [(0, 0.0, 0.5, 1.0, 200, 0), (1, 0.0, 0.5, 2.0, 503, 0)]
    both = [figures([side(tasks, attempts, None, [0, 1], target)], 10.0) for target in (0, 1)]
    assert [made["success_ratio"] for made in both] == [1.0, 0.0]
    assert [made["refusals"] for made in both] == [0, 1]


def test_rounds_are_added_and_groups_told_apart() -> None:
    """Rates are of all rounds' time; a group has figures of its own."""
    tasks: list[Task] = [(0.0, 1.0, True, 1), (0.0, 2.0, False, 1)]
    attempts: list[Attempt] = [(0, 0.0, 0.5, 1.0, 200, 0), (1, 0.0, 0.5, 2.0, 400, 0)]
    made = figures([side(tasks, attempts, groups=[0, 1])] * 2, 10.0)
    assert made["tasks"] == 4
    assert made["goodput_hz"] == pytest.approx(0.1)
    assert [made["groups"][name]["success_ratio"] for name in ("one", "two")] == [1.0, 0.0]


def test_the_timeline_holds_every_task_and_call() -> None:
    """The area under each rate is its count, per round, up to the last task's end."""
    tasks: list[Task] = [(0.0, 1.0, True, 1), (9.99, 14.9, True, 1)]
    attempts: list[Attempt] = [(0, 0.0, 0.5, 1.0, 200, 0), (1, 9.99, 14.0, 14.9, 200, 0)]
    made = figures([side(tasks, attempts)] * 3, 10.0)
    line = made["timeline"]
    step_s = line["at_s"][1] - line["at_s"][0]
    assert line["at_s"][-1] > 14.8
    for name in ("offered_hz", "calls_hz", "goodput_hz"):
        assert sum(line[name]) * step_s == pytest.approx(2.0)


def test_nothing_done_is_no_figure_rather_than_nought() -> None:
    """Without a task there is no ratio and no time."""
    made = figures([side([], [])], 10.0)
    names = ("success_ratio", "attempts_per_task", "task_p99_s", "first_byte_p99_s")
    assert [made[name] for name in names] == [None] * 4
    assert made["goodput_hz"] == 0.0
