"""Rates over time: counts in steps, moving rates, peaks, recovery, the timeline of a run.

*Rule of this file*: pure functions; no clock, no I/O.

*Definitions*
- Recovery: the first moment after the fault from which goodput is full: the first
  second reaches 90 % of the offered rate, and until the end every 5 s reach 90 %
  and every second 70 %. (One-second counts of healthy Poisson traffic at 240/s
  fall below 90 % in one second out of sixteen, so "every second 90 %" would never
  hold for anyone. The goodput measured before the fault is no reference: a proxy
  that refuses at its start has a surplus of postponed tasks there.)
- Peak: the most events in any window of that length, as a rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.storm.seen import REFUSALS, Floats, Seen, percentile

STEP_S = 0.1
FULL_RATIO, SECOND_RATIO, LONG_WINDOW_S = 0.9, 0.7, 5.0
PICTURE_STEP_S = 0.5

Timeline = dict[str, list[float]]


@dataclass(frozen=True)
class Axis:
    """When the fault ends, when load ends (s from the start), and its rate."""

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


def recovery_s(done_at_s: Floats, axis: Axis) -> float:
    """Return how long after the fault's end goodput is full again; infinite: not in the run."""
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
    return float("inf")


def peak_hz(instants_s: Floats, start_s: float, stop_s: float, window_s: float = 1.0) -> float:
    """Return the highest rate in any window within [start_s, stop_s), wherever it begins.

    >>> peak_hz(np.array([0.0, 0.9, 1.1, 5.0]), 0.0, 10.0)
    2.0
    """
    inside = np.sort(instants_s[(instants_s >= start_s) & (instants_s < stop_s)])
    if not len(inside):
        return 0.0
    last = np.searchsorted(inside, inside + window_s, side="left")
    return float((last - np.arange(len(inside))).max()) / window_s


def timeline(seen: Seen, watched: tuple[str, ...]) -> Timeline:
    """Return rates in steps of half a second, and the watched groups' p95."""
    end_s = seen.seconds
    jobs = list(seen.jobs.values())
    useful = [seen.is_useful(each) for each in jobs]
    series = {
        "goodput_hz": seen.ended_s[seen.is_done],
        "attempts_hz": seen.called_s,
        "refused_hz": seen.replied_s[np.isin(seen.status, REFUSALS)],
        "useful_jobs_hz": joined([j.finished_s[u] for j, u in zip(jobs, useful, strict=True)]),
        "orphaned_jobs_hz": joined([j.finished_s[~u] for j, u in zip(jobs, useful, strict=True)]),
    }
    width = round(PICTURE_STEP_S / STEP_S)
    out: Timeline = {}
    for name, instants_s in series.items():
        counts = counts_per_step(instants_s, end_s)
        whole = counts[: len(counts) // width * width].reshape(-1, width).sum(axis=1)
        out[name] = [float(value) for value in whole / PICTURE_STEP_S]
    out["t_s"] = [PICTURE_STEP_S * step for step in range(len(out["goodput_hz"]))]
    is_watched = seen.of(*(watched or seen.groups))
    out["p95_s"] = [
        percentile(seen.took_s[is_watched & seen.begun_in(at_s, at_s + PICTURE_STEP_S)], 95)
        for at_s in out["t_s"]
    ]
    return out


def joined(parts: list[Floats]) -> Floats:
    """Return the parts as one array, empty if there are none."""
    return np.concatenate(parts) if parts else np.zeros(0)
