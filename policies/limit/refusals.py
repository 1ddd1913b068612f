"""What a refusing upstream accepts: so many calls at once, or so many per second.

*Rule of this file*: refusals (429, 503) in, a ceiling for the limit and an
accepted rate out.

*Theory*: an upstream that refuses says that it has no capacity now, but not of
which kind. If it is short of *places* (a bounded queue, a limit of its own), it
refuses exactly those calls that find too many before them. As the gate knows
how many were in flight when it sent each, the lowest number that met a refusal
tells the bound, to the call, within one burst. Now and then one more is let in,
to learn whether the bound has moved; each time in vain the next try waits twice
as long.

If it is short of something else (a quota, or a service behind it), refusals
come at any number in flight: to calls that found fewer before them than others
that were answered at the same time, in the end to a call that was alone. Then
no ceiling is believed, and what counts is the rate at which calls are accepted
while others are refused: those sent away are to be invited back at that rate,
not at the one that the places could serve. Nothing is paced by it: that needs a
quota, which :mod:`policies.quota` finds, more exactly, from the same refusals, and
gives up where what is short is no quota. This rate stays then.

Where several governors send to one upstream, a refusal is weighed when all of them have told what
they had in flight (:mod:`policies.limit.met`); a ceiling that others have found is heard, and what
their leader believes is followed (:mod:`policies.limit.shared`). Told is only what refusals of our
own calls have shown: what was heard, told again, would never be forgotten.

*Cost*: a comparison per answer and per refusal.

*Considered and rejected*: telling the two by status (429 and 503 stand for
both); multiplicative decrease (it gives up places that are there, and finds the
bound only after many refusals).
"""

from __future__ import annotations

from typing import Final

from policies.limit.protocol import NS_PER_S

N_REFUSED_MIN: Final = 3
"""Fewer refusals in a period are an accident."""

PERIOD_NS: Final = 200_000_000
"""Refusals this close together have one cause; also how often the ceiling is weighed."""

PROBE_NS: Final = 10_000_000_000
"""From the last refusal to the first try for one more place."""

PROBE_MAX_NS: Final = 80_000_000_000
"""However often it was in vain, a bound that has moved is found within minutes."""

PROBED_NS: Final = 2_000_000_000
"""A try without a refusal for so long has succeeded."""

LIFTED_NS: Final = 60_000_000_000
"""How long places are not suspected again, once they were shown not to be what is short."""

ABOVE: Final = 1.1
"""Answers to calls that found a tenth more before them, and two, speak against places: what
was sent in one burst may have overtaken itself by that much, not by more."""

N_ALONE: Final = 3
"""Refusals of calls that were alone show it."""

EPISODE_NS: Final = 400_000_000
"""Refusals must go on for so long before a rate can be told from them."""

LULL_NS: Final = 2_000_000_000
"""A pause between refusals that ends an episode."""

FADE: Final = 0.99
"""Of the accepted rate, per period: slots may leave a quota idle, and then less is accepted
than could be."""

MEMORY_NS: Final = 10_000_000_000
"""How long the accepted rate binds after the last refusal."""

NO_CEILING: Final = 1 << 30


