"""Contain: calls that hold a place for long leave room for those that hold it briefly.

*Rule of this file*: who is long and how many places the long may hold, from
holding times alone; who hangs is :mod:`policies.hang`'s, what those may hold is told here.

*Theory*: where calls of seconds and of minutes share the same places, the long
ones end up with nearly all of them, for a place that they get they keep; the
brief ones then wait for the end of a long one. Loss systems know the cure as trunk
reservation: the class that holds longest may not take the last ``r`` places.

The same happens when one route's backend dies: its calls hang, take one place after
another, and starve the routes that need nothing of it. What the upstream can really
hold at once is not known while it has never been full, so to leave the last places of
the limit is not enough: a kind that hangs is capped at what it usually holds.

Calls are told apart by *kind* (path and method, as a small keyed hash). A
kind's holding time is a running mean of completed ones, but never less than the
mean age of those still open: a kind that has slowed down is long before its first
slow call has ended. A hung kind is not: how long it has hung says nothing of its calls,
so it is left out of the comparison while it hangs, learns no holding time from its
time-outs, and is capped instead.
Kinds are split in two where neighbours, ordered by holding time, differ most, if
they differ by a factor of ``SPLIT``. What the brief ones need is their load in
erlangs a = arrival rate x holding time, plus its standard deviation, plus one.

The hung together may hold what they usually do with its scatter, but leave the others what
those usually hold, up to half of the limit; one place in any case, for only a call that is
sent can tell that it is over.

*Regime*: two clearly different classes; where holding times form one cloud
nothing is contained. Never more than half of the limit is kept.

*Cost*: a few additions per call; a pass over the kinds that were seen, at most 256, per tick.

*Source*: J. S. Kaufman, "Blocking in a shared resource environment" (IEEE
Trans. Comm. 29, 1981); trunk reservation as in R. J. Gibbens, F. P. Kelly,
"Dynamic routing in fully connected networks" (IMA J. Math. Control 7, 1990).

*Considered and rejected*: preempting long calls (their work is lost); a fixed
share per route (idle when the route is).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

from policies.hang import Hang

N_KINDS: Final = 256
"""Kinds told apart, a power of two; those that collide count as one."""

SPLIT: Final = 4.0
"""Factor between brief and long: below it, waiting for a long one is no catastrophe."""

KEPT_SHARE: Final = 0.5
"""Of the limit at most is kept from the long."""

GAIN: Final = 0.1
"""Of the running means per tick of 50 ms with departures."""

RATE_GAIN: Final = 0.02
"""Of a kind's arrival rate per tick: 2.5 s."""

RATE_MIN_HZ: Final = 0.05
"""A kind that comes less often than once in 20 s keeps no place for itself."""

HELD_MIN_NS: Final = 10_000_000
"""Briefer holding times are equal: nobody minds waiting for them."""


