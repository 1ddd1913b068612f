"""When one caller is back, from whole histories: every law drawn from all failures anew.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from signals import backoff
from signals.families import N_FAMILIES, SCHEDULES

BIN_NS = 50_000_000
BIN_S = 0.05
N_AGES = 256


@dataclass
class Failure:
    """One failure handed to a caller."""

    at_ns: int
    law: int
    q: int
    due_ns: int
    back_ns: int | None = None
    has_given_up: bool = False
    """It came back, but with a fresh call."""


Counts = npt.NDArray[np.float64]
"""Of one law, by bin of lag: returned, outlived, and the returns' places and squared places."""


def find_lag(lag_ns: int) -> int:
    """The bin of a lag, by the table of edges."""
    return min(63, bisect.bisect_right(backoff.EDGES_NS.tolist(), lag_ns) - 1)


@functools.cache
def compute_prior(law: int, q: int) -> list[tuple[float, float, float]]:
    """Hazard, mean place and mean squared place of each bin, from the published laws."""
    own = [k for k, s in enumerate(SCHEDULES) if s.family == law and law < N_FAMILIES]
    weights = []
    for k, schedule in enumerate(SCHEDULES):
        generic = 1.0 / len(SCHEDULES)
        weight = generic
        if own:
            share = 0.0
            if k in own:
                share = 1.0
                if len(own) > 1:
                    share = 0.7 if k == own[0] else 0.3 / (len(own) - 1)
            weight = 0.05 * generic + 0.95 * share
        weights.append(weight * (1.0 if q < schedule.n_retries else 0.1))
    rows = []
    alive = 1.0
    for lag in range(64):
        low, high = backoff.EDGES_NS[lag] * 1e-9, backoff.EDGES_NS[lag + 1] * 1e-9
        mass = mean = square = 0.0
        for schedule, weight in zip(SCHEDULES, weights, strict=True):
            start, stop = schedule.intervals_s[q]
            stop += 0.010
            a, b = max(start, low), min(stop, high)
            if b > a:
                share = weight * (b - a) / (stop - start)
                u, v = (a - low) / (high - low), (b - low) / (high - low)
                mass += share
                mean += share * (u + v) / 2
                square += share * (v**3 - u**3) / (3 * (v - u))
        hazard = min(0.98, max(0.001, mass / max(alive, mass))) if mass > 0 else 0.001
        rows.append((hazard, mean / mass, square / mass) if mass > 0 else (hazard, 0.5, 1 / 3))
        alive = max(0.0, alive - mass)
    return rows


def compute_mass(shares: list[tuple[float, float, float]]) -> list[float]:
    """Chance of return per forecast bin; shares are (mass, from, to), uniform in between."""
    x = np.arange(-1, N_AGES + 1) * BIN_S
    integral = np.zeros(len(x))
    for mass, low, high in shares:
        inside = (x - low) ** 2 / (2 * max(high - low, 1e-12))
        integral += mass * np.where(x >= high, x - (low + high) / 2, np.where(x > low, inside, 0))
    return (np.diff(integral, 2) / BIN_S).tolist()  # type: ignore[no-any-return]


def count_laws(failures: list[Failure], bin_idx: int) -> dict[tuple[int, int], Counts]:
    """What all failures so far have taught."""
    laws: dict[tuple[int, int], Counts] = {}
    for f in failures:
        if f.due_ns or f.law == N_FAMILIES:
            continue
        counts = laws.setdefault((f.law, f.q), np.zeros((4, 64)))
        if f.back_ns is not None and not f.has_given_up:
            lag_ns = f.back_ns - f.at_ns
            lag = find_lag(lag_ns)
            low, high = int(backoff.EDGES_NS[lag]), int(backoff.EDGES_NS[lag + 1])
            u = (lag_ns - low) / (high - low)
            counts[:, lag] += (1, 0, u, u * u)
            counts[1, :lag] += 1
        else:
            age = min(bin_idx - f.at_ns // BIN_NS, N_AGES - 1)
            if f.has_given_up:
                age = N_AGES - 1
            counts[1, age * BIN_NS >= backoff.EDGES_NS[1:]] += 1
    return laws


def draw_law(law: int, q: int, counts: Counts) -> list[float]:
    """Kaplan-Meier over what is expected of a law and what was seen."""
    h, m, m2 = np.array(compute_prior(law, q)).T
    returned, outlived, place, square = (
        counts + 20.0 * np.array([h, 1 - h, h * m, h * m2])
    ).tolist()
    shares, alive = [], 1.0
    for k in range(64):
        low, high = backoff.EDGES_NS[k] * 1e-9, backoff.EDGES_NS[k + 1] * 1e-9
        if low >= N_AGES * BIN_S:
            break
        mass = alive * returned[k] / (returned[k] + outlived[k])
        alive -= mass
        mean = place[k] / returned[k]
        reach = math.sqrt(3 * max(0.0, square[k] / returned[k] - mean * mean))
        left, right = max(0.0, mean - reach), min(1.0, mean + reach)
        shares.append((mass, low + (high - low) * left, low + (high - low) * right))
    return compute_mass(shares)
