"""Hold: whoever makes a herd yields to those who do not, and waits no longer than 200 ms for it.

*Rule of this file*: counts of arrivals on a time axis in, marks out.

*Theory*: independent callers leave about ``m`` arrivals in a window of 20 ms,
scattered by at most a few times ``sqrt(m)``. What a window holds beyond that
came because something told many callers the same instant: a timer, a shared
failure, a fan-out. The first of them are no different from anybody; each one
after the bound is *crowd*, and in the window that follows a crowded one each
one after the mean. The mark costs its bearer no capacity, only its turn: it may
not take the last places, which are kept for those who come by themselves, and
it goes behind them in the line. So a wrong mark costs at most 200 ms beside a
free place, and nothing at all where there is room.

Somebody always comes by himself while a herd comes. Whoever came alone the last
two times is taken to have done so now; who came in a crowd before, or was never
seen, is not.

The bound follows the traffic: m is a running mean over a second, of windows
that count four times the mean at most, so that a herd that comes back every few
seconds never becomes the rule; steady demand does within three seconds, however
steeply it came.

Where an upstream's callers are spread over n governors, each meets an n-th of a herd and counts by
itself. What a crowd may hold unmarked is then theirs together: each lets pass an n-th of what one
would, though never less than its own scatter. With the whole of it each, n times as many of a herd
are like anybody: of three governors they filled every place, and a line before it.

*Regime*: from a handful of callers to tens of thousands per second. While a
steep ramp raises m its arrivals bear marks and lose nothing, for a ramp that
leaves room is not held.

*Cost*: a few comparisons and an addition per arrival, a byte per flow.

*Considered and rejected*: pacing by random jitter (it delays the innocent as
much, and a tenth of the herd still meets); marking by a six-sigma rule over
seconds (real traffic is over-dispersed at that scale: dozens of false marks an
hour; within 20 ms it hardly is).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

WINDOW_NS: Final = 20_000_000
"""Shorter than people and schedulers can agree by chance, longer than a loop turn."""

HOLD_MAX_NS: Final = 200_000_000
"""Nobody is held longer for the sake of others: below what a caller of a tool notices."""

SPREAD: Final = 6.0
"""Marks nobody in six of seven recordings of organic traffic at their own speed (22 h), one arrival
in 2,300 in the seventh, whose clients send in bursts; played ten times as fast, one in 800."""

BOUND_MIN: Final = 8
"""A few agents of one program start together without being a storm."""

GAIN: Final = 0.05
"""Of the running mean per 50 ms: a second."""

KEPT_SHARE: Final = 0.25
"""Of the limit at most is kept from the crowd."""

CLIP: Final = 4.0
"""A tick's windows count up to this many times the mean, and this much more."""

LONE: Final = 2
"""Arrivals alone in a row that make a caller one that comes by itself."""

_TICK_WINDOWS: Final = 2.5
"""Windows per tick of 50 ms."""


class Herd:
    """Tells the crowd of one upstream from the callers that come by themselves.

    Parameters
    ----------
    n_flows : int
        Size of the identity table that ``flow`` indexes; 0 is nobody in particular.

    Attributes
    ----------
    bound : int
        Arrivals that a window may hold without a mark.
    n_marked : int
        Marks so far.
    """

    __slots__ = (
        "_allowed",
        "_ends_ns",
        "_habit",
        "_mean",
        "_n",
        "_n_counted",
        "_n_parts",
        "_ticked_ns",
        "bound",
        "n_marked",
    )

    def __init__(self, n_flows: int = 65_536) -> None:
        self.bound = BOUND_MIN
        self.n_marked = 0
        self._allowed = BOUND_MIN
        self._ends_ns = 0
        self._n = 0
        self._habit = bytearray(n_flows)
        self._mean = 0.0
        self._n_counted = 0
        self._n_parts = 1
        self._ticked_ns = -1

    def note(self, now_ns: int, flow: int) -> bool:
        """Count an arrival; return whether it is one of a crowd."""
        if now_ns >= self._ends_ns:
            self._turn(now_ns)
        n = self._n = self._n + 1
        habit = self._habit
        if n <= self._allowed:
            if habit[flow] < LONE:
                habit[flow] += 1
            return False
        is_lone = habit[flow] == LONE and flow > 0
        habit[flow] = LONE - 1 if is_lone else 0
        if is_lone:
            return False
        self.n_marked += 1
        return True

    def _turn(self, now_ns: int) -> None:
        """Open the next window; in a crowd that goes on, it has no room beyond the mean."""
        goes_on = self._n > self.bound and now_ns < self._ends_ns + WINDOW_NS
        self._allowed = ceil(self._mean + 1.0 / self._n_parts) if goes_on else self.bound
        self._ends_ns = now_ns - now_ns % WINDOW_NS + WINDOW_NS
        self._n_counted += self._n
        self._n = 0

    @property
    def is_settled(self) -> bool:
        """Whether nothing is counted that the next tick would learn from."""
        return not self._n_counted

    def tick(self, now_ns: int, n_parts: int = 1) -> None:
        """Let the bound follow the traffic; how often it is called changes little.

        Parameters
        ----------
        n_parts : int
            Among how many the callers of the upstream are spread, each of which counts its own.
        """
        self._n_parts = n_parts
        if self._ticked_ns < 0:
            self._ticked_ns = now_ns
            return
        elapsed_ns = now_ns - self._ticked_ns
        if elapsed_ns < 2 * WINDOW_NS:
            return
        self._ticked_ns = now_ns
        per_window = self._n_counted * WINDOW_NS / elapsed_ns
        self._n_counted = 0
        n_ticks = elapsed_ns / (_TICK_WINDOWS * WINDOW_NS)
        per_window = min(per_window, CLIP * (self._mean + 1.0))
        self._mean += (1.0 - (1.0 - GAIN) ** n_ticks) * (per_window - self._mean)
        scatter = SPREAD * sqrt(self._mean)
        self.bound = ceil(self._mean + max(scatter, scatter / sqrt(n_parts) + BOUND_MIN / n_parts))

    def kept_places(self, limit: int, own_hz: float, offset: float = 0.0) -> int:
        """Return how many places of ``limit`` the crowd leaves to those who come by themselves.

        As many as are expected to come while it is held.

        Parameters
        ----------
        offset : float
            Below 1: where ``limit`` is one of several parts, their whole places add up to the
            share of the sum by it (:func:`policies.share.whole_places`).
        """
        expected = ceil(own_hz * HOLD_MAX_NS * 1e-9)
        return min(expected, int(KEPT_SHARE * limit + offset))
