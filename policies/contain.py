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

*Cost*: a few additions per call; a pass over at most 256 kinds per tick.

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


class Containment:
    """The kinds of one upstream, and what the long ones may hold.

    Attributes
    ----------
    is_long : list of bool
        By kind.
    n_long : int
        Open calls of long kinds.
    kept_places : int
        Places that the long leave to the brief; 0 while there is nothing to contain.
    """

    __slots__ = (
        "_held_ns",
        "_mean_ns",
        "_n_arrived",
        "_n_done",
        "_n_open",
        "_rate_hz",
        "_sent_sum_ns",
        "_ticked_ns",
        "is_long",
        "kept_places",
        "n_long",
    )

    def __init__(self) -> None:
        self.is_long = [False] * N_KINDS
        self.n_long = 0
        self.kept_places = 0
        self._n_open = [0] * N_KINDS
        self._sent_sum_ns = [0] * N_KINDS
        self._n_arrived = [0] * N_KINDS
        self._n_done = [0] * N_KINDS
        self._held_ns = [0] * N_KINDS
        self._mean_ns = [0.0] * N_KINDS
        self._rate_hz = [0.0] * N_KINDS
        self._ticked_ns = -1

    def open(self, now_ns: int, kind: int) -> None:
        """Note a call that has been given a place."""
        self._n_open[kind] += 1
        self._n_arrived[kind] += 1
        self._sent_sum_ns[kind] += now_ns
        if self.is_long[kind]:
            self.n_long += 1

    def close(self, now_ns: int, kind: int, opened_at_ns: int) -> None:
        """Note that its place is free again."""
        self._n_open[kind] -= 1
        self._n_done[kind] += 1
        self._sent_sum_ns[kind] -= opened_at_ns
        self._held_ns[kind] += now_ns - opened_at_ns
        if self.is_long[kind]:
            self.n_long -= 1

    def tick(self, now_ns: int, limit: int) -> None:
        """Tell long from brief anew, and how many places the brief need."""
        if self._ticked_ns < 0:
            self._ticked_ns = now_ns
            return
        elapsed_s = (now_ns - self._ticked_ns) * 1e-9
        if elapsed_s <= 0.0:
            return
        self._ticked_ns = now_ns
        ranked = self._rank(now_ns, elapsed_s)
        split = _find_split([held_ns for held_ns, _ in ranked])
        self.is_long = [False] * N_KINDS
        self.n_long = 0
        self.kept_places = 0
        if not split:
            return
        load = sum(held_ns * 1e-9 * self._rate_hz[kind] for held_ns, kind in ranked[:split])
        self.kept_places = min(ceil(load + sqrt(load)) + 1, int(KEPT_SHARE * limit))
        for _, kind in ranked[split:]:
            self.is_long[kind] = True
            self.n_long += self._n_open[kind]

    def _rank(self, now_ns: int, elapsed_s: float) -> list[tuple[float, int]]:
        """Return (holding time, kind) of the kinds that are about, briefest first."""
        gain = 1.0 - (1.0 - RATE_GAIN) ** (elapsed_s / 0.05)
        ranked = []
        for kind, n_open in enumerate(self._n_open):
            rate_hz = self._rate_hz[kind]
            n_arrived = self._n_arrived[kind]
            if not (n_open or n_arrived or rate_hz):
                continue
            self._n_arrived[kind] = 0
            rate_hz += gain * (n_arrived / elapsed_s - rate_hz)
            self._rate_hz[kind] = rate_hz = rate_hz if rate_hz >= 1e-3 else 0.0
            mean_ns = self._learn_mean(kind)
            if n_open:
                mean_ns = max(mean_ns, now_ns - self._sent_sum_ns[kind] / n_open)
            if n_open or (rate_hz >= RATE_MIN_HZ and mean_ns):
                ranked.append((max(mean_ns, HELD_MIN_NS), kind))
        ranked.sort()
        return ranked

    def _learn_mean(self, kind: int) -> float:
        n_done = self._n_done[kind]
        mean_ns = self._mean_ns[kind]
        if n_done:
            new_ns = self._held_ns[kind] / n_done
            gain = 1.0 - (1.0 - GAIN) ** n_done if mean_ns else 1.0
            mean_ns += gain * (new_ns - mean_ns)
            self._mean_ns[kind] = mean_ns
            self._n_done[kind] = self._held_ns[kind] = 0
        return mean_ns


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
