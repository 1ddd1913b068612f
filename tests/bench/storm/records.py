"""Records made by hand: a few tasks, their attempts and the services' jobs, s from the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.storm.seen import Seen

BEGAN_S = 1_000.0


@dataclass
class Task:
    """One task of one group. Each attempt is (began_s, ended_s, status); -1 ended: open."""

    group: str
    began_s: float
    attempts: list[tuple[float, float, int]]
    demand_s: float = 0.1
    first_byte_s: float = -1.0


def done(group: str, began_s: float, took_s: float, demand_s: float = 0.1) -> Task:
    """Return a task that succeeded at once."""
    return Task(group, began_s, [(began_s, began_s + took_s, 200)], demand_s)


def job(
    attempt: int, arrived_s: float, started_s: float, finished_s: float, demand_s: float = 0.1
) -> list[Any]:
    """Return a job as a service logs it."""
    instants = [BEGAN_S + at_s for at_s in (arrived_s, started_s, finished_s)]
    return [attempt, *instants, demand_s, True]


def seen(
    tasks: list[Task],
    jobs: dict[str, list[list[Any]]] | None = None,
    refused: dict[str, list[tuple[int, float, int]]] | None = None,
    groups: list[str] | None = None,
    seconds: float = 20.0,
) -> Seen:
    """Return the run."""
    groups = groups or list(dict.fromkeys(task.group for task in tasks))
    columns: dict[str, list[Any]] = {
        name: [] for name in ("group", "began_s", "ended_s", "is_done", "attempts", "demand_s")
    }
    calls: dict[str, list[Any]] = {
        name: [] for name in ("task", "began_s", "first_byte_s", "ended_s", "status", "loss")
    }
    for number, task in enumerate(tasks):
        _, last_s, status = task.attempts[-1]
        is_over = last_s >= 0
        row = (
            groups.index(task.group),
            BEGAN_S + task.began_s,
            BEGAN_S + last_s if is_over else -1.0,
            status // 100 == 2,
            len(task.attempts),
            task.demand_s,
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        for began_s, ended_s, code in task.attempts:
            first_s = BEGAN_S + task.first_byte_s if task.first_byte_s >= 0 else -1.0
            ended_at_s = BEGAN_S + ended_s if ended_s >= 0 else -1.0
            call = (number, BEGAN_S + began_s, first_s, ended_at_s, code, int(code == 0))
            for column, value in zip(calls.values(), call, strict=True):
                column.append(value)
    names = {*(jobs or {}), *(refused or {})} or {"tool"}
    logs = {
        name: [
            {
                "jobs": (jobs or {}).get(name, []),
                "refused": [(n, BEGAN_S + at_s, s) for n, at_s, s in (refused or {}).get(name, [])],
            }
        ]
        for name in names
    }
    record = {"began_s": BEGAN_S, "cpu_s": 1.0, "tasks": columns, "attempts": calls}
    return Seen(record, logs, groups, seconds)