class Kind:
    """What is known of the calls of one kind.

    Attributes
    ----------
    n_open : int
        Calls that hold a place.
    sent_sum_ns : int
        Sum of the instants at which they got it.
    n_done : int
        Calls that gave it back since the last tick.
    n_unanswered : int
        Of these, without an answer that counts.
    n_begun : int
        Calls whose answer has begun since, and goes on.
    is_long : bool
        Whether they leave room for brief ones.
    """

    __slots__ = (
        "hang",
        "held_ns",
        "is_long",
        "mean_ns",
        "n_begun",
        "n_done",
        "n_open",
        "n_unanswered",
        "rate_hz",
        "sent_sum_ns",
    )

    def __init__(self) -> None:
        self.hang = Hang()
        self.n_unanswered = 0
        self.n_begun = 0
        self.n_open = 0
        self.sent_sum_ns = 0
        self.is_long = False
        self.n_done = 0
        self.held_ns = 0
        self.mean_ns = 0.0
        self.rate_hz = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether it has no calls, comes too rarely to be weighed, and what is usual only fades."""
        is_still = not (self.n_open or self.n_done or self.n_begun or self.n_unanswered)
        return is_still and self.rate_hz < RATE_MIN_HZ and self.hang.is_settled

    def learn(self, now_ns: int, elapsed_s: float) -> float:
        """Take in what ended lately; return the holding time, 0.0 where nothing is known."""
        if self.hang.is_hung:  # how long a time-out is says nothing of its calls
            self.n_done = self.held_ns = 0
        n_done = self.n_done
        gain = 1.0 - (1.0 - RATE_GAIN) ** (elapsed_s / 0.05)
        self.rate_hz += gain * (n_done / elapsed_s - self.rate_hz)
        if n_done:
            gain = 1.0 - (1.0 - GAIN) ** n_done if self.mean_ns else 1.0
            self.mean_ns += gain * (self.held_ns / n_done - self.mean_ns)
            self.n_done = self.held_ns = 0
        if self.n_open:
            return max(self.mean_ns, now_ns - self.sent_sum_ns / self.n_open, HELD_MIN_NS)
        if self.rate_hz < RATE_MIN_HZ:
            return 0.0
        return max(self.mean_ns, HELD_MIN_NS)


class Containment:
    """The kinds of one upstream, and what the long and the hung ones may hold.

    Attributes
    ----------
    kinds : dict of int to Kind
        Those that were seen.
    kept_places : int
        Places that the long leave to the brief; 0 while there is nothing to contain.
    hung_cap : int
        Places that the hung may hold; read only while there are any.
    n_trips : int
        How often a kind was found to hang.
    """

    __slots__ = ("_hung", "_long", "_ticked_ns", "hung_cap", "kept_places", "kinds", "n_trips")

    def __init__(self) -> None:
        self.kept_places = 0
        self.hung_cap = 0
        self.n_trips = 0
        self.kinds: dict[int, Kind] = {}
        self._long: list[Kind] = []
        self._hung: list[Kind] = []
        self._ticked_ns = -1

    @property
    def n_long(self) -> int:
        """Open calls of long kinds."""
        return sum(kind.n_open for kind in self._long)

    @property
    def n_hung(self) -> int:
        """Open calls of kinds that hang."""
        return sum(kind.n_open for kind in self._hung)

    @property
    def n_hung_kinds(self) -> int:
        """Kinds that hang."""
        return len(self._hung)

    @property
    def is_settled(self) -> bool:
        """Whether one late tick does what many on time would, while no call is sent."""
        return self.is_idle and all(kind.is_settled for kind in self.kinds.values())

    @property
    def is_idle(self) -> bool:
        """Whether nobody yields: neither long nor hung calls are contained."""
        return not self.kept_places and not self._hung

    @property
    def has_room_for_hung(self) -> bool:
        """Whether the hung hold less than they may."""
        return not self._hung or self.n_hung < self.hung_cap

    def is_hung(self, kind: int) -> bool:
        """Whether calls of this kind hang."""
        known = self.kinds.get(kind)
        return known is not None and known.hang.is_hung

    def is_long(self, kind: int) -> bool:
        """Whether calls of this kind leave room for brief ones."""
        known = self.kinds.get(kind)
        return known is not None and known.is_long

    def open(self, now_ns: int, kind: int) -> None:
        """Note a call that has been given a place."""
        known = self.kinds.get(kind) or self.meet(kind)
        known.n_open += 1
        known.sent_sum_ns += now_ns

    def meet(self, kind: int) -> Kind:
        """Return the record of a kind that was never seen before."""
        known = self.kinds[kind] = Kind()
        return known

    def close(self, kind: int, opened_at_ns: int, held_ns: int, is_answered: bool = True) -> None:
        """Note that its place is free again."""
        known = self.kinds[kind]
        known.n_open -= 1
        known.sent_sum_ns -= opened_at_ns
        known.n_done += 1
        known.held_ns += held_ns
        if not is_answered:
            known.n_unanswered += 1

    def tick(self, now_ns: int, limit: int) -> None:
        """Tell long from brief anew, and how many places the brief need."""
        if self._ticked_ns < 0:
            self._ticked_ns = now_ns
        elapsed_s = (now_ns - self._ticked_ns) * 1e-9
        if elapsed_s <= 0.0:
            return
        self._ticked_ns = now_ns
        self._find_hung(elapsed_s)
        ranked = []
        for number, kind in self.kinds.items():
            held_ns = kind.learn(now_ns, elapsed_s)
            kind.is_long = False
            if held_ns and not kind.hang.is_hung:
                ranked.append((held_ns, number, kind))
        ranked.sort()
        split = _find_split([held_ns for held_ns, _, _ in ranked])
        self._long = [kind for _, _, kind in ranked[split:]] if split else []
        self.kept_places = 0
        if split:
            load = sum(held_ns * 1e-9 * kind.rate_hz for held_ns, _, kind in ranked[:split])
            self.kept_places = min(ceil(load + sqrt(load)) + 1, int(KEPT_SHARE * limit))
            for kind in self._long:
                kind.is_long = True
        if self._hung:
            usual = sum(kind.hang.usual for kind in self.kinds.values() if not kind.hang.is_hung)
            kept = min(ceil(usual + sqrt(usual)) + 1, int(KEPT_SHARE * limit))
            cap = sum(kind.hang.cap for kind in self._hung)
            self.hung_cap = max(1, min(cap, limit - kept))

    def _find_hung(self, elapsed_s: float) -> None:
        """Tell which kinds hang, by who was answered since the last tick."""
        kinds = self.kinds.values()
        n_all = sum(kind.n_done - kind.n_unanswered + kind.n_begun for kind in kinds)
        all_hz = sum(kind.hang.told_hz for kind in kinds)
        self._hung = []
        for kind in kinds:
            hang = kind.hang
            was_hung, own_hz = hang.is_hung, hang.told_hz
            n_ended, n_begun = kind.n_done - kind.n_unanswered, kind.n_begun
            n_others = n_all - n_ended - n_begun
            held_s = kind.mean_ns * 1e-9
            hang.tick(kind.n_open, n_ended, n_begun, held_s, n_others, all_hz - own_hz, elapsed_s)
            kind.n_unanswered = kind.n_begun = 0
            if hang.is_hung:
                self._hung.append(kind)
                self.n_trips += not was_hung


def _find_split(held_ns: list[float]) -> int:
    """Return where holding times in ascending order jump most; 0 if they do not by ``SPLIT``.

    Examples
    --------
    >>> _find_split([1.0, 2.0, 3.0, 40.0, 50.0])
    3
    >>> _find_split([1.0, 2.0, 3.0])
    0
    """
    best, split = SPLIT, 0
    for idx in range(1, len(held_ns)):
        ratio = held_ns[idx] / held_ns[idx - 1]
        if ratio >= best:
            best, split = ratio, idx
    return split
