"""Which endpoint of an upstream takes a call.

*Rule of this file*: the choice, and what each endpoint's calls teach it. Time and
the seed of its randomness are arguments.

*Theory*: two endpoints are drawn and the cheaper is taken; cost is the time to
the first byte (:mod:`policies.pace`) times the calls in flight with this one, and
with those that are expected beyond what it serves where a storm is foretold. Two
at random are nearly as good as the best of all, and callers that decide on the
same knowledge do not all run to the same endpoint.

The order in which endpoints are thought of:

1. one whose rest is over takes a single call, as its probe,
2. then the healthy ones with room; one that answers ``SLOW_RATIO`` times as slowly as
   its rival gets one call in ``TRIAL_EVERY``, to learn that it has recovered; one that has
   just returned is drawn as often as its ramp allows,
3. if more than half of all endpoints fail, the fault is hardly theirs: those that
   fail (but can be reached) are used too, after the healthy ones,
4. if none can be reached, all are used, for a connection costs nothing but time.

None without room is chosen beside one with room that may be used: a place of a
slow endpoint is better than a place in the line.

A call with an affinity goes to its home among the endpoints in use (see
:mod:`policies.rendezvous`) as long as that has room.

*Source*: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"
(IEEE TPDS 12, 2001); Finagle, ``PeakEwma`` (cost); Envoy, panic threshold (50 %).

*Considered and rejected*: the cheapest of all: with knowledge as old as one
response time every caller takes the same one. Counting endpoints that cannot be
reached among the half (Envoy's ``max_ejection_percent``): it protects the rest from
overload, which here their limits do; a call sent where nobody listens is lost time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from policies.ejection import Health, Verdict
from policies.limit.protocol import Limit
from policies.pace import Pace
from policies.rendezvous import home, score
from policies.xorshift import Xorshift

SLOW_RATIO: Final = 3.0
"""Replicas of one service differ less than this while they are well (two in 1.25 at sigma 0.5)."""

AGAIN_RATIO: Final = 2.0
"""A slow endpoint is slow until it is nearer than this to its rival."""

TRIAL_EVERY: Final = 500
"""Choices between two calls to a slow endpoint: 0.2 %, out of sight of a p99. Simulated, one of
three ten times slower, eight seeds: p99 at most 1.13 times the healthy one; with one in 200 and
no ``AGAIN_RATIO`` it was up to 1.55 (the two were changed together)."""

_UNIT: Final = 1.0 / (1 << 64)


class Replica:
    """One endpoint of an upstream.

    Attributes
    ----------
    idx : int
    limit : Limit
    in_flight : int
        Calls that hold a place of the limit.
    pace : Pace
    health : Health
    chosen_at : int
        The number of the choice that sent the last call here.
    n_expected : float
        Calls beyond what it serves that a foretold storm brings it; 0 without one. Set by ticks.
    is_slow : bool
        Much slower than the endpoint it was compared with last.
    """

    __slots__ = (
        "chosen_at",
        "health",
        "idx",
        "in_flight",
        "is_slow",
        "limit",
        "n_expected",
        "pace",
    )

    def __init__(self, idx: int, limit: Limit) -> None:
        self.idx = idx
        self.limit = limit
        self.in_flight = 0
        self.pace = Pace()
        self.health = Health()
        self.chosen_at = 0
        self.n_expected = 0.0
        self.is_slow = False

    @property
    def has_room(self) -> bool:
        """Whether a call finds a place."""
        return self.in_flight < self.limit.limit

    @property
    def used_share(self) -> float:
        """Calls in flight over the limit."""
        return self.in_flight / self.limit.limit

    @property
    def is_out(self) -> bool:
        """Whether it is out of use, or only tried."""
        return self.health.is_sick

    def cost(self, now_ns: int) -> float:
        """Return what one more call would cost here, seconds; 0 before the first answer."""
        return self.pace.read_ns(now_ns) * (self.in_flight + 1 + self.n_expected) * 1e-9


R = TypeVar("R", bound=Replica)


class Reroute(Generic[R]):
    """Chooses among the replicas of one upstream.

    Parameters
    ----------
    replicas : sequence of Replica
        At least one.
    seed : int
        Of the draws.

    Attributes
    ----------
    n_choices : int
    """

    __slots__ = ("_is_plain", "_rng", "n_choices", "replicas")

    def __init__(self, replicas: Sequence[R], seed: int) -> None:
        if not replicas:
            raise ValueError("a choice needs at least one replica")
        self.replicas = tuple(replicas)
        self.n_choices = 0
        self._rng = Xorshift(seed)
        self._is_plain = len(replicas) > 1  # all healthy, none ramping

    @property
    def is_down(self) -> bool:
        """Whether every replica is out of use."""
        return all(x.health.is_sick for x in self.replicas)

    # -- what the calls teach -------------------------------------------------

    def sent(self, now_ns: int, replica: R, call: object) -> None:
        """Note a call sent."""
        replica.chosen_at = self.n_choices
        replica.pace.sent(now_ns)
        if replica.health.is_sick:
            replica.health.sent(now_ns, call)

    def answered(self, now_ns: int, replica: R, sent_at_ns: int) -> None:
        """Note the first byte of a normal answer."""
        replica.pace.answered(now_ns, sent_at_ns)
        if replica.health.is_sick:
            replica.health.succeeded(now_ns, sent_at_ns)

    def completed(self, now_ns: int, replica: R, sent_at_ns: int, is_paced: bool) -> None:
        """Note the end of a call that was answered well: nearly all are."""
        if not is_paced:
            replica.pace.answered(now_ns, sent_at_ns)
        replica.health.succeeded(now_ns, sent_at_ns)

    def closed(
        self, now_ns: int, replica: R, sent_at_ns: int, call: object, verdict: Verdict, paced: bool
    ) -> None:
        """Note the end of a call; ``paced`` tells that ``answered`` has been called for it."""
        if not paced:
            replica.pace.dropped(sent_at_ns)
        health = replica.health
        if verdict is Verdict.ANSWERED:
            health.succeeded(now_ns, sent_at_ns)
        elif verdict is Verdict.UNTOLD:
            health.told_nothing(now_ns, call)
        else:
            health.failed(now_ns, call, verdict is Verdict.UNREACHED)
            self.look_again()

    def tick(self, now_ns: int) -> None:
        """Do what depends on time alone; called about every 50 ms."""
        for replica in self.replicas:
            replica.health.tick(now_ns)
        self.look_again()

    def look_again(self) -> None:
        """See whether all are fit: then a choice needs no care."""
        self._is_plain = len(self.replicas) > 1 and not any(
            x.health.is_sick or x.health.is_ramping for x in self.replicas
        )

    # -- the choice ---------------------------------------------------------

    def choose(self, now_ns: int, affinity: int = 0, tried: int = 0) -> R | None:
        """Return where a call should go; one without room only if no allowed one has any.

        Parameters
        ----------
        affinity : int
            Key of what should stay together; 0 for none.
        tried : int
            Bit per index: endpoints that have failed this call already.

        Returns
        -------
        replica : Replica or None
            None only if all have been tried.
        """
        self.n_choices += 1
        if self._is_plain and not affinity and not tried:
            replicas = self.replicas
            n = len(replicas)
            pair = int(self._rng.random() * (n * (n - 1)))
            i, j = divmod(pair, n - 1)
            first = replicas[i]
            second = replicas[j + 1 if j >= i else j]
            if first.in_flight < first.limit.limit and second.in_flight < second.limit.limit:
                return self._cheaper(now_ns, first, second)
        return self._choose_with_care(now_ns, affinity, tried)

    def _choose_with_care(self, now_ns: int, affinity: int, tried: int) -> R | None:
        left = [x for x in self.replicas if not tried >> x.idx & 1]
        if affinity and left:
            at_home = self._at_home(now_ns, affinity, left)
            if at_home is not None:
                return at_home
        due = [x for x in left if x.health.is_due(now_ns) and x.has_room]
        if due:
            return due[0]
        fullest: R | None = None
        for tier in self._tiers(left):
            roomy = [x for x in tier if x.has_room]
            if roomy:
                return self._draw(now_ns, roomy)
            if fullest is None and tier:
                fullest = min(tier, key=lambda x: x.used_share)
        return fullest

    def _tiers(self, left: list[R]) -> tuple[list[R], ...]:
        """Return which endpoints are in use, those to be preferred first."""
        healthy = [x for x in left if not x.health.is_sick]
        n_failing = sum(x.health.is_sick and not x.health.is_unreached for x in self.replicas)
        failing: list[R] = []
        if 2 * n_failing > len(self.replicas) or not healthy:
            failing = [x for x in left if x.health.is_sick and not x.health.is_unreached]
        if healthy or failing:
            return healthy, failing
        return (left,)

    def in_use(self, now_ns: int) -> list[R]:
        """Return the replicas that may be given a call now."""
        replicas = list(self.replicas)
        if self._is_plain:
            return replicas
        used = [x for tier in self._tiers(replicas) for x in tier]
        return used + [x for x in replicas if x.health.is_due(now_ns) and x not in used]

    def _at_home(self, now_ns: int, affinity: int, left: list[R]) -> R | None:
        """Return the endpoint where the key belongs, if it is in use and has room."""
        candidates: list[R] = []
        for replica in left:
            health = replica.health
            if health.is_sick:
                if health.is_due(now_ns):
                    candidates.append(replica)
            elif not health.is_ramping or score(affinity, replica.idx) * _UNIT < health.share(
                now_ns
            ):
                candidates.append(replica)
        if not candidates:
            return None
        idx = home(affinity, [x.idx for x in candidates])
        replica = self.replicas[idx]
        return replica if replica.has_room else None

    def _draw(self, now_ns: int, roomy: list[R]) -> R:
        """Draw two, each as often as its ramp allows, and return the cheaper."""
        shares = [max(x.health.share(now_ns), 1e-9) for x in roomy]
        first = self._draw_one(shares)
        if len(roomy) == 1:
            return roomy[0]
        one = roomy.pop(first)
        del shares[first]
        return self._cheaper(now_ns, one, roomy[self._draw_one(shares)])

    def _draw_one(self, shares: list[float]) -> int:
        left = self._rng.random() * sum(shares)
        for place, share in enumerate(shares):
            left -= share
            if left < 0.0:
                return place
        return len(shares) - 1

    def _cheaper(self, now_ns: int, one: R, other: R) -> R:
        one_ns, other_ns = one.pace.read_ns(now_ns), other.pace.read_ns(now_ns)
        if one_ns <= 0.0 or other_ns <= 0.0:  # not seen yet: only the calls in flight compare
            is_emptier = one.in_flight + one.n_expected <= other.in_flight + other.n_expected
            return one if is_emptier else other
        if one_ns > (AGAIN_RATIO if one.is_slow else SLOW_RATIO) * other_ns:
            one.is_slow = True
            return one if self.n_choices - one.chosen_at >= TRIAL_EVERY else other
        if other_ns > (AGAIN_RATIO if other.is_slow else SLOW_RATIO) * one_ns:
            other.is_slow = True
            return other if self.n_choices - other.chosen_at >= TRIAL_EVERY else one
        one.is_slow = other.is_slow = False
        one_load = one.in_flight + 1 + one.n_expected
        is_cheaper = one_ns * one_load <= other_ns * (other.in_flight + 1 + other.n_expected)
        return one if is_cheaper else other
