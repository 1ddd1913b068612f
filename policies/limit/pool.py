"""Cohorts that several governors answer for together: what is told of ours, what is heard.

*Rule of this file*: sums over a cohort as integers that add up, and back. Who tells whom, and how,
is not known here.

*Theory*: a limit learns from answers, at one over the root of their number. A leader that judges
its third of them needs cohorts three times as long for the same certainty, and a herd is over
before the second of them. So all governors count in step: the leader numbers its phases and says
which one is open; what a follower sends from then on belongs to the phase of that number. Each
tells its sums by the number's last two bits, as running totals that are never cleared, so that the
difference between two exchanges, summed over all who tell, is what was added to that cohort
elsewhere. What is sent and not answered yet is told with its age, so that a cohort whose short
answers came first is not taken for a fast one.

A phase lasts at least four exchanges: a follower learns of it one later on the average, and then
three quarters of it were sent under the limit that it is to judge. It is judged no sooner than
three exchanges after it closed: one until all have heard, one more response time of theirs counts
by its age, one until they have told.

*Cost*: 36 integers per endpoint, of which those of one or two phases change between two exchanges.

*Considered and rejected*: the others' answers counted into whatever phase is open when they are
heard (high and low phases blur into each other: no elasticity); cohorts in step before a knee is
known (the slow start must not wait for three exchanges).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from policies.limit.phases import N_MIN_START, Phase

N_SLOTS: Final = 4
"""Phases told apart: one open, and those not judged yet."""

MILLI: Final = 1000.0
NS_PER_MS: Final = 1e6

N_DISPATCHED: Final = 0
N_BOUND: Final = 1
N_ANSWERED: Final = 2
N_SLOW: Final = 3
LOG_MILLI: Final = 4
LOG_SQ_MILLI: Final = 5
RESPONSE_MS: Final = 6
IN_FLIGHT: Final = 7
N_TOTALS: Final = 8
AGE_MS: Final = 8
"""The ages of all that are not answered yet: told as it is, no running total."""

N_SUMS: Final = 9
"""Integers of one slot."""

N_EXCHANGES_OPEN: Final = 4
N_EXCHANGES_HEARD: Final = 3
"""Exchanges that a phase lasts at least, and from its end until it may be judged."""


def totals_of(phase: Phase) -> list[float]:
    """Return what counts of a phase, by place in its slot."""
    return [
        phase.n_dispatched,
        phase.n_bound,
        phase.n_answered,
        phase.n_slow,
        MILLI * phase.log_sum,
        MILLI * phase.log_sq_sum,
        phase.response_sum_ns / NS_PER_MS,
        phase.in_flight_sum,
    ]


class Elsewhere:
    """What the others have told of one phase."""

    __slots__ = ("sent_sum_ns", "totals")

    def __init__(self) -> None:
        self.totals = [0] * N_TOTALS
        self.sent_sum_ns = 0


class Pool:
    """The phases of one limit that are in step with those of other governors.

    Attributes
    ----------
    tag : int
        Of the open phase: the leader's count of phases, the same everywhere.
    phase_ns : int
        How long a phase lasts at least; 0: nobody else is there.
    heard_ns : int
        From its end until it may be judged.
    part : float
        Ours of the calls, about.
    """

    __slots__ = ("_by_slot", "_elsewhere", "_retired", "heard_ns", "part", "phase_ns", "tag")

    def __init__(self) -> None:
        self.tag = 0
        self.phase_ns = 0
        self.heard_ns = 0
        self.part = 1.0
        self._by_slot: list[Phase | None] = [None] * N_SLOTS
        self._elsewhere: list[Elsewhere | None] = [None] * N_SLOTS
        self._retired = [[0.0] * N_TOTALS for _ in range(N_SLOTS)]

    @property
    def is_on(self) -> bool:
        """Whether others are there."""
        return self.phase_ns > 0

    def share(self, exchange_ns: int) -> None:
        """Count together from now on.

        Parameters
        ----------
        exchange_ns : int
            From one exchange to the next, and until it is answered; 0: alone.
        """
        self.phase_ns = N_EXCHANGES_OPEN * exchange_ns
        self.heard_ns = N_EXCHANGES_HEARD * exchange_ns
        if not exchange_ns:
            self.restart()

    def restart(self) -> None:
        """Forget what was heard: who tells is not who told before."""
        self._elsewhere = [None] * N_SLOTS

    def open(self, phase: Phase, tag: int) -> None:
        """Take note that a phase has begun."""
        self.tag = tag
        slot = tag % N_SLOTS
        last = self._by_slot[slot]
        if last is not None:
            pairs = zip(self._retired[slot], totals_of(last), strict=True)
            self._retired[slot] = [x + y for x, y in pairs]
        self._by_slot[slot] = phase
        self._elsewhere[slot] = Elsewhere() if self.is_on else None

    # -- out and in -----------------------------------------------------------------

    def tell(self, now_ns: int) -> list[int]:
        """Return our sums of all slots."""
        told: list[int] = []
        for slot, phase in enumerate(self._by_slot):
            retired = self._retired[slot]
            if phase is None:
                told += [int(x) for x in retired] + [0]
                continue
            told += [int(x + y) for x, y in zip(retired, totals_of(phase), strict=True)]
            n_missing = phase.n_dispatched - phase.n_answered
            told.append(max(0, int((n_missing * now_ns - phase.sent_sum_ns) / NS_PER_MS)))
        return told

    def hear(self, now_ns: int, sums: Sequence[int], before: Sequence[int]) -> None:
        """Take what the others' sums have become since ``before``."""
        for slot, elsewhere in enumerate(self._elsewhere):
            if elsewhere is None:
                continue
            first = slot * N_SUMS
            totals = elsewhere.totals
            for idx in range(N_TOTALS):
                totals[idx] += sums[first + idx] - before[first + idx]
            n_missing = totals[N_DISPATCHED] - totals[N_ANSWERED]
            age_ns = sums[first + AGE_MS] * 1_000_000
            elsewhere.sent_sum_ns = max(0, n_missing) * now_ns - age_ns

    # -- together ---------------------------------------------------------------------

    def is_heard(self, now_ns: int, phase: Phase) -> bool:
        """Whether the others have had the time to tell of a phase that has closed."""
        return not self.heard_ns or now_ns - phase.closed_at_ns >= self.heard_ns

    def whole(self, phase: Phase) -> Phase:
        """Return a phase with what was heard of it."""
        slot = next((x for x, y in enumerate(self._by_slot) if y is phase), -1)
        elsewhere = self._elsewhere[slot] if slot >= 0 else None
        if elsewhere is None or elsewhere.totals[N_DISPATCHED] <= 0:
            return phase
        totals = elsewhere.totals
        whole = Phase(phase.number, phase.kind, phase.opened_at_ns, N_MIN_START)
        whole.closed_at_ns = phase.closed_at_ns
        whole.n_dispatched = phase.n_dispatched + totals[N_DISPATCHED]
        whole.n_bound = phase.n_bound + totals[N_BOUND]
        whole.n_answered = phase.n_answered + totals[N_ANSWERED]
        whole.n_slow = phase.n_slow + totals[N_SLOW]
        whole.log_sum = phase.log_sum + totals[LOG_MILLI] / MILLI
        whole.log_sq_sum = phase.log_sq_sum + totals[LOG_SQ_MILLI] / MILLI
        whole.response_sum_ns = phase.response_sum_ns + totals[RESPONSE_MS] * 1_000_000
        whole.in_flight_sum = phase.in_flight_sum + totals[IN_FLIGHT]
        whole.sent_sum_ns = phase.sent_sum_ns + elsewhere.sent_sum_ns
        return whole
