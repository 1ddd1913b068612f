"""The service behind the sample API: slots, a FIFO queue, and faults on request.

*Theory*: G/G/c/FIFO with c slots. Service times are lognormal with sigma 0.5, the
spread of real tool calls; with a mean S of 0.1 s, 8 slots serve 80 requests/s.
A fault changes the speed of all work: what is in service slows or stops and
keeps its slot, as in a database whose disk stalls.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, get_args

FaultKind = Literal["stall", "slow", "refuse"]
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)

MAX_FAULT_S = 60.0
"""A fault ends by itself after at most a minute: nobody is left with a broken sample."""

SLOW_SPEED = 0.1
"""Speed under ``slow``: a tenth."""

_STEP_S = 0.05
"""How often work looks whether a fault began or ended."""

_SIGMA = 0.5


class Refused(Exception):
    """The service refuses work for now."""


class Service:
    """Finite slots with a FIFO queue.

    Parameters
    ----------
    n_slots : int
        Requests in service at once, >= 1.
    mean_service_time_s : float
        Mean service time of one request, > 0.
    seed : int
        Of the service times.
    """

    def __init__(self, n_slots: int = 8, mean_service_time_s: float = 0.1, seed: int = 1) -> None:
        self.n_slots = n_slots
        self.mean_service_time_s = mean_service_time_s
        self.n_in_service = 0
        self.n_waiting = 0
        self.n_served = 0
        self._slots = asyncio.Semaphore(n_slots)
        self._random = random.Random(seed)
        self._fault: FaultKind | None = None
        self._fault_until_s = 0.0

    @property
    def fault(self) -> FaultKind | None:
        """The fault at work now, if any."""
        if self._fault is not None and _now_s() >= self._fault_until_s:
            self._fault = None
        return self._fault

    def provoke(self, kind: FaultKind, seconds: float) -> float:
        """Begin a fault, replacing any other; return for how many seconds."""
        bounded_s = min(max(seconds, 0.0), MAX_FAULT_S)
        self._fault, self._fault_until_s = kind, _now_s() + bounded_s
        return bounded_s

    def heal(self) -> None:
        """End the fault."""
        self._fault = None

    def draw_service_time_s(self) -> float:
        """Return the service time of one request."""
        mu = math.log(self.mean_service_time_s) - _SIGMA**2 / 2
        return self._random.lognormvariate(mu, _SIGMA)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, first come first served, and hold it."""
        if self.fault == "refuse":
            raise Refused
        self.n_waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.n_waiting -= 1
        self.n_in_service += 1
        try:
            yield
            self.n_served += 1
        finally:
            self.n_in_service -= 1
            self._slots.release()

    async def work(self, seconds: float) -> None:
        """Do ``seconds`` of work at the speed of the moment."""
        left_s = seconds
        while left_s > 0:
            fault = self.fault
            speed = 0.0 if fault == "stall" else SLOW_SPEED if fault == "slow" else 1.0
            step_s = min(left_s / speed, _STEP_S) if speed else _STEP_S
            await asyncio.sleep(step_s)
            left_s -= step_s * speed


def _now_s() -> float:
    return asyncio.get_running_loop().time()
