"""The slow, obvious twin of ``exchange.lua``: the same exchanges without a server.

*Rule of this file*: no sharing of work: every sum is taken over all rows anew. The clock is an
argument. Tests hold the script against it; simulations use it in the script's place.
"""

from __future__ import annotations

from typing import Any

from governor.fleet.member import DONE, UNKNOWN_ROW, Call
from governor.fleet.row import unpack_changes


class Row:
    """One governor's row."""

    def __init__(self, rank: int) -> None:
        self.seq = 0
        self.rank = rank
        self.values: dict[int, int] = {}
        self.lapses_ms = 0


class Board:
    """All rows of one upstream."""

    def __init__(self) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Lose everything, as a server does that is started anew."""
        self.rows: dict[str, Row] = {}
        self.free: list[int] = []
        self.epoch = 0
        self.version = 0
        self.leader = ""
        self.leader_score = 0
        self.word = b""

    def exchange(self, now_us: int, who: str, call: Call) -> list[Any]:
        """Do what the script does; return its reply."""
        now_ms = now_us // 1000
        if not self.rows:
            self.wipe()
            self.epoch = now_us
        lapsed = sorted((x.lapses_ms, y) for y, x in self.rows.items() if x.lapses_ms <= now_ms)
        for _, other in lapsed[:8]:
            if other != who:
                self._forget(other)
        row = self.rows.get(who)
        if call.life_ms == 0:
            if row is not None:
                self._forget(who)
            return [UNKNOWN_ROW] if not self.rows else self._reply(now_us, "")
        if call.base >= 0 and (row is None or row.seq != call.base):
            return [UNKNOWN_ROW]
        if row is None:
            rank = len(self.rows)
            if self.free:
                self.free.sort()
                rank = self.free.pop(0)
            row = self.rows[who] = Row(rank)
            self.version += 1
        if call.base < 0:
            row.values.clear()
        row.values.update(unpack_changes(call.changes))
        row.seq = call.seq
        row.lapses_ms = now_ms + call.life_ms
        if self.leader in ("", who) or call.score > 2 * self.leader_score + 1000:
            self.leader, self.leader_score = who, call.score
            self.word = call.word or self.word
        return self._reply(now_us, who)

    def _forget(self, who: str) -> None:
        self.free.append(self.rows.pop(who).rank)
        self.version += 1
        if self.leader == who:
            self.leader, self.leader_score = "", 0

    def _reply(self, now_us: int, who: str) -> list[Any]:
        others: dict[int, int] = {}
        for name, row in self.rows.items():
            if name != who:
                for idx, value in row.values.items():
                    others[idx] = others.get(idx, 0) + value
        rank = self.rows[who].rank if who else 0
        n, n_ranks = len(self.rows), len(self.rows) + len(self.free)
        is_leader = int(bool(who) and self.leader == who)
        head = [DONE, now_us, self.epoch, self.version, n, rank, n_ranks, is_leader, self.word]
        pairs = [x for idx in sorted(others) if others[idx] for x in (idx, others[idx])]
        return head + pairs
