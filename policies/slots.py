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

A retry helps nobody if it must come after the caller's deadline, or if the
client has made all its tries. A deadline bounds all tries together; a time-out
of each try (as the SDKs of OpenAI and Anthropic state) bounds none of the
others. The number of tries is the family's default, for what an application
has set is not on the wire; a family of which any caller was seen to go beyond
its default is not held to it any more.

*Considered and rejected*: a slot on every refusal (a service that refuses one
caller for its own good reasons is not to be corrected); counting inferred
attempts (a wrong guess would tell a caller to give up).
"""

from __future__ import annotations

from collections import deque

from signals.families import FOREVER, N_FAMILIES, SCHEDULES

N_STORM = 5
"""Refusals within ``STORM_NS`` that make a storm."""

STORM_NS = 1_000_000_000


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


def list_tries() -> tuple[int, ...]:
    """Return how often each family retries by default, at most over its laws; 0 if unknown."""
    found = [0] * N_FAMILIES
    for schedule in SCHEDULES:
        found[schedule.family] = max(found[schedule.family], schedule.n_retries)
    return tuple(found)


N_RETRIES = list_tries()


class Tries:
    """Whether a client has made all its tries, as far as its family is known."""

    __slots__ = ("_is_beyond",)

    def __init__(self) -> None:
        self._is_beyond = [n == 0 or n >= FOREVER for n in N_RETRIES]

    def are_spent(self, family: int, attempt: int) -> bool:
        """Whether the client that marked ``attempt`` will not, or need not, try again."""
        if not 0 <= family < N_FAMILIES or attempt < 1 or self._is_beyond[family]:
            return False
        if attempt > N_RETRIES[family]:
            self._is_beyond[family] = True
            return False
        return attempt == N_RETRIES[family]


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
