"""The phases of one limit that are not judged yet, in the order in which they opened.

*Rule of this file*: which phases there are, which is next to be judged, and
what their calls still owe. When a phase closes is
:mod:`policies.limit.adaptive`'s, how long one is and when it is mature
:mod:`policies.limit.phases`'s.

*Theory*: judged in order, however late a phase matures, for every cohort is
compared with those before it. A call keeps its phase's number; where that has
gone out of the ring since, the slot holds another number and the answer
teaches nothing.

*Source*: ours.
"""

from __future__ import annotations

from typing import Final

from policies.limit.phases import (
    N_MIN_LATE,
    N_MIN_START,
    N_YOUNG,
    PHASE_NS_MIN,
    Kind,
    Phase,
    draw_length,
)
from policies.limit.pool import Pool
from policies.xorshift import Xorshift

N_RING: Final = 64
"""Phases kept, a power of two; the oldest is judged as it is when the ring is full."""

UNTIL_TOLD: Final = 1 << 62
"""Dispatches of a phase that another limit closes."""


class Ring:
    """The open phase and those that wait for their answers.

    Attributes
    ----------
    phases : list of Phase
        Phase ``number`` is at ``number & 63``; the same list for good, so that the owner may keep
        it at hand.
    newest : Phase
        The open one.
    oldest : int
        Number of the first phase not judged.
    pool : Pool
        What of them is counted together with other governors, if there are any.
    """

    __slots__ = ("newest", "oldest", "phases", "pool")

    def __init__(self) -> None:
        self.oldest = 0
        self.pool = Pool()
        self.newest = Phase(0, Kind.STEADY, 0, N_YOUNG[0])
        self.newest.opened_at_ns = -1
        self.phases: list[Phase] = [self.newest] * N_RING

    @property
    def is_full(self) -> bool:
        """Whether a phase must be judged as it is before another can open."""
        return self.newest.number + 1 - self.oldest >= N_RING

    @property
    def is_settled(self) -> bool:
        """Whether time alone closes and judges nothing: every call sent has been answered."""
        phase = self.newest
        return (
            phase.opened_at_ns >= 0
            and phase.n_dispatched < N_MIN_LATE
            and phase.n_answered == phase.n_dispatched
            and self.oldest == phase.number
        )

    def open(
        self, kind: Kind, now_ns: int, n_waiting: float, has_knee: bool, rng: Xorshift
    ) -> Phase:
        """Open the next phase and return it; the one before must have been closed."""
        number, pool = self.newest.number + 1, self.pool
        n_target = draw_length(number, n_waiting, has_knee, rng)
        if pool.is_on and has_knee and number >= len(N_YOUNG):
            n_target = max(N_MIN_START, int(n_target * pool.part))
        return self._begin(Phase(number, kind, now_ns, n_target), pool.tag + 1)

    def open_led(self, kind: Kind, now_ns: int, tag: int) -> Phase:
        """Open the phase that another limit has open under this tag; it closes when told."""
        return self._begin(Phase(self.newest.number + 1, kind, now_ns, UNTIL_TOLD), tag)

    def _begin(self, phase: Phase, tag: int) -> Phase:
        self.newest = self.phases[phase.number & 63] = phase
        self.pool.open(phase, tag)
        return phase

    def goes_on(self, now_ns: int, has_knee: bool) -> bool:
        """Return whether the open phase must not close yet; it shall then have more dispatches."""
        phase = self.newest
        is_pooled = self.pool.is_on and has_knee
        least_ns = max(PHASE_NS_MIN, self.pool.phase_ns) if is_pooled else PHASE_NS_MIN
        if not phase.is_short(now_ns, least_ns):
            return False
        phase.n_target += phase.n_target >> 2 if is_pooled else phase.n_target
        return True

    def take_oldest(self) -> Phase:
        """Return the oldest phase, to be judged now with what is known of it from elsewhere: no
        later answer counts for it.
        """
        phase = self.phases[self.oldest & 63]
        phase.is_judged = True
        self.oldest += 1
        return self.pool.whole(phase)

    def take_mature(self, now_ns: int, response_ns: float) -> Phase | None:
        """Return the oldest phase if it has closed and is mature or has no calls; else None."""
        if self.oldest >= self.newest.number:
            return None
        phase = self.phases[self.oldest & 63]
        if phase.n_dispatched and not self._is_mature(phase, now_ns, response_ns):
            return None
        return self.take_oldest()

    def _is_mature(self, phase: Phase, now_ns: int, response_ns: float) -> bool:
        pool = self.pool
        if not pool.is_on:
            return phase.is_mature(now_ns, response_ns)
        if not pool.is_heard(now_ns, phase):
            return False
        return pool.whole(phase).is_mature(now_ns, response_ns)

    def unanswered(self, now_ns: int) -> tuple[int, float]:
        """Return how many calls have no first byte yet, and their mean age."""
        n_unanswered = sent_sum_ns = 0
        for number in range(self.oldest, self.newest.number + 1):
            phase = self.phases[number & 63]
            n_unanswered += phase.n_dispatched - phase.n_answered
            sent_sum_ns += phase.sent_sum_ns
        return n_unanswered, now_ns - sent_sum_ns / n_unanswered if n_unanswered else 0.0

    def forget(self, dispatched_at_ns: int) -> None:
        """Take a call that will never answer out of its phase, found by when it was sent."""
        ring, first, last = self.phases, self.oldest, self.newest.number
        number = last
        while number > first and ring[number & 63].opened_at_ns >= dispatched_at_ns:
            number -= 1
        while number <= last:
            phase = ring[number & 63]
            if phase.n_dispatched > phase.n_answered:
                phase.n_dispatched -= 1
                phase.sent_sum_ns -= dispatched_at_ns
                return
            number += 1
