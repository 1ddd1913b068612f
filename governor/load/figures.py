"""What the records of a run say: success, times, attempts, waste, and all of it over time.

*Rule of this file*: pure functions of records; no clock, no I/O.

*Definitions*. A task succeeds if it ended with a 2xx reply; tasks open when the
run ended did not. Its time counts from when it was due, over those that
succeeded. Goodput: tasks that succeeded while new ones began, per second of that
time. Waste: of the seconds that requests spent at the service (as its gate saw
them), the share whose reply no caller took as a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from governor.load.record import ANSWERED, TIMED_OUT, Record

Floats = NDArray[np.float64]
Figures = dict[str, Any]

N_STEPS = 80
"""Steps of a timeline: enough for a picture, few enough to be smooth."""

REFUSALS = (429, 503)
MAX_SHOWN_ATTEMPTS = 10


@dataclass
class SideRecord:
    """One run of one side.

    Attributes
    ----------
    record : Record
    target : int
        Which of the record's targets is this side.
    gate_log : list of (number, seconds) or None
        What the gate before the service saw, if there was one.
    """

    record: Record
    target: int = 0
    gate_log: list[tuple[int, float]] | None = None
    tasks: dict[str, Any] = field(init=False)
    attempts: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        tasks, attempts = self.record["tasks"], self.record["attempts"]
        is_mine = np.asarray(tasks["target"]) == self.target
        is_of_mine = is_mine[np.asarray(attempts["task"], dtype=np.int64)]
        began_s = self.record["began_s"]
        self.tasks = {name: np.asarray(column)[is_mine] for name, column in tasks.items()}
        self.attempts = {name: np.asarray(column)[is_of_mine] for name, column in attempts.items()}
        for part in (self.tasks, self.attempts):
            for name in ("began_s", "ended_s", "first_byte_s"):
                if name in part:
                    instants = part[name].astype(np.float64)
                    part[name] = np.where(instants >= 0, instants - began_s, -1.0)


def figures(runs: Sequence[SideRecord], seconds: float) -> Figures:
    """Return every number of one side over its runs."""
    tasks = _join([run.tasks for run in runs])
    attempts = _join([run.attempts for run in runs])
    total_s = seconds * len(runs)
    result = _task_figures(tasks, seconds, total_s)
    result |= _attempt_figures(attempts)
    result["waste_ratio"] = _waste_ratio(runs)
    result["late_p99_s"] = max(run.record["late_s"]["p99"] for run in runs)
    result["late_max_s"] = max(run.record["late_s"]["max"] for run in runs)
    result["generator_cpu_ratio"] = max(_cpu_ratio(run.record) for run in runs)
    result["is_cut"] = any(run.record["is_cut"] for run in runs)
    names = runs[0].record["groups"]
    result["groups"] = {
        name: _task_figures(_select(tasks, tasks["group"] == index), seconds, total_s)
        for index, name in enumerate(names)
    }
    result["timeline"] = timeline(tasks, attempts, seconds, len(runs))
    return result


def _join(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _select(columns: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {name: column[mask] for name, column in columns.items()}


def _task_figures(tasks: dict[str, Any], seconds: float, total_s: float) -> Figures:
    is_done = tasks["is_done"] > 0
    has_ended = tasks["ended_s"] >= 0
    times_s = (tasks["ended_s"] - tasks["began_s"])[is_done]
    n_tasks = len(is_done)
    in_time = is_done & (tasks["ended_s"] < seconds)
    return {
        "tasks": n_tasks,
        "succeeded": int(is_done.sum()),
        "failed": int((has_ended & ~is_done).sum()),
        "unfinished": int((~has_ended).sum()),
        "success_ratio": float(is_done.mean()) if n_tasks else None,
        "attempts_per_task": float(tasks["attempts"].mean()) if n_tasks else None,
        "offered_hz": n_tasks / total_s,
        "goodput_hz": int(in_time.sum()) / total_s,
        "task_p50_s": _percentile(times_s, 50),
        "task_p99_s": _percentile(times_s, 99),
        "task_max_s": _percentile(times_s, 100),
        "attempts_counts": np.bincount(
            np.minimum(tasks["attempts"].astype(np.int64), MAX_SHOWN_ATTEMPTS),
            minlength=MAX_SHOWN_ATTEMPTS + 1,
        ).tolist(),
        "task_times_s": [_percentile(times_s, q) for q in QUANTILES] if len(times_s) else [],
    }


QUANTILES: list[float] = [*range(0, 99), *(99.0 + step / 10 for step in range(11))]
"""Percentiles of the distribution that a report draws."""


def _attempt_figures(attempts: dict[str, Any]) -> Figures:
    statuses, losses = attempts["status"], attempts["loss"]
    is_answered = statuses > 0
    is_refused = np.isin(statuses, REFUSALS)
    waits_s = attempts["first_byte_s"] - attempts["began_s"]
    waits_s = waits_s[(statuses // 100 == 2) & (attempts["first_byte_s"] >= 0)]
    others = statuses[is_answered & ~is_refused & (statuses // 100 != 2)]
    numbers, counts = np.unique(others, return_counts=True)
    return {
        "attempts": len(statuses),
        "first_byte_p50_s": _percentile(waits_s, 50),
        "first_byte_p99_s": _percentile(waits_s, 99),
        "refusals": int(is_refused.sum()),
        "timeouts": int((losses == TIMED_OUT).sum()),
        "broken": int((losses > TIMED_OUT).sum()),
        "other_statuses": {
            str(int(status)): int(count) for status, count in zip(numbers, counts, strict=True)
        },
    }


def _percentile(values: Floats, q: float) -> float | None:
    return float(np.percentile(values, q)) if len(values) else None


def _cpu_ratio(record: Record) -> float:
    wall_s = record["ended_s"] - record["began_s"]
    return float(record["cpu_s"] / wall_s) if wall_s > 0 else 0.0


def _waste_ratio(runs: Sequence[SideRecord]) -> float | None:
    """Return the share of the service's seconds that came back for nobody."""
    total_s = wasted_s = 0.0
    for run in runs:
        if run.gate_log is None:
            return None
        statuses = np.asarray(run.record["attempts"]["status"])
        is_answered = np.asarray(run.record["attempts"]["loss"]) == ANSWERED
        for number, seconds in run.gate_log:
            total_s += seconds
            is_known = 0 <= number < len(statuses)
            if not (is_known and is_answered[number] and statuses[number] // 100 == 2):
                wasted_s += seconds
    return wasted_s / total_s if total_s else None


def timeline(
    tasks: dict[str, Any], attempts: dict[str, Any], seconds: float, n_runs: int
) -> dict[str, list[float]]:
    """Return rates per second over time, the mean of the runs, until the last task's end."""
    step_s = seconds / N_STEPS
    last_s = max(
        seconds,
        float(tasks["ended_s"].max(initial=0.0)),
        float(attempts["began_s"].max(initial=0.0)),
    )
    edges = np.arange(int(np.ceil(last_s / step_s)) + 1) * step_s
    is_done = tasks["is_done"] > 0
    is_refused = np.isin(attempts["status"], REFUSALS)
    is_lost = attempts["loss"] != ANSWERED
    series = {
        "offered_hz": tasks["began_s"],
        "calls_hz": attempts["began_s"],
        "goodput_hz": tasks["ended_s"][is_done],
        "refused_hz": attempts["ended_s"][is_refused],
        "lost_hz": attempts["ended_s"][is_lost],
    }
    out: dict[str, list[float]] = {"at_s": [float(edge + step_s / 2) for edge in edges[:-1]]}
    for name, instants_s in series.items():
        counts, _ = np.histogram(instants_s, bins=edges)
        out[name] = [float(count) / step_s / n_runs for count in counts]
    return out
