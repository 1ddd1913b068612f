"""The pool of rows as a list of pairs that is searched from one end to the other.

*Rule of this file*: no lists through the table, no buckets; a row is what it is
known to hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from signals.retry import MEMORY_NS
from signals.rows import N_PROBES


@dataclass
class NaiveRow:
    """What one flow did at one upstream."""

    pair: tuple[int, int]
    life: int
    last_ns: int
    n_open: int = 0
    failed_ns: list[int] = field(default_factory=list)
    watched_ns: int | None = None

    def is_needed(self, now_ns: int) -> bool:
        """Whether a call is open, or anything in it is younger than a minute."""
        instants = [self.last_ns, *self.failed_ns]
        if self.watched_ns is not None:
            instants.append(self.watched_ns)
        return self.n_open > 0 or now_ns - max(instants) < MEMORY_NS


class NaiveRows:
    """A pool of ``n_rows`` rows, number 0 shared by all who found no place."""

    def __init__(self, n_rows: int) -> None:
        self.n_places = n_rows - 1
        self.rows: list[NaiveRow] = []
        self.lives: dict[int, int] = {}
        self.hand = 0
        self.n_reclaimed = 0
        self.n_overflowed = 0

    def hand_over(self, flow: int) -> None:
        """From now on the number stands for another caller."""
        self.lives[flow] = self.lives.get(flow, 0) + 1

    def take(self, upstream: int, flow: int, now_ns: int) -> int:
        """Return the pair's row, as the caller that the flow stands for now finds it."""
        pair, life = (upstream, flow), self.lives.get(flow, 0)
        found = [k for k, row in enumerate(self.rows) if row.pair == pair]
        if found:
            row = self.rows[found[0]]
            if row.life != life:
                self.rows[found[0]] = NaiveRow(pair, life, now_ns, row.n_open)
            row = self.rows[found[0]]
            row.last_ns = now_ns
            return found[0] + 1
        new = NaiveRow(pair, life, now_ns)
        if len(self.rows) < self.n_places:
            self.rows.append(new)
            return len(self.rows)
        for _ in range(min(N_PROBES, self.n_places)):
            place = self.hand
            self.hand = (self.hand + 1) % self.n_places
            if not self.rows[place].is_needed(now_ns):
                self.rows[place] = new
                self.n_reclaimed += 1
                return place + 1
        self.n_overflowed += 1
        return 0
