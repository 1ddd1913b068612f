"""One governor's part in the view of one upstream: its row out, the others' sum in.

*Rule of this file*: no I/O, no clock. Whoever talks to Redis asks for a :class:`Call`, and brings
the reply, or brings none. Everything here runs beside the requests' path.

*Theory*: a view may be old, and then it must not do harm.

- Fresh (younger than three exchanges, at least 0.3 s): the places are divided by demand
  (:mod:`policies.share`), the leader's limit is everybody's (:mod:`policies.limit.shared`).
  A part grows one exchange after the demand for it was told: by then whoever had more knows of it.
- Old: we go on alone with the last share, or an equal one where that is more (whoever had little
  must not starve), reached over two seconds; the others are taken to go on as we do.
- Fresh again, or somebody was lost (who left, lapsed, or is not back since Redis began again): for
  two seconds a share grows by no more than half of the whole a second. Who has lapsed may be cut
  off and send calls all the same. To shrink is always safe, and is done at once.
- Never been fresh: as without a fleet.

A sum that holds fewer governors than a moment ago is believed only if they left or lapsed, which
the version of the membership tells; running totals are compared within one version only.

*Considered and rejected*: leaving the view at the first lost exchange (a single packet would move
every limit); waiting for the reply of an exchange before deciding (a request would wait for Redis).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from governor.core.gate import Gate
from governor.core.others import N_WINDOWS, Wave, read_wave
from governor.fleet import row as at
from governor.fleet.row import ENDPOINTS, MILLI, PER_ENDPOINT, pack_changes, size_of
from governor.fleet.word import Found, pack_word, unpack_word
from policies.limit import AdaptiveLimit
from policies.limit.shared import SharedLimit
from policies.share import N_BINS, bin_of, fair_part

STALE_TICKS = 3
STALE_NS_MIN = 300_000_000
"""A view that was not renewed for three exchanges is old; a pause of the machine makes none."""

LAPSE_FACTOR = 2
"""A row lives twice as long: who is slow knows it before the others give its places away."""

RAMP_NS = 2_000_000_000
"""From no share to the whole, after a view was lost."""

DEMAND_DECAY = 0.9
"""Demand is a peak that decays by a tenth an exchange: places are not given away between bursts. Of
a peak only as much as it has places: the wish of a line that is gone would keep a part from those
whose line is not, for two seconds and more after a herd."""

REPLY_GAIN = 0.1
"""Of the time that a reply takes: ten exchanges."""

SCORE_GAIN = 0.1
"""Of the rate of dispatches that makes a leader: ten exchanges."""

WHOLE_ROW = -1
"""In place of the sequence that a change builds on."""

UNKNOWN_ROW, DONE = 0, 1
"""What a reply begins with."""

N_HEAD = 9
"""Numbers of a reply before the sum."""


class Call(NamedTuple):
    """What to send: the script's arguments but the identity."""

    seq: int
    base: int
    changes: bytes
    life_ms: int
    score: int
    word: bytes


def found_by(limit: SharedLimit) -> Found:
    """Return what a limit has found, for those who follow it."""
    inner = limit.inner
    found = Found(inner.has_knee, inner.limit, inner.level)
    if isinstance(inner, AdaptiveLimit):
        ceiling = inner.refusals.taught
        return found._replace(tag=inner.pool.tag, kind=inner.kind, ceiling=ceiling)
    return found


