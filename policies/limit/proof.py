"""Was the last fall right? Throughput before and after a large move tells.

*Theory*: below the knee throughput is proportional to the number in flight;
beyond it, it does not rise (and falls, where sharing costs). So when the level
fell far and throughput fell with it, the level is now below the knee: the
response times seen there hold no queue, whatever the base says, and the knee
is where the present response time gives the old throughput (Little's law).
It arbitrates a wrong fall within one cohort, where a swing of 6 % takes ten.
Throughput is taken from the cohort itself, in flight over mean response time,
before the fall also from departures: while a queue still grows, Little's law
credits the service with what has only been sent to it.

*Source*: ours. *Considered and rejected*: the same test on small steps (its
noise is larger than a step of 15 %).
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Final

from policies.limit.phases import Cohort
from policies.limit.protocol import NS_PER_S

PROOF_SD: Final = 2.0
"""Standard errors by which throughput must have fallen."""

PROOF_MIN: Final = 0.15
"""A fall of throughput by less than 15 % proves nothing: arrivals vary too."""

N_COHORTS_MAX: Final = 8
"""Cohorts after a fall for which the throughput before it is still news."""


def relative_error2(cohort: Cohort) -> float:
    """Return the squared relative standard error of the cohort's mean response time.

    The squared coefficient of variation is taken from the distance between the
    mean and the geometric mean: exact for lognormal, twice too large for
    exponential response times.
    """
    skew = max(0.0, log(cohort.response_ns) - cohort.level)
    return (exp(min(4.0, 2.0 * skew)) - 1.0) / cohort.n


class Fall:
    """What was known before the level fell, and what has been seen since."""

    __slots__ = (
        "_error2",
        "_in_flight",
        "_level",
        "_n",
        "_n_cohorts",
        "_response_ns",
        "before",
        "before_hz",
    )

    def __init__(self, before: Cohort, rate_hz: float = 0.0) -> None:
        self.before = before
        self.before_hz = before.in_flight * NS_PER_S / before.response_ns
        if rate_hz:
            self.before_hz = min(self.before_hz, rate_hz)
        self._error2 = 0.0
        self._n = 0
        self._n_cohorts = 0
        self._in_flight = 0.0
        self._level = 0.0
        self._response_ns = 0.0

    @property
    def is_stale(self) -> bool:
        """Whether too much time has passed to compare."""
        return self._n_cohorts >= N_COHORTS_MAX

    @property
    def level(self) -> float:
        """Mean ln(response time) since the fall."""
        return self._level / self._n

    @property
    def response_ns(self) -> float:
        """Mean response time since the fall."""
        return self._response_ns / self._n

    @property
    def error2(self) -> float:
        """Squared relative standard error of :attr:`response_ns`."""
        return self._error2 / (self._n * self._n)

    def learn(self, cohort: Cohort) -> None:
        """Take a cohort that was sent after the fall."""
        n = cohort.n
        self._n_cohorts += 1
        self._n += n
        self._in_flight += n * cohort.in_flight
        self._level += n * cohort.level
        self._response_ns += n * cohort.response_ns
        self._error2 += n * n * relative_error2(cohort)

    def knee(self) -> float:
        """Return where the knee must be if the fall went below it; 0.0 if that is not proven."""
        if self._n == 0:
            return 0.0
        before = self.before
        in_flight = self._in_flight / self._n
        throughput_ratio = self.before_hz * self.response_ns / (in_flight * NS_PER_S)
        if throughput_ratio <= 1.0:
            return 0.0
        error = sqrt(relative_error2(before) + self.error2)
        if log(throughput_ratio) < max(PROOF_MIN, PROOF_SD * error):
            return 0.0
        return min(before.in_flight, in_flight * throughput_ratio)
