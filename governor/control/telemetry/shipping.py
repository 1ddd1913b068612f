"""A bounded queue and the thread that empties it.

*Rule of this file*: whoever puts never waits. What does not fit is dropped and
counted: of events the newest, so that a storm's beginning is kept; of totals the
oldest, which the newest contain. What could not be sent is counted too and not
kept for later.

*Theory*: the thread sleeps until a batch is full or the delay has passed. It is
a daemon: a collector that does not answer can delay the end of the process by
the time that ``close`` is given and no more.

The loop and this thread share one interpreter, so what the thread computes is
taken from requests. It rests after each batch until the process has had four
times as much for everything else, so that of a busy process it takes a fifth at
most; of traffic beyond that a part is dropped and counted. What is idle need not
be waited for: the rest has a bound on the wall clock, too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic, process_time, thread_time
from typing import Any

BUSY_SHARE = 0.2
"""Of the process's processor time, for telemetry: about 2,000 spans a second of a whole core, where
one costs 90 µs to encode. Without a bound, all spans of a saturated proxy took two thirds of its
throughput (bench telemetry)."""

REST_TIMES = 20.0
"""A rest ends after so many times the work on the wall clock: an idle process uses no time."""

LOOK_S = 0.01
"""How often a resting thread looks whether its rest is over."""


def is_rested(used_s: float, others_s: float, elapsed_s: float) -> bool:
    """Return whether a thread that used so much processor time may go on.

    Parameters
    ----------
    used_s, others_s : float
        Processor time of its last batch, and of all other threads since that began.
    elapsed_s : float
        Since its last batch ended.

    Examples
    --------
    >>> is_rested(0.05, 0.1, 0.1), is_rested(0.05, 0.2, 0.1), is_rested(0.05, 0.0, 1.0)
    (False, True, True)
    """
    return (used_s + others_s) * BUSY_SHARE >= used_s or elapsed_s >= REST_TIMES * used_s


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
    keeps_newest : bool
        A full queue drops its oldest item instead of the new one.
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
        keeps_newest: bool = False,
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
        self._keeps_newest = keeps_newest
        self._queue: deque[Any] = deque(maxlen=capacity)
        self._wake = threading.Event()
        self._closing = threading.Event()
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
        if not self.has_room() and (self._close_at_s or not self._keeps_newest):
            return
        queue = self._queue
        queue.append(item)
        if len(queue) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Send what is left, for at most so long; blocks."""
        self._close_at_s = monotonic() + timeout_s
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._close_at_s:
            self._wake.wait(self._delay_s)
            self._wake.clear()
            while self._queue and not (self._close_at_s and monotonic() > self._close_at_s):
                self._ship_and_rest()

    def _ship_and_rest(self) -> None:
        thread_s, process_s = thread_time(), process_time()
        self._ship_batch()
        used_s, ended_at_s = thread_time() - thread_s, monotonic()
        while not self._closing.wait(min(LOOK_S, used_s)):
            others_s = process_time() - process_s - used_s
            if is_rested(used_s, others_s, monotonic() - ended_at_s):
                break

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
