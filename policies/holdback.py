"""Holdback: a share of the callers stays ungoverned, to see what governing does for the rest.

*Rule of this file*: who is held back, two arms of counts, and what their
difference is worth.

*Theory*: callers, not requests, are drawn (a caller's retries must meet the
same treatment), by a hash of their index, so that the draw is the same all day.
Of each arm the calls that ended well count against all that ended. The
difference of the two shares is the estimate; its interval is Newcombe's, built
of two Wilson intervals, which stays sound for small counts and shares near one.

*Regime*: both arms meet the same upstream, so what governing does for the
upstream helps those held back too, and what they do to it hurts the governed: the
estimate is a lower bound of the benefit, and says so.

*Source*: R. G. Newcombe, "Interval estimation for the difference between
independent proportions", Statistics in Medicine 17 (1998), method 10.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

Z: Final = 1.96
"""Two-sided 95 %."""

N_MIN: Final = 30
"""Fewer calls in an arm say nothing."""

_BUCKETS: Final = 1 << 16
_MIX: Final = 2654435761


class Estimate(NamedTuple):
    """What governing adds to the share of calls that end well."""

    benefit: float
    low: float
    high: float
    n_governed: int
    n_held_back: int


class Holdback:
    """The two arms of one upstream.

    Parameters
    ----------
    share : float
        Of the callers, 0 <= share <= 0.5; 0 holds nobody back.
    """

    __slots__ = ("_below", "n", "n_good", "share")

    def __init__(self, share: float) -> None:
        if not 0.0 <= share <= 0.5:
            raise ValueError(f"share must be from 0 to 0.5, got {share}")
        self.share = share
        self._below = int(share * _BUCKETS)
        self.n = [0, 0]
        self.n_good = [0, 0]

    def is_held_back(self, flow: int) -> bool:
        """Whether a caller stays ungoverned; those without a place in the tables never do."""
        return flow > 0 and (flow * _MIX >> 8) % _BUCKETS < self._below

    def close(self, flow: int, is_good: bool) -> None:
        """Note how a call ended: answered well to a caller that was there, or not."""
        arm = self.is_held_back(flow)
        self.n[arm] += 1
        if is_good:
            self.n_good[arm] += 1

    def estimate(self) -> Estimate | None:
        """Return the difference of the arms with its 95 % interval; None before it says much."""
        n_governed, n_held_back = self.n
        if min(self.n) < N_MIN:
            return None
        governed, held_back = self.n_good[0] / n_governed, self.n_good[1] / n_held_back
        low_g, high_g = wilson(self.n_good[0], n_governed)
        low_h, high_h = wilson(self.n_good[1], n_held_back)
        benefit = governed - held_back
        return Estimate(
            benefit,
            max(-1.0, benefit - sqrt((governed - low_g) ** 2 + (high_h - held_back) ** 2)),
            min(1.0, benefit + sqrt((high_g - governed) ** 2 + (held_back - low_h) ** 2)),
            n_governed,
            n_held_back,
        )


def wilson(n_good: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Examples
    --------
    >>> tuple(round(x, 3) for x in wilson(56, 70))
    (0.692, 0.877)
    """
    share = n_good / n
    centre = share + Z * Z / (2.0 * n)
    half = Z * sqrt(share * (1.0 - share) / n + Z * Z / (4.0 * n * n))
    scale = 1.0 + Z * Z / n
    return (centre - half) / scale, (centre + half) / scale
