"""How slowly one endpoint answers now: a mean that believes bad news at once and good news later.

*Rule of this file*: one endpoint's time to the first byte, read at any instant.

*Theory*: the peak-sensitive moving average. A sample above the mean becomes the
mean; one below moves it by 1 - exp(-dt / tau), dt since the sample before. So a
slow endpoint is known by its first slow answers, and forgiven over tau.

Two things are added, for a peak is also what one odd call looks like:

- a single sample raises the mean at most ``PEAK_STEP`` times: one slow call is an
  outlier, two are a change;
- calls without an answer speak too: once the mean age of at least ``N_OVERDUE``
  of them is above the mean, that age is the reading (as much above it as one
  sample could be). An endpoint that has stopped gives no samples at all.

*Source*: Finagle, ``PeakEwma`` (tau 10 s); the rest is ours.

*Considered and rejected*: letting the mean decay while no sample comes. Each
decay ends in a burst of calls to an endpoint about which nothing new is known;
:mod:`policies.reroute` sends single trials instead.
"""

from __future__ import annotations

from math import exp
from typing import Final

TAU_NS: Final = 10_000_000_000
"""Memory of a peak (Finagle's default)."""

PEAK_STEP: Final = 4.0
"""Of the mean: the most that one sample, or the age of unanswered calls, counts."""

N_OVERDUE: Final = 3
"""Fewer unanswered calls may all be of a slow kind."""


class Pace:
    """The response time of one endpoint.

    Attributes
    ----------
    n_unanswered : int
        Calls sent and neither answered nor given up.
    """

    __slots__ = ("_mean_ns", "_sampled_ns", "_sent_sum_ns", "n_unanswered")

    def __init__(self) -> None:
        self._mean_ns = 0.0
        self._sampled_ns = 0
        self._sent_sum_ns = 0
        self.n_unanswered = 0

    def sent(self, now_ns: int) -> None:
        """Note a call sent."""
        self.n_unanswered += 1
        self._sent_sum_ns += now_ns

    def answered(self, now_ns: int, sent_at_ns: int) -> None:
        """Note the first byte of a normal answer."""
        self.dropped(sent_at_ns)
        sample_ns = now_ns - sent_at_ns
        mean_ns = self._mean_ns
        if mean_ns <= 0.0:
            mean_ns = sample_ns if sample_ns > 0 else 1.0
        elif sample_ns > mean_ns:
            mean_ns = min(sample_ns, PEAK_STEP * mean_ns)
        else:
            keep = exp((self._sampled_ns - now_ns) / TAU_NS)
            mean_ns = max(1.0, keep * mean_ns + (1.0 - keep) * sample_ns)
        self._mean_ns = mean_ns
        self._sampled_ns = now_ns

    def dropped(self, sent_at_ns: int) -> None:
        """Note a call that ended without a normal answer: it says nothing of the pace."""
        self.n_unanswered -= 1
        self._sent_sum_ns -= sent_at_ns

    def read_ns(self, now_ns: int) -> float:
        """Return the time to the first byte to reckon with now; 0 before the first sample."""
        mean_ns = self._mean_ns
        n = self.n_unanswered
        if n >= N_OVERDUE:
            age_ns = now_ns - self._sent_sum_ns / n
            if age_ns > mean_ns:
                return min(age_ns, PEAK_STEP * mean_ns)
        return mean_ns
