"""Slots on an upstream's own refusals: when, and for whom a retry can still help.

*Rule of this file*: when there is a storm of refusals, and how late an
invitation may be for one caller. Which instant it gets is
:mod:`governor.core.reservations`'.

*Theory*: one refusal is the upstream's business, and its answer goes on byte for
byte. Many refusals with the same ``Retry-After``, or with none, bring everybody
back at once; then each is given its own time. It is a storm

- with the fifth refusal within a second (five callers sent off together are
  what a few slots can tell apart, and below that there is nothing to spread), or
- while invitations are outstanding: those who were given a time must not be
  overtaken by others who were given none.

A retry helps nobody if it must come after the caller's deadline. A deadline
bounds all tries together; a time-out of each try (as the SDKs of OpenAI and
Anthropic state) bounds none of the others.

Each invitation costs its caller a try. Into a service that stands still nobody
is invited sooner than it would have come by itself: clients begin at half a
second and double (:func:`standstill_ns`), so they do not run out of tries
faster than with nobody in between.

*Considered and rejected*: a slot on every refusal (a service that refuses one
caller for its own good reasons is not to be corrected); telling a client to
give up that has made the tries its family makes by default (those who are set to
more would lose their task, and the others give up by themselves).
"""

from __future__ import annotations

from collections import deque
from typing import Final

N_STORM: Final = 5
"""Refusals within ``STORM_NS`` that make a storm."""

STORM_NS: Final = 1_000_000_000

BACKOFF_NS: Final = 500_000_000
BACKOFF_MAX_NS: Final = 8_000_000_000
"""First and longest back-off of the SDKs of OpenAI and Anthropic, which most others resemble."""


class RefusalStorm:
    """Tells whether one upstream's refusals are a storm."""

    __slots__ = ("_lately",)

    def __init__(self) -> None:
        self._lately: deque[int] = deque(maxlen=N_STORM)

    def note(self, now_ns: int) -> None:
        """Count a refusal."""
        self._lately.append(now_ns)

    def is_on(self, now_ns: int, n_outstanding: int) -> bool:
        """Whether refusals now come as a storm; ``n_outstanding`` invitations are under way."""
        if n_outstanding:
            return True
        lately = self._lately
        return len(lately) == N_STORM and now_ns - lately[0] <= STORM_NS


def standstill_ns(attempt: int) -> int:
    """Return how long a caller stays away by itself after so many attempts.

    Parameters
    ----------
    attempt : int
        0 or less for a first one.
    """
    return min(BACKOFF_NS << min(max(attempt, 0), 16), BACKOFF_MAX_NS)


def latest_ns(
    horizon_ns: int, patience_ns: int, is_deadline: bool, elapsed_ns: int, response_ns: int
) -> int:
    """Return within which time from now a retry must begin to help; 0 or less if it cannot.

    Parameters
    ----------
    patience_ns : int
        What the caller has told; 0 if nothing.
    is_deadline : bool
        Whether that bounds all its tries together.
    elapsed_ns : int
        Since its request arrived.
    response_ns : int
        What an answer takes.
    """
    if not patience_ns or not is_deadline:
        return horizon_ns
    return min(horizon_ns, patience_ns - elapsed_ns - response_ns)
