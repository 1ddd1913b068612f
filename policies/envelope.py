"""Operating envelopes: what one agent's traffic may look like, and when it does not.

*Rule of this file*: profiles and limits in, deviations out; elementwise, so that one
agent and all agents of a process cost the same lines. No clock: one step is one second.

*Theory*: a profile is five measures of the last moments of one flow (:data:`MEASURES`).
A limit is what a person, or the flow's own past, says each may be. The measure of a
flow that keeps exactly to its limit still scatters: a rate by the law of counts, a
share by the law of draws. So a deviation begins above the limit plus
``N_ERRORS`` standard errors of a measure *at* that limit, for ``N_BEGIN`` seconds
on end, and ends after ``N_END`` seconds on end at the limit or below. Between the two
nothing changes.

*Learned limits*: the largest of the flow's own readings, times a margin, once it has
been seen for long enough (:func:`learn`). Only readings within the limit teach, and only
from the next block of time on: what grows by less than the margin from block to block moves
the envelope, a leap does not. Retries and upstreams are never learned: what failed
yesterday tells nothing of today, and a new tool is no fault.

*Considered and rejected*: a high quantile instead of the largest reading: an hour has
3,600 readings, so any quantile that one needs hours to estimate is left by honest traffic
every hour. Robust z-scores: agents idle for minutes and then work, so the spread
of all seconds says nothing of those that matter.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

UNLIMITED: Final = float("inf")


class Measure(IntEnum):
    """The columns of profiles and limits."""

    IN_FLIGHT = 0
    """Calls under way or waiting, at the instant of the reading."""
    RATE = 1
    """Arrivals a second, decayed with 10 s."""
    FAN_OUT = 2
    """Calls alive at once in the tree that the flow works in, its sub-agents' included."""
    RETRIES = 3
    """Share of retries among the arrivals, decayed with 60 s."""
    UPSTREAMS = 4
    """Upstreams called within a minute that it may not call."""


MEASURES: Final = tuple(measure.name.lower() for measure in Measure)
"""The words used in configuration, events and pages."""
N_MEASURES: Final = len(MEASURES)

RATE_KEPT: Final = float(np.exp(-1.0 / 10.0))
"""Share of the rate's memory that is left after a second."""
RETRIES_KEPT: Final = float(np.exp(-1.0 / 60.0))
"""Retries are rarer than arrivals: their share needs a longer memory."""

RATE_WEIGHT: Final = (1.0 - RATE_KEPT) / (1.0 + RATE_KEPT)
"""Variance of a decayed mean over that of one second's count."""
RETRIES_WEIGHT: Final = (1.0 - RETRIES_KEPT) / (1.0 + RETRIES_KEPT)

N_ERRORS: Final = 4.0
"""Standard errors above a limit. Poisson traffic exactly at 5/s deviates 0.26 times an hour with 3,
0.012 times with 4 (1,000 agent-hours, simulated)."""
N_CALLS_MIN: Final = 10.0
"""Calls behind a share of retries before anything is said of it."""
N_BEGIN: Final = 5
"""Seconds on end above before a deviation begins: longer than one burst of parallel tools."""
N_END: Final = 30
"""Seconds on end within before it has ended: an agent that thinks for ten is not a new one."""


class Envelope(NamedTuple):
    """What may be; infinite where nothing was said.

    Attributes
    ----------
    upstreams : int
        Bit per upstream that may be called; -1 for all.
    """

    in_flight: float = UNLIMITED
    rate_hz: float = UNLIMITED
    fan_out: float = UNLIMITED
    retry_share: float = UNLIMITED
    upstreams: int = -1

    @property
    def limits(self) -> tuple[float, ...]:
        """One per measure; whoever may call only some upstreams may call none of the others."""
        others = UNLIMITED if self.upstreams == -1 else 0.0
        return (self.in_flight, self.rate_hz, self.fan_out, self.retry_share, others)


def begins_above(limits: Numbers, n_calls: Numbers) -> Numbers:
    """Return what each measure must pass for a deviation to begin.

    Parameters
    ----------
    limits : float64 array, shape (n, N_MEASURES)
    n_calls : float64 array, shape (n,)
        Calls a second behind the share of retries, decayed as that is.

    Notes
    -----
    Rate: l + k sqrt(l w), w the weight of one second in the decayed mean. Share of retries:
    p + k sqrt(p (1 - p) / n), n = calls / w, at most half-way from p to 1, so that retries
    alone always count; nothing is said of fewer than ``N_CALLS_MIN``.
    """
    above = limits.copy()
    rate = limits[:, Measure.RATE]
    above[:, Measure.RATE] = rate + N_ERRORS * np.sqrt(rate * RATE_WEIGHT)
    share = limits[:, Measure.RETRIES]
    is_limited = np.isfinite(share)
    p = np.where(is_limited, np.minimum(share, 1.0), 1.0)
    n = n_calls / RETRIES_WEIGHT
    noise = N_ERRORS * np.sqrt(p * (1.0 - p) / np.maximum(n, 1.0))
    speaks = is_limited & (n >= N_CALLS_MIN)
    above[:, Measure.RETRIES] = np.where(speaks, np.minimum(p + noise, (1.0 + p) / 2.0), UNLIMITED)
    return above


def advance(is_over: Flags, is_within: Flags, streak: Any, deviates: Flags) -> Flags:
    """Take in one second; return which deviations began or ended. All of one shape.

    Parameters
    ----------
    is_over, is_within : bool array
        Above where a deviation begins; at the limit or below. Never both.
    streak : int16 array
        Seconds on end that speak for a change. Modified in place.
    deviates : bool array
        Which measures deviate. Modified in place.
    """
    streak += 1
    streak *= np.where(deviates, is_within, is_over)
    flips: Flags = streak >= np.where(deviates, N_END, N_BEGIN)
    streak[flips] = 0
    deviates ^= flips
    return flips


LEARNED: Final = (Measure.IN_FLIGHT, Measure.RATE, Measure.FAN_OUT)
LEARNED_MIN: Final = np.array((4.0, 2.0, 8.0))
"""No learned limit lies below: small numbers of calls harm nobody and scatter most."""
N_LEARN_BLOCKS: Final = 12
"""Blocks in the time after which a past counts: 10 min of 2 h. What rises within one is not its
own excuse: a decayed rate passes every value on its way up."""
N_LEARN_CALLS: Final = 200
"""Calls before a past is one: a median recorded session has fewer, a day's work more."""


def learn(largest: Numbers, profile: Numbers, limits: Numbers) -> None:
    """Let readings within the limits raise the largest of this block, in place.

    Parameters
    ----------
    largest, profile, limits : float64 array, shape (n, 3)
        The columns ``LEARNED``; limits are infinite while the past is too short.
    """
    np.maximum(largest, np.where(profile <= limits, profile, 0.0), out=largest)


def learned_limits(largest: Numbers, has_past: Flags, margin: float) -> Numbers:
    """Return margin times the largest reading, or no limit where the past is too short."""
    limits = np.maximum(largest * margin, LEARNED_MIN)
    return np.where(has_past[:, None], limits, UNLIMITED)
