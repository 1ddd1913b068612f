"""The queueing core of the service: N slots, one FIFO line, a speed that changes.

*Rule of this file*: no clock, no I/O. Instants are seconds on an axis of the
caller's; they must not go back.

*Theory*: all slots run at the same speed, so a job's end is fixed on the axis of
work done, W(t) = integral of speed. A change of speed moves no entry of the
heap; it only changes when W is reached. A job that starts when another ends
starts at that exact instant, however late the caller of ``advance`` is: timers
of 1 ms cost no capacity.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    """One request's work: ``demand_s`` seconds of a slot at full speed."""

    demand_s: float
    arrived_s: float
    owner: Any = None
    started_s: float = field(default=-1.0)
    finished_s: float = field(default=-1.0)


class Slots:
    """N slots behind a FIFO line.

    Parameters
    ----------
    n_slots : int
        0 means without end: every job starts at once.
    faults : sequence of (instant, speed)
        From each instant on, work runs at that speed; 1.0 before the first.
    queue_bound : int
        Longest line; -1 means no bound.
    """

    def __init__(
        self, n_slots: int, faults: Sequence[tuple[float, float]] = (), queue_bound: int = -1
    ) -> None:
        self.n_slots = n_slots
        self.queue_bound = queue_bound
        self.line: deque[Job] = deque()
        self.started: list[Job] = []
        """Jobs that got a slot since the owner last emptied this list."""
        self.speed = 1.0
        self._running: list[tuple[float, int, Job]] = []
        self._n_started = 0
        self._at_s = 0.0
        self._work = 0.0
        self._faults = deque(sorted(faults))

    @property
    def n_running(self) -> int:
        """How many jobs hold a slot."""
        return len(self._running)

    def offer(self, job: Job) -> bool:
        """Start the job, or put it at the end of the line; False if that is full.

        Call ``advance`` first.
        """
        if self.n_slots == 0 or len(self._running) < self.n_slots:
            self._start(job, max(job.arrived_s, self._at_s))
        elif 0 <= self.queue_bound <= len(self.line):
            return False
        else:
            self.line.append(job)
        return True

    def advance(self, now_s: float) -> list[Job]:
        """Return the jobs that end up to ``now_s``, in order, and start those that follow."""
        done: list[Job] = []
        while True:
            fault_s = self._faults[0][0] if self._faults else now_s
            until_s = min(now_s, fault_s)
            while self._running and self._instant(self._running[0][0]) <= until_s:
                end_work, _, job = heapq.heappop(self._running)
                job.finished_s = self._instant(end_work)
                self._move_to(job.finished_s)
                done.append(job)
                if self.line:
                    self._start(self.line.popleft(), job.finished_s)
            self._move_to(until_s)
            if not self._faults or fault_s > now_s:
                return done
            self.speed = self._faults.popleft()[1]

    def next_s(self) -> float | None:
        """Return when something happens next without arrivals; None if nothing does."""
        instants = [self._faults[0][0]] if self._faults else []
        if self._running and self.speed > 0:
            instants.append(self._instant(self._running[0][0]))
        return min(instants) if instants else None

    def _start(self, job: Job, at_s: float) -> None:
        job.started_s = at_s
        self.started.append(job)
        self._n_started += 1
        end_work = self._work + (at_s - self._at_s) * self.speed + job.demand_s
        heapq.heappush(self._running, (end_work, self._n_started, job))

    def _instant(self, work: float) -> float:
        if self.speed <= 0:
            return self._at_s if work <= self._work else float("inf")
        return self._at_s + max(0.0, work - self._work) / self.speed

    def _move_to(self, at_s: float) -> None:
        if at_s > self._at_s:
            self._work += (at_s - self._at_s) * self.speed
            self._at_s = at_s