class Member:
    """One gate in the fleet.

    Parameters
    ----------
    gate : Gate
        Its endpoints' limits are :class:`~policies.limit.shared.SharedLimit`.
    tick_ns : int
        Between two exchanges.

    Attributes
    ----------
    is_fresh : bool
        Whether decisions rest on a view of all.
    is_leader : bool
    is_rejoining : bool
        Whether the latest ramp began because the view had been lost, not because somebody left.
    stale_ns : int
        Age from which a view is old.
    n_governors, rank, n_ranks : int
    own, sums : list of int
        Our row, and the others' rows summed, as of the last exchange.
    share : float
        Ours of the places.
    lead_ns : int
        What the server's clock is ahead of ours, as of the last reply.
    """

    def __init__(self, gate: Gate, tick_ns: int) -> None:
        self.gate = gate
        self.limits = [cast(SharedLimit, x.limit) for x in gate.endpoints]
        self.tick_ns = tick_ns
        self.stale_ns = max(STALE_TICKS * tick_ns, STALE_NS_MIN)
        self.is_fresh = False
        self.is_leader = False
        self.is_rejoining = False
        self.n_governors = 1
        self.rank = 0
        self.n_ranks = 1
        self.epoch = 0
        self.share = 1.0
        self.lead_ns = 0
        self.n_lost = 0
        self.sums = [0] * size_of(len(self.limits))
        self.own = [0] * len(self.sums)
        self._told = [0] * len(self.sums)
        self._seq = 0
        self._base = WHOLE_ROW
        self._version = -1
        self._fresh_at_ns = -1
        self._ramp_until_ns = -1
        self._shared_at_ns = -1
        self._demand = 0.0
        self._part = 0.0
        self._score = 0.0
        self._n_departed = 0
        self._reply_ns = 0.0

    def age_ns(self, now_ns: int) -> int:
        """Return how old the view is; -1 if there never was one."""
        return now_ns - self._fresh_at_ns if self._fresh_at_ns >= 0 else -1

    def is_ramping(self, now_ns: int) -> bool:
        """Whether our share may only grow step by step now: a view was lost, or a governor."""
        return now_ns < self._ramp_until_ns

    # -- out --------------------------------------------------------------------

    def call(self, now_ns: int) -> Call:
        """Return the exchange that is due."""
        self.own = own = self._fill(now_ns)
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        is_whole = self._base == WHOLE_ROW
        before = [0] * len(own) if is_whole else self._told
        word = b""
        if self.is_leader:
            word = pack_word([found_by(x) for x in self.limits])
        return Call(
            self._seq,
            self._base,
            pack_changes(before, own),
            LAPSE_FACTOR * self.stale_ns // 1_000_000,
            int(self._score * MILLI),
            word,
        )

    def _fill(self, now_ns: int) -> list[int]:
        """Return our row."""
        gate = self.gate
        row = [0] * len(self.sums)
        in_flight = sum(x.in_flight for x in gate.endpoints)
        held = min(self._demand, float(gate.limit))
        self._demand = max(float(in_flight + gate.line_length), DEMAND_DECAY * held)
        demand = int(self._demand)
        organic_hz, ledger = gate.own_organic_hz, gate.ledger
        wave = read_wave(gate.signals, organic_hz)
        row[at.WAITING] = gate.line_length
        row[at.INVITED] = gate.reservations.n_outstanding
        row[at.ORGANIC_MILLI_HZ] = int(organic_hz * MILLI)
        row[at.AWAITED_MILLI] = int(wave.awaited * MILLI)
        row[at.RECENT] = int(wave.recent)
        row[at.DEMAND] = demand
        row[at.ARRIVED] = ledger.n_arrived
        row[at.USEFUL_MS] = int(ledger.useful_s * MILLI)
        row[at.WASTED_MS] = int((ledger.orphaned_s + ledger.retried_s + ledger.refused_s) * MILLI)
        for idx in range(N_WINDOWS):
            row[at.ARRIVALS_MILLI + idx] = int(wave.arrivals[idx] * MILLI)
            row[at.RETURNS_MILLI + idx] = int(wave.returns[idx] * MILLI)
        if demand:
            row[at.N_ASKING + bin_of(demand)] = 1
            row[at.ASKED + bin_of(demand)] = demand
        n_departed = 0
        for idx, limit in enumerate(self.limits):
            first = ENDPOINTS + idx * PER_ENDPOINT
            row[first + at.IN_FLIGHT] = gate.endpoints[idx].in_flight
            row[first + at.IN_STALL] = row[first + at.IN_FLIGHT] if limit.inner.is_stalled else 0
            row[first + at.N_DEPARTED] = limit.n_departed
            row[first + at.HELD_MS] = limit.held_ns // 1_000_000
            row[first + at.CEILING] = ceiling = limit.taught(now_ns)
            row[first + at.N_TAUGHT] = int(ceiling > 0)
            if limit.pool is not None:
                row[first + at.POOL : first + PER_ENDPOINT] = limit.pool.tell(now_ns)
            n_departed += limit.n_departed
        rate_hz = (n_departed - self._n_departed) * 1e9 / self.tick_ns
        self._n_departed = n_departed
        self._score += SCORE_GAIN * (rate_hz - self._score)
        return row

    # -- in ---------------------------------------------------------------------

    def take(self, now_ns: int, sent_at_ns: int, reply: Sequence[Any]) -> bool:
        """Take in a reply; return whether the whole row must be sent at once."""
        if reply[0] == UNKNOWN_ROW:
            self._base = WHOLE_ROW
            return True
        _, server_us, epoch, version, n_governors, rank, n_ranks, is_leader, word = reply[:N_HEAD]
        self._told, self._base = self.own, self._seq
        is_same = epoch == self.epoch and version == self._version
        is_back = epoch != self.epoch or not self.is_fresh
        if self._fresh_at_ns >= 0 and (is_back or n_governors < self.n_governors):
            self._ramp_until_ns = now_ns + RAMP_NS
            self.is_rejoining = is_back
        sums = [0] * len(self.sums)
        pairs = iter(reply[N_HEAD:])
        for idx, value in zip(pairs, pairs, strict=False):
            if idx < len(sums):
                sums[idx] = value
        before, self.sums = self.sums, sums
        self.epoch, self._version = epoch, version
        self.n_governors = max(1, n_governors)
        self.rank, self.n_ranks = rank, max(1, n_ranks)
        self.lead_ns = server_us * 1000 - (now_ns + sent_at_ns) // 2
        self._reply_ns += REPLY_GAIN * (now_ns - sent_at_ns - self._reply_ns)
        self._fresh_at_ns = now_ns
        self.is_fresh = True
        self.is_leader = bool(is_leader)
        self._see_endpoints(now_ns, sums, before if is_same else None, word)
        self._see_others(now_ns, sums, before if is_same else sums)
        self._divide(now_ns)
        return False

    def lose(self) -> None:
        """Take note that an exchange got no reply: what the server has of us is unknown."""
        self.n_lost += 1
        self._base = WHOLE_ROW

    def _see_endpoints(
        self, now_ns: int, sums: Sequence[int], before: Sequence[int] | None, word: bytes
    ) -> None:
        led = [] if self.is_leader else unpack_word(word, len(self.limits))
        exchange_ns = self.tick_ns + int(self._reply_ns) if self.n_governors > 1 else 0
        for idx, limit in enumerate(self.limits):
            first = ENDPOINTS + idx * PER_ENDPOINT
            n_taught, ceilings = sums[first + at.N_TAUGHT], sums[first + at.CEILING]
            limit.hear(now_ns, max(0, sums[first + at.IN_FLIGHT]), n_taught, ceilings)
            limit.stalled_elsewhere = sums[first + at.IN_STALL]
            if limit.pool is not None:
                limit.pool.share(exchange_ns)
            if before is not None:
                n_departed = sums[first + at.N_DEPARTED] - before[first + at.N_DEPARTED]
                held_ms = sums[first + at.HELD_MS] - before[first + at.HELD_MS]
                if n_departed > 0 and held_ms >= 0:
                    limit.note_elsewhere(n_departed, held_ms * 1_000_000)
            if led and self.n_governors > 1:
                found = led[idx]
                limit.follow(
                    now_ns,
                    found.limit,
                    found.level,
                    found.has_knee,
                    found.tag,
                    found.kind,
                    found.ceiling,
                )
            else:
                limit.lead()
            self._hear(now_ns, limit, first, sums, before)

    def _hear(
        self,
        now_ns: int,
        limit: SharedLimit,
        first: int,
        sums: Sequence[int],
        before: Sequence[int] | None,
    ) -> None:
        """Hear what the others have counted of the cohorts that all of us are in."""
        pool = limit.pool
        if pool is None:
            return
        if before is None:
            pool.restart()
            return
        span = slice(first + at.POOL, first + PER_ENDPOINT)
        pool.hear(now_ns, sums[span], before[span])

    def _see_others(self, now_ns: int, sums: Sequence[int], before: Sequence[int]) -> None:
        others, gate = self.gate.others, self.gate
        others.n_governors, others.rank = self.n_governors, self.rank
        others.waiting = max(0, sums[at.WAITING])
        others.invited = max(0, sums[at.INVITED])
        others.organic_hz = max(0, sums[at.ORGANIC_MILLI_HZ]) / MILLI
        # those that they have given since they told: as many as in the time before
        n_untold = max(0, sums[at.INVITED] - before[at.INVITED])
        self._share_slots(others.invited + n_untold)
        if self.n_governors > 1:
            gate.others.storm.judge(now_ns, self._wave(sums), gate.best_capacity_hz)

    def _share_slots(self, n_invited_elsewhere: int) -> None:
        self.gate.reservations.share_with(
            self.n_governors, self.rank, self.n_ranks, n_invited_elsewhere, self.lead_ns
        )

    def _wave(self, sums: Sequence[int]) -> Wave:
        """Return what all of us expect together."""
        own = self.own
        recent = float(sums[at.RECENT] + own[at.RECENT])
        awaited = (sums[at.AWAITED_MILLI] + own[at.AWAITED_MILLI]) / MILLI
        if awaited == 0.0:
            return Wave(recent=recent)

        def windows(first: int) -> tuple[float, ...]:
            return tuple((sums[x] + own[x]) / MILLI for x in range(first, first + N_WINDOWS))

        return Wave(windows(at.ARRIVALS_MILLI), windows(at.RETURNS_MILLI), awaited, recent)

    def _divide(self, now_ns: int) -> None:
        """Set our share of the places."""
        sums = self.sums
        share = 1.0
        if self.n_governors == 1:
            self._part = 1.0
        else:
            places = float(sum(x.total for x in self.limits))
            asking, asked = at.N_ASKING, at.ASKED
            part = fair_part(
                self.own[at.DEMAND],
                sums[asking : asking + N_BINS],
                sums[asked : asked + N_BINS],
                places,
                self.n_governors,
            )
            told, self._part = self._part, part / places
            share = min(1.0, self._part, told)
        if now_ns < self._ramp_until_ns:
            share = min(share, self._grown(now_ns))
        self._share_out(now_ns, share)

    def _grown(self, now_ns: int) -> float:
        """Return the share that a ramp allows now."""
        return self.share + max(0, now_ns - self._shared_at_ns) / RAMP_NS

    def _share_out(self, now_ns: int, share: float) -> None:
        self.share = share
        self._shared_at_ns = now_ns
        for limit in self.limits:
            limit.divide(share, self.rank, self.n_ranks)

    # -- time -------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Go on alone where the view is old; called with every tick of the gate."""
        if self._fresh_at_ns < 0 or now_ns - self._fresh_at_ns <= self.stale_ns:
            return
        if self.is_fresh:
            self.is_fresh = self.is_leader = False
            self._base = WHOLE_ROW
            self._shared_at_ns = now_ns
            for limit in self.limits:
                limit.stalled_elsewhere = 0
                limit.lead()
                if limit.pool is not None:
                    limit.pool.share(0)
            others = self.gate.others
            others.storm.is_on = False
            others.waiting = others.invited = 0
        equal = 1.0 / self.n_governors
        share = max(self.share, min(equal, self._grown(now_ns)))
        self._share_out(now_ns, share)
        self._share_slots((self.n_governors - 1) * self.gate.reservations.n_outstanding)
        for limit in self.limits:
            limit.assume(now_ns, limit.in_flight * (limit.total - limit.limit) // limit.limit)
