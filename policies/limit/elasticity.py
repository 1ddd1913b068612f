"""Elasticity: by how much response time follows the number in flight.

*Theory*: e = d(mean ln R) / d(ln n). Below the knee nothing follows: e = 0.
Beyond it processor sharing multiplies, e = 1; a FIFO queue adds,
e = E[R] E[1/R] >= 1. One threshold, 0.5, serves both. It is what tells the two
causes of slow answers apart: a queue (fewer in flight helps) and a slower
service (it does not).

The contrast is taken between the middle one of three consecutive phases and
the mean of its neighbours, which cancels a linear drift: the onset of a stall
is not read as contrast.

*Source*: ours. *Considered and rejected*: marginal throughput, one window
against the next (two noisy rates: a random walk downward).
"""

from __future__ import annotations

from math import log, sqrt
from typing import Final

from policies.limit.phases import Cohort, Kind

THRESHOLD: Final = 0.5
"""Half-way between no queue (0) and a queue (>= 1)."""

E_MIN: Final = -1.0
E_MAX: Final = 3.0
"""One contrast counts at most this much: a small denominator must not shout."""

FORGETTING: Final = 0.85
"""Weight that is kept per contrast: a memory of about 7."""

STEEP_SD: Final = 1.5
"""Going down needs the better proof: e - 1.5 standard errors above the threshold."""

BETWEEN_VARIANCE: Final = 1e-3
"""Noise of a contrast beyond what the spread within phases tells."""

WEIGHT_MAX: Final = 12.0
"""One contrast counts at most as one with a standard error of 0.3, however far it swung."""

CONTRAST_MIN: Final = 0.02
"""Phases less than 2 % apart in ln n say nothing about elasticity."""


class Elasticity:
    """Running estimate of e with its standard error."""

    __slots__ = ("_old", "_older", "_weight", "_weighted")

    def __init__(self) -> None:
        self._weight = 0.0
        self._weighted = 0.0
        self._old: Cohort | None = None
        self._older: Cohort | None = None

    @property
    def value(self) -> float:
        """The estimate; 0.0 before any evidence."""
        return self._weighted / self._weight if self._weight > 0.0 else 0.0

    @property
    def error(self) -> float:
        """Its standard error; infinite before any evidence."""
        return 1.0 / sqrt(self._weight) if self._weight > 0.0 else float("inf")

    @property
    def is_flat(self) -> bool:
        """Whether response time certainly does not follow the number in flight."""
        return self.value + self.error < THRESHOLD

    @property
    def is_steep(self) -> bool:
        """Whether it certainly does: there is a queue."""
        return self.value - STEEP_SD * self.error > THRESHOLD

    def learn(self, cohort: Cohort, spread: float, share: float = 1.0) -> None:
        """Take the next swung phase; ``spread`` is the variance of ln R within phases.

        ``share`` of what is in flight waits for its first byte, and it alone moves with the limit.
        """
        older, mid = self._older, self._old
        self._older, self._old = mid, cohort
        if older is None or mid is None or cohort.number - older.number != 2:
            return
        delta = log(mid.in_flight) - 0.5 * (log(older.in_flight) + log(cohort.in_flight))
        delta /= share
        if abs(delta) < CONTRAST_MIN:
            return
        rise = mid.level - 0.5 * (older.level + cohort.level)
        noise = spread / mid.n + spread / (4.0 * older.n) + spread / (4.0 * cohort.n)
        self._add(rise, delta, noise)

    def _add(self, rise: float, delta: float, noise: float) -> None:
        e = max(E_MIN, min(E_MAX, rise / delta))
        weight = (2.0 / 3.0) * delta * delta / (noise + BETWEEN_VARIANCE)
        weight = min(WEIGHT_MAX, weight)
        self._weight = FORGETTING * self._weight + weight
        self._weighted = FORGETTING * self._weighted + weight * e

    def forget(self, share: float) -> None:
        """Lower the weight of what is known to ``share``: the limit has moved."""
        self._weight *= share
        self._weighted *= share

    def restart(self) -> None:
        """Break the chain of consecutive phases (traffic fell slack)."""
        self._old = self._older = None


LOW_FORGETTING: Final = 0.8
"""Weight that is kept per low phase: a memory of about 5."""


class LowLevel:
    """Weighted means over recent low phases: distance from the base, in flight, response."""

    __slots__ = ("_in_flight", "_level", "_response_ns", "_weight")

    def __init__(self) -> None:
        self._weight = 0.0
        self._level = 0.0
        self._in_flight = 0.0
        self._response_ns = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether a low phase has been seen since the last clearing."""
        return self._weight > 0.0

    @property
    def level(self) -> float:
        """Mean ln(response time) of low phases."""
        return self._level / self._weight

    @property
    def error2(self) -> float:
        """Squared standard error of :attr:`level`."""
        return 1.0 / self._weight

    @property
    def in_flight(self) -> float:
        """Mean number in flight in low phases."""
        return self._in_flight / self._weight

    @property
    def response_ns(self) -> float:
        """Mean response time in low phases."""
        return self._response_ns / self._weight

    def learn(self, cohort: Cohort, error2: float) -> None:
        """Take a low phase whose mean has squared standard error ``error2``."""
        weight = 1.0 / error2
        self.forget(LOW_FORGETTING)
        self._weight += weight
        self._level += weight * cohort.level
        self._in_flight += weight * cohort.in_flight
        self._response_ns += weight * cohort.response_ns

    def forget(self, share: float) -> None:
        """Lower the weight of what is known to ``share``; 0 clears it."""
        self._weight *= share
        self._level *= share
        self._in_flight *= share
        self._response_ns *= share


__all__ = ["THRESHOLD", "Elasticity", "Kind", "LowLevel"]
