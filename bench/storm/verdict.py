"""What was asked against what was measured: every must, every peer, every seed.

*Rule of this file*: pure; cells in, judgements out. A must holds if it holds for
every seed; the value shown is that of the seed that comes off worst. A quantity
that is missing or not a number is not met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.storm.base import Must, Scenario
from bench.storm.runner import ALONE

GOVERNOR = "governor"

Cells = Mapping[tuple[str, int], Mapping[str, Any]]
"""Cells of one scenario by peer and seed."""


@dataclass(frozen=True)
class Judgement:
    """One must for one peer.

    Attributes
    ----------
    is_met : bool or None
        None: nothing to compare with was measured.
    value, limit : float
        Of the seed that comes off worst.
    """

    must: Must
    is_met: bool | None
    value: float
    limit: float


def peers_of(cells: Cells) -> list[str]:
    """Return the peers in order of their first cell, without the run of the others' absence."""
    return list(dict.fromkeys(peer for peer, _ in cells if peer != ALONE))


def seeds_of(cells: Cells, peer: str) -> list[int]:
    """Return the seeds that a peer has."""
    return sorted(seed for name, seed in cells if name == peer)


def quantity(cells: Cells, peer: str, seed: int, key: str) -> float:
    """Return a quantity; not a number where it is missing."""
    cell = cells.get((peer, seed))
    value = cell["quantities"].get(key) if cell is not None else None
    return math.nan if value is None else float(value)


def limit_of(must: Must, cells: Cells, peer: str, seed: int) -> float:
    """Return what the quantity may be at most (or must be at least); nan: nothing to go by."""
    if not must.against:
        return must.bound + must.plus
    if must.against == "best":
        others = [
            quantity(cells, name, seed, must.key)
            for name in peers_of(cells)
            if name not in (peer, GOVERNOR, "governor-observe")
        ]
        found = [value for value in others if not math.isnan(value)]
        best = min if must.sense == "<=" else max
        reference = best(found) if found else math.nan
    else:
        name = ALONE if must.against == "alone" else "direct"
        reference = quantity(cells, name, seed, must.key)
    return must.bound * reference + must.plus


def judge(must: Must, cells: Cells, peer: str) -> Judgement:
    """Return one must's judgement over all seeds of a peer."""
    worst: tuple[float, float, float] | None = None
    is_comparable = True
    for seed in seeds_of(cells, peer):
        value = quantity(cells, peer, seed, must.key)
        limit = limit_of(must, cells, peer, seed)
        if math.isnan(limit):
            is_comparable = False
            continue
        excess = excess_of(must, value, limit)
        if worst is None or excess > worst[0]:
            worst = (excess, value, limit)
    if worst is None:
        return Judgement(must, None, math.nan, math.nan)
    is_met = worst[0] <= 0
    return Judgement(must, is_met if is_comparable or not is_met else None, worst[1], worst[2])


def excess_of(must: Must, value: float, limit: float) -> float:
    """Return by how much a value is beyond its limit, at most 0 if it is within.

    >>> excess_of(Must("", "", "<=", 1.0), 1.5, 1.0), excess_of(Must("", "", ">=", 1.0), 1.5, 1.0)
    (0.5, -0.5)
    """
    if math.isnan(value):
        return math.inf
    if value == limit:  # infinities included
        return 0.0
    return value - limit if must.sense == "<=" else limit - value


def judge_all(scenario: Scenario, cells: Cells, peer: str) -> list[Judgement]:
    """Return all of a scenario's judgements of a peer."""
    return [judge(must, cells, peer) for must in scenario.musts]


def score(judgements: list[Judgement]) -> str:
    """Return how many musts hold of those that could be judged, as "3 / 4"."""
    known = [j for j in judgements if j.is_met is not None]
    return f"{sum(bool(j.is_met) for j in known)} / {len(known)}" if known else "–"
