"""Hung calls: a kind whose calls pile up while none is answered is capped at what it usually holds.

*Rule of this file*: open and answered calls of one kind on a time axis in, a verdict
and a cap out. Whom the cap binds is :mod:`policies.contain`'s.

*Theory*: by Little's law a kind usually holds L = rate x holding time places,
scattered by sqrt(L) if its calls are independent, by more if they are not; both
are measured. Where what its calls need has died they pile up at their rate, and
nothing ends. Neither alone is evidence: a surge piles calls up, and a lull of
answers follows a lull of calls. Together, with more open than usual, they are: of a
Poisson stream of answers at the usual rate the first 7 are missing once in
exp(7) = 1,100 times. A burst into an idle kind ends its first call within a
holding time, so less than ``PATIENT`` of that is no silence yet, unless 7 are missing of those
alone that were open when it began and were of all ages: of n such, n end in a holding time. How
many they are is known from below: open calls become so at the usual rate of answers. And
the others must be answered meanwhile: where all hang it is the upstream that has stopped, for
which the adaptive limit is there, and holding a kind back would help nobody.

A hung kind may hold its usual places and the scatter: the rest is not lost by
it. It is hung until a call of it is answered again; an error after a
time-out is no answer, the first byte of a stream is one. So a kind that has only become slow
is capped for one of its new holding times at most. What is usual is not learned while
it hangs, but for a drift of a minute.

*Regime*: kinds that end at least a few calls in 10 s. One that comes more rarely,
or that always was slow, is told by its holding time (:mod:`policies.contain`).

*Cost*: nothing per call that is answered; a dozen additions per kind and tick.

*Source*: W. Whitt, "Server systems: the number in system" (Little's law, Poisson
scatter of M/G/inf); ours: the rule of three witnesses (many, silent, others are not).

*Considered and rejected*: the age of the oldest open call (of a heavy tail it is
always old); the cap without a verdict (a surge would wait beside free places).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

MISSED: Final = 7.0
"""Answers missing, at the usual rate, that are no chance: exp(-7) = 0.1 %."""

PATIENT: Final = 1.25
"""Holding times without an answer that are no burst's first wait."""

SUSPECT: Final = 3.0
"""Answers missing from which nothing is learned of what is usual."""

SPREAD: Final = 3.0
"""Standard deviations above the usual that are no chance: 0.1 %."""

MEMORY_S: Final = 10.0
"""Of what is usual: a few hundred calls of a busy kind, ten of a rare one."""

DRIFT_S: Final = 60.0
"""Within which what lasts becomes usual, hung or not."""

TICK_S: Final = 0.05
"""Between two ticks that are on time."""

LATE_S: Final = 1.5 * TICK_S
"""After more it is as if ticks had been on time, while nothing is held and nothing ends."""

OTHERS_SHARE: Final = 0.5
"""Of their usual rate at which the others must be answered meanwhile."""

OTHERS_MIN: Final = 3
"""Answers to others below which nothing is known of them."""


class Hang:
    """Whether the calls of one kind hang.

    Attributes
    ----------
    usual : float
        Places that it usually holds.
    told_hz : float
        Its usual rate of answers that end.
    is_hung : bool
    """

    __slots__ = (
        "_age_s",
        "_missed",
        "_others",
        "_silent_s",
        "_steady",
        "_steady_missed",
        "_variance",
        "is_hung",
        "told_hz",
        "usual",
    )

    def __init__(self) -> None:
        self.usual = 0.0
        self.told_hz = 0.0
        self.is_hung = False
        self._variance = 0.0
        self._age_s = 0.0
        self._silent_s = 0.0
        self._missed = 0.0
        self._steady = 0.0
        self._steady_missed = 0.0
        self._others = 0

    @property
    def cap(self) -> int:
        """Places that it may hold while it hangs."""
        return ceil(self.usual + SPREAD * sqrt(max(self._variance, self.usual))) + 1

    @property
    def is_settled(self) -> bool:
        """Whether, while no call of it is sent, one late tick does what many on time would."""
        return self._age_s >= MEMORY_S and not self.is_hung

    def fade(self, dt_s: float) -> None:
        """Take in a silence, in which it had no calls, as so many ticks would have."""
        self._age_s += dt_s
        kept = (1.0 - TICK_S / MEMORY_S) ** (dt_s / TICK_S)
        # of each tick's way down a part is scatter: the sum over all of them
        strayed = self.usual * self.usual * kept * (1.0 - kept) / (1.0 - TICK_S / MEMORY_S)
        self._variance = kept * self._variance + strayed
        self.told_hz *= kept
        self.usual *= kept

    def tick(
        self,
        n_open: int,
        n_ended: int,
        n_begun: int,
        held_s: float,
        n_others: int,
        others_hz: float,
        dt_s: float,
    ) -> None:
        """Take in what happened within ``dt_s``.

        Parameters
        ----------
        n_open : int
            Its calls that hold a place now.
        n_ended, n_begun : int
            Its calls whose answers ended, or began and go on.
        held_s : float
            Mean holding time of its latest.
        n_others, others_hz : int, float
            Answers to other kinds' calls, and their usual rate.
        """
        if self.told_hz:
            held_s = max(held_s, self.usual / self.told_hz)  # the latter: Little's
        if n_ended or n_begun or not n_open:
            self._silent_s = self._missed = self._steady_missed = 0.0
            self._steady = min(float(n_open), self._steady + self.told_hz * dt_s)
            self._others = 0
            self.is_hung = False
            if dt_s > LATE_S and self.is_settled and not (n_ended or n_begun or n_open):
                self.fade(dt_s)
                return
        else:
            self._silent_s += dt_s
            self._missed += self.told_hz * dt_s
            if held_s:
                self._steady_missed += self._steady * dt_s / held_s
            self._others += n_others
            self.is_hung = self.is_hung or self._seems_hung(n_open, held_s, others_hz)
        self._age_s += dt_s
        is_usual = not self.is_hung and self._missed < SUSPECT
        gain = dt_s / min(self._age_s, MEMORY_S) if is_usual else min(1.0, dt_s / DRIFT_S)
        self.told_hz += gain * (n_ended / dt_s - self.told_hz)
        off = n_open - self.usual
        self.usual += gain * off
        self._variance += gain * (off * off - self._variance)

    def _seems_hung(self, n_open: int, held_s: float, others_hz: float) -> bool:
        """Whether there are many of it, it is silent, and the others are not."""
        return (
            self._missed >= MISSED
            and (self._steady_missed >= MISSED or self._silent_s >= PATIENT * held_s)
            and n_open > self.usual + SPREAD * sqrt(max(self._variance, self.usual))
            and self._others >= max(OTHERS_MIN, OTHERS_SHARE * others_hz * self._silent_s)
        )
