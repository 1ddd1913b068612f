"""The virtual clock of the exact tier: what is due when, and nothing else.

*Rule of this file*: no randomness, no wall clock. What is due at one instant happens
in the order in which it was asked for, so the same seed gives the same run.

*Theory*: one heap of (instant, order, callback, argument). A binary heap costs about
1 µs an event; the gate behind it costs ten times that, so nothing faster is worth its
lines here. The scale tier, where an event costs less than the heap would, has a
calendar queue of its own (:mod:`bench.simulate.calendar`).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Due = Callable[[float, Any], None]
"""Called with the instant and its argument."""


class Agenda:
    """What is due, in order of time.

    Attributes
    ----------
    n_events : int
        Callbacks made so far.
    """

    __slots__ = ("_heap", "_n_pushed", "n_events", "now_s")

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.n_events = 0
        self._heap: list[tuple[float, int, Due, Any]] = []
        self._n_pushed = 0

    def at(self, at_s: float, due: Due, argument: Any = None) -> None:
        """Call ``due`` at an instant, not before now."""
        self._n_pushed += 1
        heappush(self._heap, (max(at_s, self.now_s), self._n_pushed, due, argument))

    def run(self, until_s: float, is_over: Callable[[], bool] | None = None) -> None:
        """Let everything happen up to an instant, or until ``is_over`` says so."""
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            if is_over is not None and is_over():
                return
            self.now_s, _, due, argument = heappop(heap)
            self.n_events += 1
            due(self.now_s, argument)
        if is_over is None:
            self.now_s = max(self.now_s, until_s)
