"""The base: mean ln(response time) of the endpoint when nothing queues in it.

*Theory*: a scalar Kalman filter on cohort means. It must be able to move both
ways: a running minimum of noisy means is a low outlier, and every limit built
on one reads healthy variance as a queue (Vegas, BBR and gradients on minimum
response times fall to a few per cent of capacity when service times vary).
Who may teach it is decided by the caller: only cohorts that are known not to
have queued.

With the level goes the spread of ln R that is seen where nothing queues. A FIFO
queue adds the same delay to all and hides that spread (lognormal 1.5: variance
0.9 without a queue, 0.3 behind one of two response times). Whether a cohort lies
below the base is asked of a service that does not queue, so its noise counts:
with the queue's, the first short cohorts after a queue seem certain, teach a
base far too low, and hold the limit down.

*Source*: ours. Anything with logarithms: Brakmo and Peterson, "TCP Vegas",
1995, is the ancestor that this corrects.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

PROCESS_VARIANCE: Final = 3e-4
"""Variance added to the base per lesson: 1.7 % drift in e-folds."""

COHORT_VARIANCE: Final = 2e-4
"""Variance between cohorts beyond what the spread within them tells."""

SURPRISE_SD: Final = 4.0
"""An innovation beyond this many standard deviations is taken whole."""


SPREAD_GAIN_MIN: Final = 0.1
"""Gain of the measured variance of ln R per cohort, once ten have been seen."""


class Base:
    """The unloaded level of an endpoint, with its variance.

    Attributes
    ----------
    level : float
        Mean ln(response time in ns) without a queue.
    variance : float
        Of the level.
    response_ns : float
        Mean response time without a queue.
    is_proven : bool
        Whether a cohort that certainly did not queue has taught it.
    spread : float
        Variance of ln R within the cohorts that have taught it; 0.0 before any.
    """

    __slots__ = (
        "_n_spread",
        "is_proven",
        "is_ready",
        "level",
        "response_ns",
        "spread",
        "variance",
    )

    def __init__(self) -> None:
        self.is_ready = False
        self.is_proven = False
        self.level = 0.0
        self.variance = 0.0
        self.response_ns = 0.0
        self.spread = 0.0
        self._n_spread = 0

    def learn(self, level: float, error2: float, response_ns: float) -> None:
        """Take a cohort's mean ``level`` with squared standard error ``error2``."""
        if not self.is_ready:
            self.is_ready = True
            self.level, self.variance, self.response_ns = level, error2, response_ns
            return
        innovation = level - self.level
        prior = self.variance + PROCESS_VARIANCE
        total = prior + error2
        gain = prior / total
        if innovation * innovation > SURPRISE_SD * SURPRISE_SD * total:
            gain = 1.0
        self.level += gain * innovation
        self.variance = gain * error2 if gain < 1.0 else error2
        self.response_ns += gain * (response_ns - self.response_ns)

    def learn_spread(self, spread: float) -> None:
        """Take the variance of ln R within a cohort that teaches the base."""
        self._n_spread += 1
        self.spread += max(SPREAD_GAIN_MIN, 1.0 / self._n_spread) * (spread - self.spread)

    def shift(self, amount: float) -> None:
        """Move the base by ``amount`` e-folds: the service itself got slower or faster."""
        self.level += amount
        self.response_ns *= exp(amount)

    def deviation(self, error2: float) -> float:
        """Return the standard deviation of a cohort's distance from the base."""
        return sqrt(error2 + self.variance)
