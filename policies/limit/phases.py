"""Phases: cohorts of dispatches whose answers are judged together.

*Theory*: every dispatch carries the number of the phase that was open when it
left. Judging by cohort of dispatch (not by time of answer) means that all
samples of a phase met the same limit. A phase lasts about two response times,
``max(16, 2 n)`` dispatches by Little's law: under processor sharing a request
feels the load over its whole life, and phases of one response time show no
contrast at all. Its length is jittered so that it locks onto no period of the
service.

A phase is *mature* when everything has answered, or when 75 % have and 1.2
mean response times have passed since it closed; the missing ones then count
with the logarithm of their mean age. Maturing sooner biases the mean (their
ages are short); waiting for all lets one straggler stop the control. When most
are missing for very long, that itself is the finding: growth must not go on
meanwhile on the word of the few that do answer.

*Source*: ours (a simulation study; ``python -m bench limit`` repeats it).
"""

from __future__ import annotations

from enum import IntEnum
from math import log
from typing import Final

from policies.xorshift import Xorshift

N_MIN: Final = 16
"""Fewest dispatches of a phase: a mean of 16 logarithms has a standard error of 0.12-0.4."""

N_MIN_START: Final = 12
"""Fewest dispatches of a phase in slow start, where the signal is a doubling."""

N_MAX_START: Final = 32
"""Most dispatches of a phase in slow start: it asks for no contrast, so it needs no two response
times, and 32 logarithms tell a doubling from noise at any spread seen."""

SLOW_SHARE: Final = 0.9
"""Share of a cohort that a queue makes a quarter slower than usual; behind one of a whole response
time all are, and without any 90 % of a cohort hardly ever at any spread."""

N_YOUNG: Final = (4, 6, 9)
"""Dispatches of the first phases: the base must be seen before a cold start has queued.
They wait for all their answers: the first to come are the short ones."""

N_MIN_LATE: Final = 8
"""Fewest dispatches of a phase that closes by time."""

PHASE_NS_MAX: Final = 5_000_000_000
"""A phase closes after 5 s even if short: slow traffic must be judged too."""

PHASE_NS_MIN: Final = 20_000_000
"""Services that answer within a millisecond need no verdict more often than 50 times a second."""

N_MAX: Final = 1 << 14
"""Unless time stands still: then numbers close a phase."""

MATURE_SHARE: Final = 0.75
"""Share of answers needed before the missing ones may be counted by age."""

MATURE_RESPONSES: Final = 1.2
"""Mean response times to wait for stragglers after the phase closed."""

LATE_RESPONSES: Final = 12.0
"""After as many mean response times even a mostly unanswered phase is judged, by its ages."""

FOLD_NS_MIN: Final = 10_000_000
"""Response times below 10 ms are all alike: a shorter queue is not worth governing, and it is
what a busy event loop of our own adds, which fewer requests in flight would only move from
the upstream's side to the line."""


class Kind(IntEnum):
    """What a phase is for."""

    STEADY = 0
    """No swing: the limit is the level."""
    HIGH = 1
    """A little above the level."""
    LOW = 2
    """A little below the level."""
    DIP = 3
    """Far below: teaches the base."""
    REACH = 4
    """Far above: frees a limit that is stuck low."""


