"""What an upstream is asked for and what it answers, a second: demand and drain.

*Rule of this file*: the two rates in the record of :mod:`signals.saturation`, and how they forget.

*Theory*: decayed sums over decayed weights, so that the first seconds are said as they are. The
drain of one second is too few answers of a slow upstream: below eight, ten seconds are asked.
"""

from __future__ import annotations

import math

from signals.kernel import part
from signals.latency import TINY
from signals.state import SECOND, Records

DECAY_1S = math.exp(-1.0 / SECOND)
DECAY_10S = math.exp(-0.1 / SECOND)
"""Per bucket."""

DEMAND_DECAY = math.exp(-1.0 / 5.0)
"""Per second: demand of the last five seconds."""

N_DRAIN = 8.0
"""Answers within a second that make its rate worth saying; else ten seconds are asked."""


@part
def close_drain(saturation: Records) -> None:
    """Fold a bucket's answers."""
    s = saturation[0]
    s["drain_1s"] = s["drain_1s"] * DECAY_1S + s["open_answers"]
    s["drain_10s"] = s["drain_10s"] * DECAY_10S + s["open_answers"]
    s["drain_weight"] = s["drain_weight"] * DECAY_10S + 1.0
    if s["drain_10s"] < TINY:
        s["drain_1s"] = s["drain_10s"] = 0.0
    s["open_answers"] = 0


@part
def close_demand(saturation: Records) -> None:
    """Fold a second's arrivals."""
    s = saturation[0]
    s["demand_sum"] = s["demand_sum"] * DEMAND_DECAY + s["open_arrivals"]
    s["demand_weight"] = s["demand_weight"] * DEMAND_DECAY + 1.0
    if s["demand_sum"] < TINY:
        s["demand_sum"] = 0.0
    s["open_arrivals"] = 0


@part
def get_drain_hz(saturation: Records) -> float:
    """Return answers per second now: the last second, or ten where that holds too few."""
    s = saturation[0]
    weight = max(s["drain_weight"], 1.0)
    if s["drain_1s"] >= N_DRAIN:
        return float(s["drain_1s"] * SECOND / min(weight, 100.0))
    return float(s["drain_10s"] * SECOND / max(weight, 100.0))


@part
def get_demand_hz(saturation: Records) -> float:
    """Return arrivals per second, organic and retries, over the last five seconds."""
    s = saturation[0]
    return float(s["demand_sum"] / max(s["demand_weight"], 1.0))
