"""Contain: calls that hold a place for long leave room for those that hold it briefly.

*Rule of this file*: who is long and how many places the long may hold, from
holding times alone.

*Theory*: where calls of seconds and of minutes share the same places, the long
ones end up with nearly all of them, for a place that they get they keep; the
brief ones then wait for the end of a long one. The same happens when one
route's backend dies: its calls hang, take one place after another, and starve
the routes that need nothing of it. Loss systems know the cure as trunk
reservation: the class that holds longest may not take the last ``r`` places.

Calls are told apart by *kind* (route and method, as a small keyed hash). A
kind's holding time is a running mean of completed ones, but never less than the
mean age of those still open: a hung kind becomes long while it hangs.
Kinds are split in two where neighbours, ordered by holding time, differ most, if
they differ by a factor of ``SPLIT``. What the brief ones need is their load in
erlangs a = arrival rate x holding time, plus its standard deviation, plus one.

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

N_KINDS = 256
"""Kinds told apart, a power of two; those that collide count as one."""

SPLIT = 4.0
"""Factor between brief and long: below it, waiting for a long one is no catastrophe."""

KEPT_SHARE = 0.5
"""Of the limit at most is kept from the long."""

GAIN = 0.1
"""Of the running means per tick of 50 ms with departures."""

RATE_GAIN = 0.02
"""Of a kind's arrival rate per tick: 2.5 s."""

RATE_MIN_HZ = 0.05
"""A kind that comes less often than once in 20 s keeps no place for itself."""

HELD_MIN_NS = 10_000_000
"""Briefer holding times are equal: nobody minds waiting for them."""


class Kind:
    """What is known of the calls of one kind.

    Attributes
    ----------
    n_open : int
        Calls that hold a place.
    sent_sum_ns : int
        Sum of the instants at which they got it.
    is_long : bool
        Whether they leave room for brief ones.
    """

    __slots__ = ("held_ns", "is_long", "mean_ns", "n_done", "n_open", "rate_hz", "sent_sum_ns")

    def __init__(self) -> None:
        self.n_open = 0
        self.sent_sum_ns = 0
        self.is_long = False
        self.n_done = 0
        self.held_ns = 0
        self.mean_ns = 0.0
        self.rate_hz = 0.0

    def learn(self, now_ns: int, elapsed_s: float) -> float:
        """Take in what ended lately; return the holding time, 0.0 where nothing is known."""
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
    """The kinds of one upstream, and what the long ones may hold.

    Attributes
    ----------
    kinds : dict of int to Kind
        Those that were seen.
    kept_places : int
        Places that the long leave to the brief; 0 while there is nothing to contain.
    """

    __slots__ = ("_long", "_ticked_ns", "kept_places", "kinds")

    def __init__(self) -> None:
        self.kept_places = 0
        self.kinds: dict[int, Kind] = {}
        self._long: list[Kind] = []
        self._ticked_ns = -1

    @property
    def n_long(self) -> int:
        """Open calls of long kinds."""
        return sum(kind.n_open for kind in self._long)

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

    def close(self, kind: int, opened_at_ns: int, held_ns: int) -> None:
        """Note that its place is free again."""
        known = self.kinds[kind]
        known.n_open -= 1
        known.sent_sum_ns -= opened_at_ns
        known.n_done += 1
        known.held_ns += held_ns

    def tick(self, now_ns: int, limit: int) -> None:
        """Tell long from brief anew, and how many places the brief need."""
        if self._ticked_ns < 0:
            self._ticked_ns = now_ns
        elapsed_s = (now_ns - self._ticked_ns) * 1e-9
        if elapsed_s <= 0.0:
            return
        self._ticked_ns = now_ns
        ranked = []
        for number, kind in self.kinds.items():
            held_ns = kind.learn(now_ns, elapsed_s)
            kind.is_long = False
            if held_ns:
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
