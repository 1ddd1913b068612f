"""What stands behind the gate: slots, a queue, and a time in which it is slow."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from bench.workers_storm.world import S, World

if TYPE_CHECKING:
    from bench.workers_storm.callers import Call


class Service:
    """Slots, a queue, and a time in which it is slow.

    Parameters
    ----------
    queue : int
        Calls that may wait inside; one beyond is refused.
    slow : tuple of int
        From, to, and at which share of its speed in percent.
    """

    def __init__(self, world: World, n_slots: int, queue: int, slow: tuple[int, int, int]) -> None:
        self._world, self._n_free, self._queue, self._slow = world, n_slots, queue, slow
        self._line: deque[Call] = deque()
        self.served_s = self.wasted_s = 0.0

    def enter(self, call: Call) -> None:
        """Serve a call, or let it wait, or refuse it."""
        if self._n_free:
            self._n_free -= 1
            self._serve(call)
        elif len(self._line) < self._queue:
            self._line.append(call)
        else:
            call.refused()

    def _serve(self, call: Call) -> None:
        self._world.at(self._ends_ns(self._world.now_ns, call.work_ns), self._done, call)

    def _done(self, call: Call) -> None:
        self.served_s += call.work_ns / S
        self.wasted_s += call.has_left * call.work_ns / S
        call.done()
        if self._line:
            self._serve(self._line.popleft())
        else:
            self._n_free += 1

    def _ends_ns(self, now_ns: int, work_ns: int) -> int:
        begins_ns, ends_ns, percent = self._slow
        before_ns = max(0, begins_ns - now_ns)
        if now_ns >= ends_ns or work_ns <= before_ns:
            return now_ns + work_ns
        left_ns = work_ns - before_ns
        from_ns = now_ns + before_ns
        slowly_ns = left_ns * 100 // percent
        if from_ns + slowly_ns <= ends_ns:
            return from_ns + slowly_ns
        return ends_ns + left_ns - (ends_ns - from_ns) * percent // 100