class Refusals:
    """What one endpoint's refusals teach.

    Attributes
    ----------
    ceiling : int
        Calls in flight at most; ``NO_CEILING`` while places are not what is short.
    top : int
        The most calls in flight that an answered call found, in this period. Raised by the
        owner on its hot path.
    """

    __slots__ = (
        "_accepted_hz",
        "_began_ns",
        "_is_probing",
        "_lifted_until_ns",
        "_lowest",
        "_n_alone",
        "_n_answered",
        "_n_at_begin",
        "_n_refused",
        "_partial_until_ns",
        "_probe_after_ns",
        "_rate_at_ns",
        "_refused_at_ns",
        "_shown",
        "_taught_at_ns",
        "_top_before",
        "_weighed_at_ns",
        "ceiling",
        "top",
    )

    def __init__(self) -> None:
        self.ceiling = NO_CEILING
        self.top = 0
        self._top_before = 0
        self._lowest = NO_CEILING
        self._n_refused = 0
        self._n_alone = 0
        self._n_answered = 0
        self._n_at_begin = 0
        self._began_ns = -1
        self._rate_at_ns = -1
        self._weighed_at_ns = -1
        self._refused_at_ns = -1
        self._taught_at_ns = -1
        self._shown = NO_CEILING
        self._lifted_until_ns = -1
        self._partial_until_ns = -1
        self._probe_after_ns = PROBE_NS
        self._is_probing = False
        self._accepted_hz = 0.0

    def on_refused(self, now_ns: int, in_flight: int) -> bool:
        """Note a refusal; return whether the ceiling has changed.

        Parameters
        ----------
        in_flight : int
            Calls in flight when the refused one was sent, itself included.
        """
        self._n_refused += 1
        self._lowest = min(self._lowest, in_flight)
        if in_flight <= 1:
            self._n_alone += 1
        if self._n_refused < N_REFUSED_MIN and not self._is_probing:
            return False
        self._refused_at_ns = now_ns
        if now_ns < self._lifted_until_ns:
            return False
        if self.is_contradicted(self._lowest):
            return self._lift(now_ns)
        if self._n_alone >= N_ALONE:
            return self._lift(now_ns + LIFTED_NS)
        self._end_probe()
        self._taught_at_ns = now_ns
        self._shown = ceiling = max(1, self._lowest - 1)
        if ceiling >= self.ceiling:
            return False
        self.ceiling = ceiling
        return True

    # -- several governors before one endpoint ----------------------------------------

    @property
    def taught(self) -> int:
        """The ceiling; 0 where there is none."""
        return 0 if self.ceiling == NO_CEILING else self.ceiling

    def shown(self, now_ns: int, within_ns: int) -> int:
        """Return the ceiling that refusals of our own calls have shown that lately; 0 if none."""
        if self._taught_at_ns < 0 or self.ceiling == NO_CEILING:
            return 0
        return self._shown if now_ns - self._taught_at_ns < within_ns else 0

    def is_lifted(self, now_ns: int) -> bool:
        """Whether no ceiling is believed now, whatever is refused."""
        return now_ns <= self._lifted_until_ns

    def is_contradicted(self, in_flight: int) -> bool:
        """Whether answered calls lately found so much more that places are not what is short."""
        return max(self.top, self._top_before) > ABOVE * in_flight + 2.0

    def hear(self, now_ns: int, ceiling: int) -> bool:
        """Learn from refusals that others have met; return whether the ceiling has changed."""
        if now_ns < self._lifted_until_ns or ceiling >= self.ceiling:
            return False
        self._end_probe()
        self._refused_at_ns = now_ns
        self.ceiling = ceiling
        return True

    def follow(self, now_ns: int, ceiling: int, within_ns: int) -> bool:
        """Believe the ceiling that another one believes, but for what was seen here that lately.

        0 is none. Returns whether the ceiling has changed.
        """
        ceiling = ceiling or NO_CEILING
        if now_ns < self._lifted_until_ns:
            return False
        ceiling = min(ceiling, self.shown(now_ns, within_ns) or NO_CEILING)
        was, self.ceiling = self.ceiling, ceiling
        self._is_probing = False
        return was != ceiling

    def _end_probe(self) -> None:
        """Take note that a try for one more place, if there was one, was in vain."""
        if self._is_probing:
            self._is_probing = False
            self._probe_after_ns = min(2 * self._probe_after_ns, PROBE_MAX_NS)

    @property
    def is_settled(self) -> bool:
        """Whether time alone changes nothing any more, but for a ceiling that is tried again."""
        return not (
            self.top
            or self._top_before
            or self._n_refused
            or self._n_alone
            or self._accepted_hz
            or self._is_probing
        )

    def tick(self, now_ns: int, in_flight: int, n_answered: int) -> bool:
        """Weigh the last period; return whether the ceiling has changed.

        Parameters
        ----------
        n_answered : int
            Normal answers since the start.
        """
        if self._weighed_at_ns < 0:
            self._weighed_at_ns = now_ns
        elapsed_ns = now_ns - self._weighed_at_ns
        if elapsed_ns < PERIOD_NS:
            return False
        if self.is_settled:  # periods end as if ticks had been on time
            elapsed_ns -= elapsed_ns % PERIOD_NS
        n_refused = self._n_refused
        self._weighed_at_ns += elapsed_ns
        self._top_before, self.top = self.top, 0
        self._n_refused = 0
        self._lowest = NO_CEILING
        if n_refused >= N_REFUSED_MIN and now_ns >= self._partial_until_ns:
            self._learn_rate(now_ns, n_answered)
        elif not self.is_refusing(now_ns):
            self._accepted_hz = 0.0
            self._n_alone = 0
        self._n_answered = n_answered
        return self._probe(now_ns, in_flight)

    def _learn_rate(self, now_ns: int, n_answered: int) -> None:
        """Learn what is accepted while more is refused, over the whole of an episode."""
        if self._began_ns < 0 or now_ns - self._rate_at_ns > LULL_NS:
            self._began_ns = now_ns - PERIOD_NS
            self._n_at_begin = self._n_answered
        self._rate_at_ns = now_ns
        self._accepted_hz *= FADE
        elapsed_ns = now_ns - self._began_ns
        if elapsed_ns >= EPISODE_NS:
            rate_hz = (n_answered - self._n_at_begin) * 1e9 / elapsed_ns
            self._accepted_hz = max(self._accepted_hz, rate_hz)

    def _probe(self, now_ns: int, in_flight: int) -> bool:
        """Let one more in where the ceiling binds and has not been tried for a while."""
        if self._is_probing and now_ns - self._refused_at_ns > PROBED_NS:
            self._is_probing = False  # the bound has moved: find out how far
            self._probe_after_ns = PROBE_NS
        if self.ceiling == NO_CEILING or now_ns - self._refused_at_ns < self._probe_after_ns:
            return False
        if in_flight < self.ceiling:
            return False
        self._is_probing = True
        self._refused_at_ns = now_ns
        self.ceiling += max(1, self.ceiling >> 5)
        return True

    def lift(self, now_ns: int) -> bool:
        """Take note that a rate is short, by other evidence; return whether a ceiling was there."""
        return self._lift(now_ns + LIFTED_NS)

    def disbelieve(self, now_ns: int) -> bool:
        """Learn nothing from refusals for a while; return whether a ceiling was there.

        They were found to fall on some callers only (:mod:`policies.scope`).
        """
        self._partial_until_ns = now_ns + LIFTED_NS
        self._accepted_hz = 0.0
        return self.lift(now_ns)

    def _lift(self, until_ns: int) -> bool:
        """Believe in no ceiling for now; return whether there was one."""
        was_bound = self.ceiling != NO_CEILING
        self.ceiling = NO_CEILING
        self._lifted_until_ns = until_ns
        self._n_alone = 0
        self._is_probing = False
        return was_bound

    def is_refusing(self, now_ns: int) -> bool:
        """Whether the endpoint has refused in earnest lately."""
        return self._refused_at_ns >= 0 and now_ns - self._refused_at_ns < MEMORY_NS

    def bound_hz(self, now_ns: int, capacity_hz: float) -> float:
        """Return ``capacity_hz``, but no more than is accepted where rate is what is short."""
        if self.ceiling != NO_CEILING or not self._accepted_hz or not self.is_refusing(now_ns):
            return capacity_hz
        return min(capacity_hz, self._accepted_hz) if capacity_hz else self._accepted_hz

    def bound_best_hz(self, now_ns: int, best_hz: float, base_ns: float) -> float:
        """Return ``best_hz``, but no more than the places that are left serve at the base time.

        What it was believed to serve before it refused says nothing any more.
        """
        if self.ceiling != NO_CEILING and base_ns > 0.0:
            best_hz = min(best_hz, self.ceiling * NS_PER_S / base_ns)
        return self.bound_hz(now_ns, best_hz)

    def explain(self) -> dict[str, float | int]:
        """Return what is known, for people."""
        places = 0 if self.ceiling == NO_CEILING else self.ceiling
        return {"refused_above": places, "accepted_hz": self._accepted_hz}
