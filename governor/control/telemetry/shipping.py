"""A bounded queue and the thread that empties it.

*Rule of this file*: whoever puts never waits. What does not fit is dropped and
counted, newest first, so that a storm's beginning is kept; what could not be
sent is counted too and not kept for later.

*Theory*: the thread sleeps until a batch is full or the delay has passed. It is
a daemon: a collector that does not answer can delay the end of the process by
the time that ``close`` is given and no more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any


class Shipper:
    """Sends what is put, in batches, from a thread of its own.

    Parameters
    ----------
    name : str
        Of the thread, and in what is reported.
    ship : callable
        Sends a batch; returns whether it arrived. May block and may raise.
    report : callable
        Told in words when sending begins to fail, and when it works again.
    capacity, batch : int
        Items in the queue and in one batch.
    delay_s : float
        An item is on its way within this time.

    Attributes
    ----------
    n_shipped, n_dropped, n_failed : int
        Items sent, lost to a full queue, and lost because they could not be sent.
    """

    def __init__(
        self,
        name: str,
        ship: Callable[[Sequence[Any]], bool],
        report: Callable[[str], None],
        *,
        capacity: int,
        batch: int,
        delay_s: float,
    ) -> None:
        self.n_shipped = 0
        self.n_dropped = 0
        self.n_failed = 0
        self._name = name
        self._ship = ship
        self._report = report
        self._capacity = capacity
        self._batch = batch
        self._delay_s = delay_s
        self._queue: deque[Any] = deque()
        self._wake = threading.Event()
        self._close_at_s = 0.0
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=f"governor-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def has_room(self) -> bool:
        """Whether an item would be queued; if not, it counts as dropped and need not be made."""
        if len(self._queue) < self._capacity and not self._close_at_s:
            return True
        self.n_dropped += 1
        return False

    def put(self, item: Any) -> None:
        """Queue one item, or drop it; called from the loop."""
        if not self.has_room():
            return
        queue = self._queue
        queue.append(item)
        if len(queue) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Send what is left, for at most so long; blocks."""
        self._close_at_s = monotonic() + timeout_s
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._close_at_s:
            self._wake.wait(self._delay_s)
            self._wake.clear()
            while self._queue and not (self._close_at_s and monotonic() > self._close_at_s):
                self._ship_batch()

    def _ship_batch(self) -> None:
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
        why = "the collector did not take them"
        try:
            has_arrived = self._ship(batch)
        except Exception as error:
            has_arrived, why = False, repr(error)
        if has_arrived:
            self.n_shipped += len(batch)
        else:
            self.n_failed += len(batch)
        if has_arrived is self._is_failing:
            self._is_failing = not has_arrived
            self._report(
                f"{self._name} arrive at the collector again"
                if has_arrived
                else f"{self._name} are lost, requests are not: {why}"
            )
