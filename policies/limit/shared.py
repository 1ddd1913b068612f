"""One endpoint's limit, of which this governor holds a part and others the rest.

*Rule of this file*: between the gate, which knows our calls alone, and the limit, which is told of
everybody's. Who the others are and how the places are divided is not known here.

*Theory*: response time follows the number in flight at the *service*. A limit that saw our third
of it would read a third of its elasticity and would swing a third of what it means to. So the inner
limit sees totals: ours and the others' as of the last exchange. One governor of the fleet leads,
the one with the most traffic: its limit is the fleet's, swing and all, and what the others' limits
have found is set to it, so that each can take over. Ours is a share of it. What it learns from is
everybody's answers: all count in step with it (:mod:`policies.limit.pool`).

A refusal is weighed when the others have told what they had (:mod:`policies.limit.met`); until then
a third one holds our own places to what found room (:mod:`policies.limit.held`). The ceiling that
our own refusals have shown is told, the leader takes the mean of those that were shown lately where
that is lower than its own, and what the leader believes is believed by all. A ceiling of our own
binds us whatever the leader's limit. Even so a call goes beyond it at times, as views are late;
its refusal is for want of places, and speaks for no quota.

A stall is told by few answers, so a part of the calls tells it less surely than all of them: ours
goes on while the governors with most of the others' calls see one.

Alone again, with knowledge: the others are taken to go on as we do. With a share s of the places, n
of ours in flight stand for n/s at the service. So nobody takes the others' places in the first
moments, and nobody starves: the limit goes on to learn, from a service that looks 1/s as large.

*Considered and rejected*: the leader's own answers alone (of three governors a third of the
samples: what it has wrong stays wrong three times as long); a limit each on its own share of calls
(elasticity and swings of a third: slow services are taken for queues); the mean of all limits
(their swings cancel).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from policies.limit.adaptive import AdaptiveLimit
from policies.limit.fixed import FixedLimit
from policies.limit.held import Held
from policies.limit.met import Met
from policies.limit.phases import Kind
from policies.limit.pool import Pool
from policies.limit.protocol import Limit
from policies.limit.refusals import NO_CEILING
from policies.share import whole_places

N_HEARD: Final = 8
"""Exchanges back to which it is known what the others had in flight: longer than most calls take,
and of the others the oldest is taken."""

AHEAD_SHARE: Final = 0.25
"""Of all places at most are taken before they have come free: as many as are kept from a crowd."""


class SharedLimit(Limit):
    """A part of a limit; as :class:`policies.limit.Limit` says.

    Parameters
    ----------
    inner : AdaptiveLimit or FixedLimit
        Sees what is in flight at the endpoint in all; a fixed one is the whole fleet's.

    Attributes
    ----------
    limit : int
        Places that are ours.
    total : int
        Places of all.
    in_flight, elsewhere : int
        Calls of ours as of the last tick, and of the others.
    stalled_elsewhere : int
        Those of them that are with governors who see a stall.
    """

    __slots__ = (
        "_heard",
        "_held",
        "_led",
        "_led_has_knee",
        "_met",
        "_n_ranks",
        "_rank",
        "_share",
        "_stall_bound",
        "elsewhere",
        "held_ns",
        "in_flight",
        "inner",
        "n_departed",
        "stalled_elsewhere",
        "total",
    )

    def __init__(self, inner: AdaptiveLimit | FixedLimit) -> None:
        self.inner = inner
        self.limit = self.total = inner.limit
        self.elsewhere = 0
        self.stalled_elsewhere = 0
        self._stall_bound = 0
        self.in_flight = 0
        self.n_departed = 0
        self.held_ns = 0
        self._share = 1.0
        self._rank = 0
        self._n_ranks = 1
        self._led = 0
        self._led_has_knee = False
        self._heard: deque[tuple[int, int]] = deque(maxlen=N_HEARD)
        self._held = Held()
        self._met = Met()

    @property
    def pool(self) -> Pool | None:
        """What is counted together with the others; None where nothing is learned."""
        return self.inner.pool if isinstance(self.inner, AdaptiveLimit) else None

    @property
    def _ceiling(self) -> int:
        """Calls of all at most, by what refusals have taught."""
        inner = self.inner
        return inner.refusals.ceiling if isinstance(inner, AdaptiveLimit) else NO_CEILING

    def taught(self, now_ns: int) -> int:
        """Return the ceiling that refusals of our own calls have shown lately; 0 if none."""
        inner = self.inner
        if not isinstance(inner, AdaptiveLimit):
            return 0
        return inner.refusals.shown(now_ns, inner.pool.heard_ns)

    # -- the fleet ------------------------------------------------------------

    def divide(self, share: float, rank: int, n_ranks: int) -> None:
        """Hold this share of the places from now on."""
        self._share = share
        self._rank = rank
        self._n_ranks = n_ranks
        if self.pool is not None:
            self.pool.part = share
        self._fit()

    def lead(self) -> None:
        """Go by what our own limit finds."""
        self._led = 0
        if isinstance(self.inner, AdaptiveLimit):
            self.inner.lead()
        self._fit()

    def follow(
        self,
        now_ns: int,
        total: int,
        level: float,
        has_knee: bool,
        tag: int = 0,
        kind: Kind = Kind.STEADY,
        ceiling: int = 0,
    ) -> None:
        """Go by what the leader's limit has found, in the phase that it has open."""
        self._led = self.inner.follow(total, level, has_knee)
        if isinstance(self.inner, AdaptiveLimit):
            if self.inner.refusals.follow(now_ns, ceiling, self.inner.pool.heard_ns):
                self.inner.obey()
            if not has_knee:
                self.inner.lead()
            elif tag != self.inner.pool.tag:
                self.inner.step(now_ns, tag, kind)
        self._led_has_knee = has_knee
        self._fit()

    def hear(self, now_ns: int, elsewhere: int, n_taught: int, ceilings: int) -> None:
        """Take what the others have in flight, and what refusals have taught them.

        Parameters
        ----------
        n_taught, ceilings : int
            How many of them have met refusals lately, and their ceilings summed.
        """
        inner = self.inner
        self.assume(now_ns, elsewhere)
        self._held.heard()
        self._weigh(now_ns, self._met.hear(elsewhere))
        if n_taught > 0 and isinstance(inner, AdaptiveLimit):
            if inner.refusals.hear(now_ns, max(1, ceilings // n_taught)):
                inner.obey()
        self._fit()

    def _weigh(self, now_ns: int, found: Sequence[int]) -> None:
        """Learn from refusals of which it is known what was in flight."""
        inner = self.inner
        for in_flight in found:
            inner.on_refused(now_ns, in_flight)
        if found and isinstance(inner, AdaptiveLimit) and inner.refusals.is_lifted(now_ns):
            self._held.doubt()

    def assume(self, now_ns: int, elsewhere: int) -> None:
        """Take it that the others have so many in flight from now on."""
        self.elsewhere = elsewhere
        self._heard.appendleft((now_ns, elsewhere))

    def _elsewhere_at(self, then_ns: int) -> int:
        """Return what the others had in flight then, as far as it was known then."""
        elsewhere = self.elsewhere
        for heard_at_ns, elsewhere in self._heard:
            if heard_at_ns <= then_ns:
                return elsewhere
        return elsewhere

    def note_elsewhere(self, n_departed: int, held_ns: int) -> None:
        """Count answered calls of others that have ended."""
        self.inner.note_elsewhere(n_departed, held_ns)

    def _fit(self) -> None:
        total = self.inner.limit
        if self._led and (self._led_has_knee or total < self._led):
            total = min(self._led, self._ceiling)
        if self.inner.is_stalled:
            self._stall_bound = total
        elif self._stall_bound:
            self._stall_bound = min(total, self._stall_bound) if self._is_stall_elsewhere else 0
            total = self._stall_bound or total
        self.total = total
        if self._share >= 1.0:
            self.limit = total
        else:
            part = whole_places(self._share * total, self._rank, self._n_ranks)
            self.limit = min(part, self._held.places)

    # -- as a limit -----------------------------------------------------------

    @property
    def n_ahead(self) -> int:
        """Calls beyond our part that may take the next place to come free: one, where all may.

        Not beyond what was told, nor what refusals have taught, nor while nothing is answered.
        """
        if self._share >= 1.0 or self.is_stalled or not isinstance(self.inner, AdaptiveLimit):
            return 0
        if min(self._ceiling, self._held.places) < NO_CEILING:
            return 0
        offset = self._rank % self._n_ranks / self._n_ranks
        return min(1, int(AHEAD_SHARE * self._share * self.total + offset))

    def on_dispatch(self, now_ns: int, in_flight: int, is_bound: bool) -> int:
        """Note a request sent; return its phase."""
        phase = self.inner.on_dispatch(now_ns, in_flight + self.elsewhere, is_bound)
        self._fit()
        return phase

    def on_late(self, phase: int, late_ns: int) -> None:
        """Note that a request of a phase went out so much later than was noted."""
        self.inner.on_late(phase, late_ns)

    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Note the first byte of a normal answer."""
        self.inner.on_answer(
            now_ns,
            phase,
            dispatched_at_ns,
            in_flight_at_dispatch + self._elsewhere_at(dispatched_at_ns),
            in_flight + self.elsewhere,
        )
        self._fit()

    def on_depart(self, now_ns: int, held_ns: int, is_answered: bool) -> None:
        """Note a closed lease."""
        if is_answered:
            self.n_departed += 1
            self.held_ns += held_ns
        self.inner.on_depart(now_ns, held_ns, is_answered)

    def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
        """Note that the upstream turned a call away for want of capacity."""
        inner = self.inner
        if isinstance(inner, AdaptiveLimit) and inner.pool.is_on:
            self._met.note(in_flight_at_dispatch, self.elsewhere)
            self._held.on_refused(now_ns, in_flight_at_dispatch, inner.pool.heard_ns)
            refusals, most = inner.refusals, max((x for _, x in self._heard), default=0)
            if refusals.is_lifted(now_ns) or refusals.is_contradicted(in_flight_at_dispatch + most):
                self._held.doubt()
        else:
            inner.on_refused(now_ns, in_flight_at_dispatch + self.elsewhere)
        self._fit()

    def is_beyond(self, in_flight_at_dispatch: int) -> bool:
        """Whether a call was sent beyond the ceiling, as who knows of others late does at times."""
        return in_flight_at_dispatch + self.elsewhere > self._ceiling

    def lift(self, now_ns: int) -> None:
        """Take note that what the upstream is short of is a rate, not places."""
        self.inner.lift(now_ns)
        self._held.release()
        self._fit()

    def disbelieve(self, now_ns: int) -> None:
        """Take note that the refusals spare some callers."""
        self.inner.disbelieve(now_ns)
        self._held.release()
        self._fit()

    def tick(self, now_ns: int, in_flight: int) -> None:
        """Do what depends on time alone."""
        self.in_flight = in_flight
        self._held.tick(now_ns)
        if self.pool is not None and not self.pool.is_on:
            self._weigh(now_ns, self._met.drain(self.elsewhere))
        total = in_flight + self.elsewhere
        if in_flight >= self.limit:  # who waits here waits for a place of the fleet's
            total = max(total, self.inner.limit)
        self.inner.tick(now_ns, total)
        self._fit()

    @property
    def is_settled(self) -> bool:
        """Never: others send calls that are learned from here."""
        return False

    @property
    def is_stalled(self) -> bool:
        """Whether the endpoint answers hardly anything of what it has."""
        return self.inner.is_stalled or (self._stall_bound > 0 and self._is_stall_elsewhere)

    @property
    def _is_stall_elsewhere(self) -> bool:
        """Whether governors with most of the others' calls see a stall."""
        return 2 * self.stalled_elsewhere > self.elsewhere

    def capacity_hz(self, now_ns: int) -> float:
        """Return our part of what the endpoint can serve, requests per second; 0.0 if unknown."""
        whole_hz = self.inner.capacity_hz(now_ns)
        return whole_hz * min(1.0, self.limit / self.total)

    def best_capacity_hz(self, now_ns: int) -> float:
        """Return the best known capacity of the endpoint, for all; 0.0 if unknown."""
        return self.inner.best_capacity_hz(now_ns)

    def response_ns(self) -> int:
        """Return the typical time to the first byte now; 0 if unknown."""
        return self.inner.response_ns()

    def explain(self) -> dict[str, float | int | str]:
        """Return what the limit knows, for people."""
        return {
            **self.inner.explain(),
            "limit": self.limit,
            "fleet_limit": self.total,
            "share": self._share,
            "in_flight_elsewhere": self.elsewhere,
        }
