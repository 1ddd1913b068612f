"""Whether answers are overdue, and whether the endpoint has stalled.

*Theory*: response times are known only once answers come, which in a stall is
too late: at 240 requests/s a limit of 80 fills in a quarter of a second. The
mean age of what is unanswered needs no answer: in health it is half of
E[R^2]/E[R] (the inspection paradox), for a lognormal half the mean response
times exp(spread).

*Overdue* is an age beyond twice that; it only forbids growth, for traffic with
a long tail is overdue now and then. A *stall* is overdue and slow: answers come
at less than a seventh of the rate that the number unanswered would give at the
usual response time (Little's law). Then what was allowed without proof is
taken back: it is what the callers of a stall will not wait for.

*Source*: ours.
"""

from __future__ import annotations

from math import exp
from typing import Final

from policies.limit.base import Base

AGE_FACTOR: Final = 2.0
"""Answers are overdue when those outstanding are twice as old as usual (E[R^2] / 2 E[R])."""

SPREAD_AGE_MAX: Final = 2.0
"""Variance of ln R beyond which the usual age is not stretched further."""

N_OVERDUE_MIN: Final = 3
"""Fewer outstanding answers say nothing."""

STALL_SHARE: Final = 0.15
"""Answers at less than this share of the rate that Little's law expects are a stall."""

STALL_ROOM: Final = 1.25
"""In a stall, while no knee is known, the limit is this multiple of what was proven."""

STALL_MIN: Final = 32.0
"""What few callers have proven is no measure of what a few more may do: organic traffic with long
tails comes to a stand by chance at 10 in flight, not at 40."""

MEMORY_NS: Final = 300_000_000.0
"""Memory of the rate of answers: six ticks, three services of 0.1 s."""


N_FOLLOWED: Final = 10.0
"""Answers that the memory spans at the usual rate: fewer come in lumps."""


class Overdue:
    """The age of what is unanswered against what is usual.

    Attributes
    ----------
    n_answered : int
        Counted by the owner on its hot path.
    is_overdue, is_stalled : bool
        As of the last :meth:`judge`.
    """

    __slots__ = (
        "_followed_at_ns",
        "_n_followed",
        "_rate_per_ns",
        "is_overdue",
        "is_stalled",
        "n_answered",
    )

    def __init__(self) -> None:
        self.n_answered = 0
        self.is_overdue = False
        self.is_stalled = False
        self._n_followed = 0
        self._rate_per_ns = 0.0
        self._followed_at_ns = -1

    def judge(
        self, now_ns: int, base: Base, spread: float, n_unanswered: int, age_ns: float
    ) -> None:
        """Judge ``n_unanswered`` requests of mean age ``age_ns`` by what is usual (each tick)."""
        self.is_overdue = self.is_stalled = False
        usual_ns = base.response_ns
        self._follow(now_ns, N_FOLLOWED * usual_ns / n_unanswered if n_unanswered else 0.0)
        if not base.is_ready or n_unanswered < N_OVERDUE_MIN:
            return
        usual_age_ns = 0.5 * usual_ns * exp(min(SPREAD_AGE_MAX, spread))
        self.is_overdue = age_ns > AGE_FACTOR * usual_age_ns
        n_expected = self._rate_per_ns * usual_ns
        self.is_stalled = self.is_overdue and n_expected < STALL_SHARE * n_unanswered

    def _follow(self, now_ns: int, memory_ns: float) -> None:
        """Follow the rate of answers with a memory of at least ``memory_ns``."""
        elapsed_ns = now_ns - self._followed_at_ns if self._followed_at_ns >= 0 else 0
        if elapsed_ns > 0:
            rate_per_ns = (self.n_answered - self._n_followed) / elapsed_ns
            gain = 1.0 - exp(-elapsed_ns / max(MEMORY_NS, memory_ns))
            self._rate_per_ns += gain * (rate_per_ns - self._rate_per_ns)
        self._n_followed = self.n_answered
        self._followed_at_ns = max(now_ns, self._followed_at_ns)
