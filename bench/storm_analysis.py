"""What a storm's record says: success, recovery, orphaned work, attempts, times.

*Rule of this file*: pure functions of the record; no clock, no I/O.

*Definitions*
- Useful work: a job whose caller received a complete 2xx reply to that attempt.
  All other finished work is orphaned, known from the callers themselves and not
  from sockets that a proxy may keep or close.
- Work: demand at full speed, so that a second of a slot during the stall does not
  count ten times. The share in slot-seconds is given beside it.
- Recovery: the first moment after the fault from which goodput is full: the first
  second reaches 90 % of the offered rate, and until the end every 5 s reach 90 %
  and every second 70 %. (One-second counts of healthy Poisson traffic at 240/s
  fall below 90 % in one second out of sixteen, so "every second 90 %" would never
  hold for anyone. The goodput measured before the fault is no reference: a proxy
  that refuses at its start has a surplus of postponed tasks there.)
- A task succeeds if it ended with a reply. Tasks without an end when the drain
  time is over count as not succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.1
SETTLE_S = 2.0
"""Left out of the mean before the fault: the fleet's first seconds."""
FULL_RATIO, SECOND_RATIO, LONG_WINDOW_S = 0.9, 0.7, 5.0
REFUSALS = (429, 503)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """When the fault begins and ends, when load ends (s from the start), and its rate."""

    fault_s: float
    fault_end_s: float
    end_s: float
    offered_hz: float


def counts_per_step(instants_s: Floats, end_s: float) -> NDArray[np.int64]:
    """Return counts in steps of ``STEP_S`` over [0, end_s)."""
    n_steps = round(end_s / STEP_S)
    edges = np.arange(n_steps + 1) * STEP_S
    counted, _ = np.histogram(instants_s, bins=edges)
    return counted.astype(np.int64)


def moving_rate_hz(counts: NDArray[np.int64], window_s: float) -> Floats:
    """Return the rate over [t, t + window_s) for every step t where it fits."""
    width = round(window_s / STEP_S)
    total = np.concatenate(([0], np.cumsum(counts)))
    rates: Floats = (total[width:] - total[:-width]) / window_s
    return rates


def recovery_s(done_at_s: Floats, axis: Axis) -> float | None:
    """Return how long after the fault's end goodput is full again; None: not in the run."""
    counts = counts_per_step(done_at_s, axis.end_s)
    full_hz, second_hz = FULL_RATIO * axis.offered_hz, SECOND_RATIO * axis.offered_hz
    after = counts[round(axis.fault_end_s / STEP_S) :]
    seconds, longs = moving_rate_hz(after, 1.0), moving_rate_hz(after, LONG_WINDOW_S)
    for start in range(len(longs)):
        if (
            seconds[start] >= full_hz
            and (longs[start:] >= full_hz).all()
            and (seconds[start:] >= second_hz).all()
        ):
            return start * STEP_S
    return None


def orphaned_share(
    jobs: list[tuple[int, float, float, float, float, bool]], statuses: NDArray[np.int64]
) -> tuple[float, float, int]:
    """Return the orphaned share of work, of slot-seconds, and the number of such jobs."""
    work = slot_seconds = orphan_work = orphan_slot_seconds = 0.0
    n_orphans = 0
    for attempt, _, started_s, finished_s, demand_s, _ in jobs:
        status = int(statuses[attempt]) if 0 <= attempt < len(statuses) else 0
        if status < 0:
            continue
        work += demand_s
        slot_seconds += finished_s - started_s
        if not 200 <= status < 300:
            n_orphans += 1
            orphan_work += demand_s
            orphan_slot_seconds += finished_s - started_s
    return (
        orphan_work / work if work else 0.0,
        orphan_slot_seconds / slot_seconds if slot_seconds else 0.0,
        n_orphans,
    )


def analyse(record: dict[str, Any], axis: Axis) -> dict[str, Any]:
    """Return every number of one run."""
    tasks = np.array(record["tasks"], dtype=np.float64).reshape(-1, 4)
    attempts = np.array(record["attempts"], dtype=np.float64).reshape(-1, 3)
    began_s = record["began_s"]
    is_done, has_ended = tasks[:, 2] > 0, tasks[:, 1] >= 0
    statuses = attempts[:, 2].astype(np.int64)
    done_at_s = tasks[is_done, 1] - began_s
    times_s = tasks[is_done, 1] - tasks[is_done, 0]
    work, slot_seconds, n_orphans = orphaned_share(record["jobs"], statuses)
    before = done_at_s[(done_at_s >= SETTLE_S) & (done_at_s < axis.fault_s)]
    after = done_at_s[(done_at_s >= axis.fault_end_s) & (done_at_s < axis.end_s)]
    return {
        "tasks": len(tasks),
        "succeeded": int(is_done.sum()),
        "failed": int((has_ended & ~is_done).sum()),
        "unfinished": int((~has_ended).sum()),
        "success_ratio": float(is_done.mean()) if len(tasks) else 0.0,
        "recovery_s": recovery_s(done_at_s, axis),
        "goodput_before_hz": len(before) / (axis.fault_s - SETTLE_S),
        "goodput_after_hz": len(after) / (axis.end_s - axis.fault_end_s),
        "orphaned_work_ratio": work,
        "orphaned_slot_seconds_ratio": slot_seconds,
        "orphaned_jobs": n_orphans,
        "jobs": len(record["jobs"]),
        "attempts_per_task": float(tasks[:, 3].mean()) if len(tasks) else 0.0,
        "refusals": int(np.isin(statuses, REFUSALS).sum()),
        "timeouts": int((statuses == 0).sum()),
        "other_statuses": int(((statuses > 0) & (statuses // 100 != 2)).sum())
        - int(np.isin(statuses, REFUSALS).sum()),
        "task_p50_s": float(np.percentile(times_s, 50)) if len(times_s) else 0.0,
        "task_p99_s": float(np.percentile(times_s, 99)) if len(times_s) else 0.0,
        "task_max_s": float(times_s.max()) if len(times_s) else 0.0,
        "callers_cpu_s": record["cpu_s"],
        "timeline": timeline(record, done_at_s, attempts, axis),
    }


def timeline(
    record: dict[str, Any], done_at_s: Floats, attempts: Floats, axis: Axis
) -> dict[str, list[float]]:
    """Return rates in steps of half a second: tasks done, calls, useful and orphaned jobs."""
    began_s = record["began_s"]
    statuses = attempts[:, 2].astype(np.int64)
    jobs = np.array([job[:5] for job in record["jobs"]], dtype=np.float64).reshape(-1, 5)
    numbers = jobs[:, 0].astype(np.int64)
    is_useful = (statuses[numbers] // 100 == 2) if len(jobs) else np.zeros(0, dtype=bool)
    finished_s = jobs[:, 3] - began_s
    refused_s = attempts[np.isin(statuses, REFUSALS), 1] - began_s
    series = {
        "goodput_hz": done_at_s,
        "attempts_hz": attempts[:, 0] - began_s,
        "refused_hz": refused_s,
        "useful_jobs_hz": finished_s[is_useful],
        "orphaned_jobs_hz": finished_s[~is_useful],
    }
    width = round(0.5 / STEP_S)
    out: dict[str, list[float]] = {}
    for name, instants_s in series.items():
        counts = counts_per_step(instants_s, axis.end_s)
        whole = counts[: len(counts) // width * width].reshape(-1, width).sum(axis=1)
        out[name] = [float(value) for value in whole / 0.5]
    out["t_s"] = [0.5 * step for step in range(len(out["goodput_hz"]))]
    return out
