"""Small open-loop worlds for the sections on saturation and contention: arrivals, places, banks.

*Rule of this file*: one service with C places and one line, and the events that a proxy in front of
it would see. Storms and closed loops are in :mod:`bench.detect.simulation`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from signals import ANSWERED, Reading, SignalBank

S = 1_000_000_000
SERVICE_S = 0.3
"""Mean time of an ordinary call, as in the storms."""

ARRIVE, BEGIN, END = 0, 1, 2

Rate = Callable[[float], float]


class Kind(NamedTuple):
    """What calls of a world are like.

    Attributes
    ----------
    first_s : float
        Mean time to the first byte once a place is free (lognormal).
    sigma : float
        Spread of its logarithm.
    stream_s : tuple of float
        Least and greatest time that the place is held after it; (0, 0) without streams.
    """

    first_s: float = SERVICE_S
    sigma: float = 0.5
    stream_s: tuple[float, float] = (0.0, 0.0)

    @property
    def hold_s(self) -> float:
        """Mean time that a place is held."""
        return self.first_s + sum(self.stream_s) / 2.0


def make_arrivals(random: Random, rate: Rate, peak_hz: float, end_s: float) -> list[float]:
    """Return Poisson arrivals of a changing rate, by thinning."""
    found, at_s = [], 0.0
    while True:
        at_s += random.expovariate(peak_hz)
        if at_s >= end_s:
            return found
        if random.random() * peak_hz < rate(at_s):
            found.append(at_s)


def serve(
    random: Random, arrivals: list[tuple[float, int]], places: int, kind: Kind
) -> list[tuple[float, int, int, int]]:
    """Return what is seen of each call: (instant, ARRIVE, BEGIN or END, call, tenant)."""
    free = [0.0] * places
    events = []
    location = -(kind.sigma**2) / 2.0
    is_stream = kind.stream_s[1] > 0.0
    for call, (at_s, tenant) in enumerate(arrivals):
        begins_s = max(at_s, heapq.heappop(free))
        first_s = begins_s + kind.first_s * math.exp(random.gauss(location, kind.sigma))
        ends_s = first_s + random.uniform(*kind.stream_s)
        heapq.heappush(free, ends_s)
        events.append((at_s, ARRIVE, call, tenant))
        if is_stream:
            events.append((first_s, BEGIN, call, tenant))
        events.append((ends_s, END, call, tenant))
    events.sort()
    return events


def play(
    bank: SignalBank, events: list[tuple[float, int, int, int]], end_s: float
) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Let a bank see the events; yield its readings at every whole second."""
    handles: dict[int, int] = {}
    idx = 0
    for second in range(1, int(end_s) + 1):
        while idx < len(events) and events[idx][0] < second:
            at_s, what, call, tenant = events[idx]
            idx += 1
            now_ns = int(at_s * S)
            if what == ARRIVE:
                handles[call] = bank.observe_arrival(now_ns, tenant, 1 + tenant, 0, call)
            elif what == BEGIN:
                bank.observe_answer(now_ns, handles[call])
            else:
                bank.observe_end(now_ns, handles.pop(call), ANSWERED)
        bank.tick(second * S)
        yield second, {reading.name: reading for reading in bank.read()}
