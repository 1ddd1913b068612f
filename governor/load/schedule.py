"""When fresh tasks begin and what they ask for: pure functions of plan, seed and time.

*Rule of this file*: randomness and instants come in as arguments; instants are
seconds from the start of the run. Nothing here knows what became of a task: the
same seed gives the same schedule whatever is called.

*Theory*: arrivals of a Poisson process whose rate varies are found by inverting
its integral: the next one comes when the integral has grown by an exponential
draw of mean 1 (Çinlar, "Introduction to Stochastic Processes", 1975, section
4.7). For a rate of straight lines that is the root of a quadratic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from governor.load.plan import Demand, Herd, Open, Ramp

Points = tuple[tuple[float, float], ...]
"""(at_s, rate_hz) in order of time."""


def rng_for(seed: int, group: int, lane: int, what: str = "") -> Random:
    """Return the generator of one lane of a group; lanes are independent of each other."""
    return Random(f"{seed}/{group}/{lane}/{what}")


def points_of(shape: Open | Ramp) -> Points:
    """Return the rate over time of an open shape."""
    return ((0.0, shape.rate_hz),) if isinstance(shape, Open) else shape.points


def rate_hz(points: Points, at_s: float) -> float:
    """Return the rate at an instant.

    >>> rate_hz(((0.0, 10.0), (10.0, 20.0)), 5.0)
    15.0
    """
    for (left_s, left_hz), (right_s, right_hz) in pairwise(points):
        if left_s <= at_s < right_s:
            return left_hz + (right_hz - left_hz) * (at_s - left_s) / (right_s - left_s)
    return points[0][1] if at_s < points[0][0] else points[-1][1]


def next_arrival_s(points: Points, after_s: float, units: float) -> float:
    """Return when the integral of the rate since ``after_s`` reaches ``units``; inf for never.

    >>> next_arrival_s(((0.0, 10.0),), 1.0, 5.0)
    1.5
    """
    for corner_s, _ in points:
        length_s = corner_s - after_s
        if length_s <= 0.0:
            continue
        start_hz = rate_hz(points, after_s)
        middle_hz = rate_hz(points, after_s + length_s / 2.0)
        if middle_hz * length_s >= units:
            return after_s + _root_s(start_hz, 2.0 * (middle_hz - start_hz), length_s, units)
        units -= middle_hz * length_s
        after_s = corner_s
    last_hz = points[-1][1]
    return after_s + units / last_hz if last_hz > 0 else math.inf


def _root_s(start_hz: float, rise_hz: float, length_s: float, units: float) -> float:
    """Return x with start x + (rise / length) x² / 2 = units, without loss for a small rise."""
    under_root = max(0.0, start_hz * start_hz + 2.0 * rise_hz * (units / length_s))
    return 2.0 * units / (start_hz + math.sqrt(under_root))


def arrivals_s(points: Points, rng: Random, end_s: float) -> Iterator[float]:
    """Yield the instants of a Poisson process up to ``end_s``."""
    at_s = 0.0
    while True:
        at_s = next_arrival_s(points, at_s, rng.expovariate(1.0))
        if at_s >= end_s:
            return
        yield at_s


def herd_starts_s(shape: Herd, rng: Random, end_s: float) -> Iterator[float]:
    """Yield when one agent begins with each herd up to ``end_s``."""
    n = 1
    while n * shape.every_s < end_s:
        yield n * shape.every_s + rng.uniform(0.0, shape.spread_s)
        n += 1


def share(n_calls: int, n_parents: int, parent: int) -> int:
    """Return how many of the next level's calls one of ``n_parents`` begins.

    >>> [share(100, 20, parent) for parent in (0, 19)], [share(5, 3, p) for p in range(3)]
    ([5, 5], [1, 2, 2])
    """
    return n_calls * (parent + 1) // n_parents - n_calls * parent // n_parents


def draw_demand_s(demand: Demand | None, rng: Random) -> float:
    """Return one task's demand; -1 where none is asked for."""
    if demand is None:
        return -1.0
    mu = math.log(demand.mean_s) - demand.sigma**2 / 2.0
    return rng.lognormvariate(mu, demand.sigma) if demand.sigma else demand.mean_s
