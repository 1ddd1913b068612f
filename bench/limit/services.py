"""Modelled services: what stands behind the gate on the virtual clock.

*Theory*: every request brings an amount of work, drawn in the order of
dispatch, so that all limits meet the same sequence of works. A shared virtual
time advances at the rate at which one request is served; a request finishes
when virtual time has advanced by its work. With hard slots only the first C
are served, at full speed each, and the rest queue first-in first-out. Under
processor sharing all are served, each at min(1, C/n) of full speed, with an
overhead beyond C that costs 23 % of capacity at n = 2C.
"""

from __future__ import annotations

import random
from collections import deque
from heapq import heappop, heappush
from math import exp, log
from typing import Any

MEAN_S = 0.1
"""Mean service time of every law."""

PS_OVERHEAD = 0.3
"""Capacity lost to sharing: 1 / (1 + 0.3 (n - C) / C)."""

STREAM_FIRST_S = 0.5
"""Streams: median time from slot to first byte (lognormal, sigma 0.5)."""

STREAM_HOLD_S = (5.0, 60.0)
"""Streams: bounds of the uniform time a slot is held."""

LAWS = ("constant", "exponential", "lognormal 0.5", "lognormal 1.5", "bimodal")


class Law:
    """A seeded sequence of service times in seconds."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.rng = random.Random(seed)
        self.mean_s = 0.218 if name == "bimodal" else MEAN_S

    def draw(self) -> float:
        """Return the next service time."""
        rng = self.rng
        if self.name == "constant":
            return MEAN_S
        if self.name == "exponential":
            return rng.expovariate(1.0 / MEAN_S)
        if self.name == "bimodal":
            return 2.0 if rng.random() < 0.1 else 0.02
        sigma = 0.5 if self.name == "lognormal 0.5" else 1.5
        return MEAN_S * exp(rng.gauss(-0.5 * sigma * sigma, sigma))


class Service:
    """Hard slots or processor sharing over a virtual time.

    ``heap`` holds what is being served as (virtual finish, order, work left
    after the first byte, job); the simulator asks for :meth:`next_at` and calls
    :meth:`finish`.
    """

    def __init__(self, kind: str, slots: int, law: Law, is_stream: bool = False) -> None:
        self.kind = kind
        self.slots = slots
        self.law = law
        self.is_stream = is_stream
        self.speed = 1.0
        self.heap: list[tuple[float, int, float, Any]] = []
        self.queue: deque[Any] = deque()
        self.virtual = 0.0
        self.at_s = 0.0
        self.rate = 1.0
        self.n_dispatched = 0
        self.busy_s = 0.0

    @property
    def n(self) -> int:
        """Requests inside, served or queued."""
        return len(self.heap) + len(self.queue)

    def next_at(self) -> float:
        """Return when the next finish is due."""
        if not self.heap:
            return float("inf")
        return self.at_s + (self.heap[0][0] - self.virtual) / self.rate

    def advance(self, now_s: float) -> None:
        """Move virtual time to ``now_s``."""
        self.virtual += (now_s - self.at_s) * self.rate
        self.at_s = now_s

    def start(self, now_s: float, job: Any) -> None:
        """Take a request."""
        self.advance(now_s)
        if self.kind == "slots" and len(self.heap) >= self.slots:
            self.queue.append(job)
            return
        self._serve(job)

    def finish(self, now_s: float) -> tuple[Any, bool]:
        """Return the job whose step is over, and whether it is only its first byte."""
        self.advance(now_s)
        _, _, left_s, job = heappop(self.heap)
        if left_s > 0.0:
            self.n_dispatched += 1
            heappush(self.heap, (self.virtual + left_s, self.n_dispatched, 0.0, job))
            return job, True
        if self.queue and len(self.heap) < self.slots:
            self._serve(self.queue.popleft())
        self._set_rate()
        return job, False

    def set_speed(self, now_s: float, speed: float) -> None:
        """Change the speed of everything."""
        self.advance(now_s)
        self.speed = speed
        self._set_rate()

    def set_slots(self, now_s: float, slots: int) -> None:
        """Change the number of slots; what runs goes on."""
        self.advance(now_s)
        self.slots = slots
        while self.kind == "slots" and self.queue and len(self.heap) < slots:
            self._serve(self.queue.popleft())
        self._set_rate()

    def _serve(self, job: Any) -> None:
        self.n_dispatched += 1
        left_s = 0.0
        if self.is_stream:
            rng = self.law.rng
            work_s = exp(log(STREAM_FIRST_S) + 0.5 * rng.gauss(0.0, 1.0))
            left_s = rng.uniform(*STREAM_HOLD_S)
        else:
            work_s = self.law.draw()
        heappush(self.heap, (self.virtual + work_s, self.n_dispatched, left_s, job))
        self._set_rate()

    def _set_rate(self) -> None:
        rate = self.speed
        if self.kind == "sharing":
            n, slots = len(self.heap), self.slots
            if n > slots:
                rate *= slots / n / (1.0 + PS_OVERHEAD * (n - slots) / slots)
        self.rate = rate