class Phase:
    """Sums over one cohort; the hot path adds to them directly."""

    __slots__ = (
        "closed_at_ns",
        "in_flight_sum",
        "is_judged",
        "kind",
        "log_sq_sum",
        "log_sum",
        "n_answered",
        "n_bound",
        "n_dispatched",
        "n_slow",
        "n_target",
        "number",
        "opened_at_ns",
        "response_sum_ns",
        "sent_sum_ns",
    )

    def __init__(self, number: int, kind: Kind, opened_at_ns: int, n_target: int) -> None:
        self.number = number
        self.kind = kind
        self.opened_at_ns = opened_at_ns
        self.closed_at_ns = -1
        self.n_target = n_target
        self.n_dispatched = 0
        self.n_bound = 0
        self.n_answered = 0
        self.n_slow = 0
        self.sent_sum_ns = 0
        self.log_sum = 0.0
        self.log_sq_sum = 0.0
        self.response_sum_ns = 0
        self.in_flight_sum = 0
        self.is_judged = False

    @property
    def is_bound(self) -> bool:
        """Whether at least half of the dispatches met the limit."""
        return 2 * self.n_bound >= self.n_dispatched > 0

    def is_short(self, now_ns: int, least_ns: int = PHASE_NS_MIN) -> bool:
        """Whether the phase must go on, though it has as many dispatches as it was to have."""
        if self.number < len(N_YOUNG):
            return False
        return now_ns - self.opened_at_ns < least_ns and self.n_dispatched < N_MAX

    def is_late(self, now_ns: int) -> bool:
        """Whether the phase must close by time."""
        return self.n_dispatched >= N_MIN_LATE and now_ns - self.opened_at_ns >= PHASE_NS_MAX

    def is_mature(self, now_ns: int, response_ns: float) -> bool:
        """Whether the cohort can be judged (see the module's theory)."""
        if self.closed_at_ns < 0:
            return False
        if self.n_answered >= self.n_dispatched:
            return True
        if self.n_answered == 0:
            return False
        response_ns = max(response_ns, self.response_sum_ns / self.n_answered)
        needs_all = self.n_target < N_MIN_START
        is_missing_many = needs_all or self.n_answered < MATURE_SHARE * self.n_dispatched
        n_responses = LATE_RESPONSES if is_missing_many else MATURE_RESPONSES
        return now_ns - self.closed_at_ns >= n_responses * response_ns


class Cohort:
    """The summary of a mature phase.

    Attributes
    ----------
    level : float
        Mean ln(response time in ns), stragglers included.
    spread : float
        Variance of ln(response time) within the cohort.
    response_ns : float
        Mean response time, stragglers included.
    in_flight : float
        Mean requests in flight that its requests met, from dispatch to answer.
    is_slow : bool
        Whether hardly any was answered in the usual time. A queue delays every call behind it; a
        few long ones among them delay nobody else.
    """

    __slots__ = (
        "in_flight",
        "is_bound",
        "is_slow",
        "kind",
        "level",
        "n",
        "number",
        "response_ns",
        "spread",
    )

    def __init__(self, phase: Phase, now_ns: int) -> None:
        n_missing = max(0, phase.n_dispatched - phase.n_answered)
        n = phase.n_answered + n_missing
        log_sum, log_sq_sum = phase.log_sum, phase.log_sq_sum
        response_sum_ns = float(phase.response_sum_ns)
        if n_missing:
            age_ns = max(float(FOLD_NS_MIN), now_ns - phase.sent_sum_ns / n_missing)
            log_age = log(age_ns)
            log_sum += n_missing * log_age
            log_sq_sum += n_missing * log_age * log_age
            response_sum_ns += n_missing * age_ns
        self.number = phase.number
        self.kind = phase.kind
        self.is_bound = phase.is_bound
        self.is_slow = n_missing + phase.n_slow >= SLOW_SHARE * n
        self.n = n
        self.level = log_sum / n
        self.spread = max(0.0, log_sq_sum / n - self.level * self.level)
        self.response_ns = response_sum_ns / n
        self.in_flight = max(1.0, phase.in_flight_sum / (2.0 * phase.n_answered))


def draw_length(number: int, n_waiting: float, has_knee: bool, rng: Xorshift) -> int:
    """Return of how many dispatches a phase shall be, ``n_waiting`` of the calls in flight
    being without their first byte.
    """
    if number < len(N_YOUNG):
        return N_YOUNG[number]
    n = min(max(N_MIN_START, n_waiting), N_MAX_START)
    if has_knee:
        n = max(N_MIN, 2.0 * n_waiting)
    return int(n * (0.85 + 0.3 * rng.random()))
