"""The scale tier's state: one cache line for each agent and each job, arrays for the rest.

*Rule of this file*: layouts and the names of their fields, and drawing; nothing happens here.

*Theory*: with a million agents every event touches memory that no cache holds, so an event
costs what its cache misses cost. An agent's or a job's whole state therefore lies in 64
bytes, and the queue links through the same line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.simulate.compiled import part

NOBODY = -1

NODE = np.dtype(
    {
        "names": [
            *("at", "since", "sent", "work"),
            *("next", "prev", "after", "before", "peer", "cell", "upstream"),
            *("state", "tries", "rank", "is_governed"),
        ],
        "formats": ["i8", "i8", "i8", "f8", *("i4",) * 7, *("i1",) * 4],
        "itemsize": 64,
    },
    align=True,
)
"""An agent, a job, a slot or a timer.

``at, next, prev``: of the queue. ``after, before``: of a line. ``peer``: an agent's job, a
job's agent (``NOBODY``: its caller has left). ``cell``: governor and upstream. Of an agent,
``since`` is when its connection became idle, ``work`` what it has attained and ``sent`` when that
was reckoned. Of a job, ``since`` is its arrival, ``sent`` its dispatch, ``work`` its demand.
"""

THINKING, AWAY, CALLING, RESTING = range(4)
"""States of an agent: thinks, backs off, waits for a reply, is done for this run."""

FREE, WAITS, QUEUES, RUNS, PLACED = range(5)
"""States of a job: none, in a governor's line, in the service's, in a slot; an invitation."""

UPSTREAM = np.dtype(
    [
        ("n_running", "i4"),
        ("n_queued", "i4"),
        ("head", "i4"),
        ("tail", "i4"),
        ("hub_in_flight", "f8"),
        ("hub_demand", "f8"),
    ]
)
"""A service; and what the hub has of its governors' rows, added up."""

CELL = np.dtype(
    [
        ("in_flight", "i4"),
        ("n_waiting", "i4"),
        ("n_invited", "i4"),
        ("slot_head", "i4"),
        ("slot_tail", "i4"),
        ("n_leavers", "i4"),
        ("is_cut", "i4"),
        ("stage", "i4"),
        ("dither", "f8"),
        ("response_ns", "f8"),
        ("best_hz", "f8"),
        ("best_at", "i8"),
        ("fresh", "f8"),
        ("fresh_at", "i8"),
        ("newcomers_s", "f8"),
        ("newcomers_at", "i8"),
        ("others_in_flight", "f8"),
        ("others_demand", "f8"),
        ("row_in_flight", "f8"),
        ("row_demand", "f8"),
        ("hub_in_flight", "f8"),
        ("hub_demand", "f8"),
        ("hub_at", "i8"),
        ("asked_at", "i8"),
        ("seen_in_flight", "f8"),
        ("seen_demand", "f8"),
    ]
)
"""One governor before one upstream: its own row, what it last saw of the others, its hub row."""

N_RANKS = 13
"""Invited callers, then the classes of attained service."""

RULES = np.dtype(
    [
        ("n_agents", "i8"),
        ("n_upstreams", "i8"),
        ("n_views", "i8"),
        ("n_slots", "i8"),
        ("mu", "f8"),
        ("sigma", "f8"),
        ("think_ns", "f8"),
        ("patience_ns", "i8"),
        ("max_tries", "i8"),
        ("backoff_first_ns", "f8"),
        ("backoff_most_ns", "f8"),
        ("backoff_jitter", "f8"),
        ("is_roaming", "i8"),
        ("law", "i8"),
        ("limit", "f8"),
        ("period_ns", "i8"),
        ("delay_ns", "i8"),
        ("loss", "f8"),
        ("cut_from_ns", "i8"),
        ("cut_until_ns", "i8"),
        ("ttl_ns", "i8"),
        ("move_ns", "i8"),
        ("end_ns", "i8"),
        ("stop_ns", "i8"),
    ]
)
"""What a run is told."""

LAW_SUM, LAW_SHARE, LAW_NEED = range(3)
"""How governors of one upstream divide its places (:mod:`bench.simulate.views`)."""

(
    TASKS,
    DONE,
    FAILED,
    ATTEMPTS,
    TIMEOUTS,
    REFUSALS,
    EVENTS,
    EXCHANGES,
    LOST,
    OVERFLOWS,
    UNGOVERNED_TASKS,
    UNGOVERNED_DONE,
) = range(12)
N_COUNTS = 12
"""Places in the array of counts."""

BUSY_S, WASTED_S, DONE_EACH, INSIDE_EACH = range(4)
"""Rows of the timeline: slot-seconds that ended, those of nobody, tasks done, calls inside."""

BIN_NS = 100_000_000
"""Step of the timeline."""

_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(13), np.uint64(7), np.uint64(17)
_TO_53 = np.uint64(11)
_UNIT = 2.0**-53


@part
def draw(rng: Any) -> float:
    """Return a uniform number in (0, 1]: Marsaglia's xorshift of 64 bits, JSS 8 (2003)."""
    x = rng[0]
    x ^= x << _SHIFT_1
    x ^= x >> _SHIFT_2
    x ^= x << _SHIFT_3
    rng[0] = x
    return (float(x >> _TO_53) + 1.0) * _UNIT


@part
def draw_exponential(rng: Any) -> float:
    """Return an exponential number of mean 1."""
    return -math.log(draw(rng))


@part
def draw_demand_s(rng: Any, mu: float, sigma: float) -> float:
    """Return a lognormal demand (Box and Muller's transform)."""
    radius = math.sqrt(-2.0 * math.log(draw(rng)))
    return math.exp(mu + sigma * radius * math.cos(2.0 * math.pi * draw(rng)))


def seeded(seed: int) -> Any:
    """Return a generator's state for a seed; not zero, and far apart for near seeds."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)
