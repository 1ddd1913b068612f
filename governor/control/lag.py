"""How late the event loop runs: the gap that request timings inside it cannot see.

*Rule of this file*: counting only. Whoever owns a periodic tick measures how
late it fired and tells :class:`LoopLag`.
"""

from __future__ import annotations

from governor.proxy.histogram import Histogram

_BOUNDS_US = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000)

LAG_BOUNDS_NS = tuple(us * 1_000 for us in (*_BOUNDS_US, 1_000_000))
"""100 us to 1 s: below a tick's own jitter nothing shows, above a second all is lost."""

DECAY = 0.98
"""Per observation: at 20 ticks a second the worst lag halves in 1.7 s."""


class LoopLag:
    """Lateness of a periodic tick.

    Attributes
    ----------
    histogram : Histogram
        All lags since the start.
    recent_s : float
        The worst of the last seconds, fading.
    """

    __slots__ = ("histogram", "recent_s")

    def __init__(self) -> None:
        self.histogram = Histogram(LAG_BOUNDS_NS)
        self.recent_s = 0.0

    def observe(self, lag_s: float) -> None:
        """Count one tick that fired ``lag_s`` late; early counts as punctual."""
        lag_s = max(0.0, lag_s)
        self.histogram.observe(int(lag_s * 1e9))
        self.recent_s = max(lag_s, self.recent_s * DECAY)
