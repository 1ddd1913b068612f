"""The best that any order could give: callers first, at no cost, known slots.

*Rule of this file*: pure; a simulation of the run's own tasks, no sockets.

*Theory*: N slots, no pre-emption, work-conserving (nobody waits beside a free
slot). Among such orders, serving the preferred class first whatever else waits
gives it the shortest waits; whatever p99 that leaves is a bound for every proxy
that neither keeps slots free on purpose nor stops work under way. A must below
it can only be met by keeping slots free.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from bench.storm.seen import Flags, Floats


@dataclass(frozen=True)
class Served:
    """When each task's turn came and when it was done, s, in the order given."""

    started_s: Floats
    done_s: Floats


def serve(arrived_s: Floats, demand_s: Floats, is_preferred: Flags, n_slots: int) -> Served:
    """Serve all tasks on ``n_slots``, the preferred first, each class in order of arrival.

    >>> preferred = np.array([False, False, True])
    >>> serve(np.zeros(3), np.ones(3), preferred, 1).done_s.tolist()
    [2.0, 3.0, 1.0]
    """
    order = np.lexsort((~is_preferred, arrived_s))
    started = np.full(len(arrived_s), np.inf)
    done = np.full(len(arrived_s), np.inf)
    waiting: list[tuple[bool, float, int]] = []
    running: list[float] = []
    now_s, position = 0.0, 0
    while position < len(order) or waiting:
        while position < len(order) and arrived_s[order[position]] <= now_s:
            task = int(order[position])
            heapq.heappush(waiting, (not is_preferred[task], float(arrived_s[task]), task))
            position += 1
        while running and running[0] <= now_s:
            heapq.heappop(running)
        while waiting and len(running) < n_slots:
            task = heapq.heappop(waiting)[2]
            started[task] = now_s
            done[task] = now_s + demand_s[task]
            heapq.heappush(running, float(done[task]))
        upcoming = [running[0]] if running and waiting else []
        if position < len(order):
            upcoming.append(float(arrived_s[order[position]]))
        if upcoming:
            now_s = max(now_s, min(upcoming))
    return Served(started, done)
