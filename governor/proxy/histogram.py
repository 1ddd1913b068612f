"""Counts of durations in fixed buckets: what the proxy can afford per request.

*Rule of this file*: one bisection in C and two additions per sample, fixed
memory, no lock; the control plane turns it into a Prometheus histogram.
"""

from __future__ import annotations

from bisect import bisect_left

OVERHEAD_BOUNDS_NS = tuple(
    us * 1_000 for us in (5, 10, 20, 30, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 10_000, 100_000)
)
"""5 us to 100 ms: the proxy's own work is tens of microseconds."""

DURATION_BOUNDS_NS = tuple(
    ms * 1_000_000
    for ms in (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
)
"""1 ms to 60 s: waiting in the line, and an upstream's first byte."""


class Histogram:
    """Number of samples at or below each bound, and their sum.

    Parameters
    ----------
    bounds_ns : tuple of int
        Upper bounds, rising; one more bucket takes what lies above.

    Examples
    --------
    >>> histogram = Histogram((10, 20))
    >>> for sample_ns in (10, 11, 99):
    ...     histogram.observe(sample_ns)
    >>> histogram.counts, histogram.sum_ns
    ([1, 1, 1], 120)
    """

    __slots__ = ("bounds_ns", "counts", "sum_ns")

    def __init__(self, bounds_ns: tuple[int, ...] = DURATION_BOUNDS_NS) -> None:
        self.bounds_ns = bounds_ns
        self.counts = [0] * (len(bounds_ns) + 1)
        self.sum_ns = 0

    def observe(self, sample_ns: int) -> None:
        """Count one sample."""
        self.counts[bisect_left(self.bounds_ns, sample_ns)] += 1
        self.sum_ns += sample_ns

    @property
    def count(self) -> int:
        """Number of samples."""
        return sum(self.counts)

    def quantile_ns(self, share: float) -> int:
        """Upper bound of the bucket in which the given share of samples lies; 0 without samples."""
        total = sum(self.counts)
        if not total:
            return 0
        below = 0
        for bound_ns, count in zip(self.bounds_ns, self.counts, strict=False):
            below += count
            if below >= share * total:
                return bound_ns
        return self.bounds_ns[-1]
