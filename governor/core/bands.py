"""Four lines instead of one: who comes by itself, holds long, came in a crowd, or would hang.

*Rule of this file*: which line goes first, and which may go at all. The order
within a line is :mod:`governor.core.line`'s.

*Theory*: a band is a line with a condition. Whoever comes by itself may take
any free place. Calls of a kind that holds its place for long may take one while
fewer than their share are held so (:mod:`policies.contain`). A crowd may take
all but the last few, and after 200 ms those too (:mod:`policies.herd`). The
first two take turns, so neither starves the other, whoever fills one of them;
the crowd goes when none of them can, and every eighth time in any case. Calls of
a kind that hangs (:mod:`policies.hang`) go under the same rule behind the crowd, while
they hold less than they usually do: those that go tell whether it still hangs. Who is of which
band, and what makes a place free at all, is :mod:`governor.core.shaping`'s.

Everybody who is sent away because the line is too long is sent from the hung, then from
the crowd, then from the long, then from the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from governor.core.lease import Lease
from governor.core.line import CLASSES_PER_URGENCY, N_TENANTS, Line
from policies.herd import HOLD_MAX_NS

N_BEFORE_CROWD: Final = 7
"""Dispatches of others between two of the crowd, where all of them wait."""

_KEYS_PER_BAND: Final = 8 * CLASSES_PER_URGENCY


class Band(IntEnum):
    """What is known of a waiting request beside its rank."""

    OWN = 0
    """Came by itself, and is brief."""
    LONG = 1
    """Of a kind that holds its place for long."""
    CROWD = 2
    """Came together with many others."""
    HUNG = 3
    """Of a kind whose calls are not answered now, while those of others are."""


_BANDS: Final = tuple(Band)
"""By number; a look-up costs a fifth of making one anew."""


class Room(NamedTuple):
    """Which bands a free place is open to."""

    is_free: bool
    """There is a place at all."""
    for_long: bool
    for_crowd: bool
    for_hung: bool = True

    def opens_to(self, band: Band) -> bool:
        """Whether a request of this band may take the place on arrival."""
        if band is Band.OWN:
            return self.is_free
        if band is Band.LONG:
            return self.is_free and self.for_long
        return self.is_free and (self.for_crowd if band is Band.CROWD else self.for_hung)


NO_ROOM: Final = Room(False, False, False, False)
"""Every place is taken: nothing else needs to be weighed."""


class Bands:
    """All waiting requests of one upstream, by band.

    Attributes
    ----------
    held : list of int
        Places that each tenant holds. The gate adds one for each that it gives, and
        takes one away before it calls :meth:`released`.
    """

    __slots__ = ("_is_longs_turn", "_lines", "_n_since_crowd", "_n_since_hung", "held", "n_live")

    def __init__(self, n_tenants: int = N_TENANTS) -> None:
        self.n_live = 0
        self.held = [0] * n_tenants
        self._lines = tuple(Line(band * _KEYS_PER_BAND, self.held) for band in Band)
        self._n_since_crowd = self._n_since_hung = 0
        self._is_longs_turn = False

    def __len__(self) -> int:
        return self.n_live

    def __iter__(self) -> Iterator[Lease]:
        for line in self._lines:
            yield from line

    def length(self, band: Band) -> int:
        """Return how many wait in one band."""
        return self._lines[band].n_live

    def n_ahead(self, band: Band) -> int:
        """Return how many wait who go before a newcomer to this band."""
        if not self.n_live:
            return 0
        return sum(line.n_live for line in self._lines[: band + 1])

    def push(self, lease: Lease, attained_s: float, band: Band) -> None:
        """Let ``lease`` wait in its band, ranked by urgency and attained service."""
        self._lines[band].push(lease, attained_s)
        self.n_live += 1

    def first(self, now_ns: int, is_newest_first: bool, room: Room) -> Lease | None:
        """Return who goes next without taking it; None where nobody waits who may."""
        if not room.is_free or not self.n_live:
            return None
        line = self._lines[Band.HUNG]
        hung = line.first(is_newest_first) if line.n_live and room.for_hung else None
        if hung is not None and self._n_since_hung >= N_BEFORE_CROWD:
            return hung
        return self._first_of_others(now_ns, is_newest_first, room) or hung

    def _first_of_others(self, now_ns: int, is_newest_first: bool, room: Room) -> Lease | None:
        crowd = self._first_of_crowd(now_ns, is_newest_first, room)
        if crowd is not None and self._n_since_crowd >= N_BEFORE_CROWD:
            return crowd
        own, long = self._lines[Band.OWN], self._lines[Band.LONG]
        may_long = room.for_long and long.n_live > 0
        if may_long and (self._is_longs_turn or not own.n_live):
            return long.first(is_newest_first)
        return own.first(is_newest_first) if own.n_live else crowd

    def _first_of_crowd(self, now_ns: int, is_newest_first: bool, room: Room) -> Lease | None:
        line = self._lines[Band.CROWD]
        lease = line.first(is_newest_first) if line.n_live else None
        if lease is None or room.for_crowd or now_ns - lease.arrived_at_ns >= HOLD_MAX_NS:
            return lease
        return None

    def take(self, lease: Lease, service_s: float) -> None:
        """Take a lease out because it is about to be served for about ``service_s``."""
        band = band_of(lease)
        self._is_longs_turn = band is Band.OWN
        self._n_since_crowd = 0 if band is Band.CROWD else self._n_since_crowd + 1
        self._n_since_hung = 0 if band is Band.HUNG else self._n_since_hung + 1
        try:
            self._lines[band].charge(lease.arrival.tenant, service_s)
        finally:  # whatever the order thinks of it, it waits no more
            self.forget(lease)

    def released(self, tenant: int) -> None:
        """Take note that a tenant holds one place less: it may be its turn now."""
        for line in self._lines:
            if line.n_live:
                line.released(tenant)

    def last(self, is_newest_first: bool, shed: Collection[int] = ()) -> Lease | None:
        """Return the lease to send away first; among equals, one of the trees in ``shed``."""
        for line in reversed(self._lines):
            lease = line.last(is_newest_first, shed) if line.n_live else None
            if lease is not None:
                return lease
        return None

    def forget(self, lease: Lease) -> None:
        """Take note that ``lease``, which was pending, has been opened or closed."""
        self.n_live -= 1
        self._lines[band_of(lease)].forget(lease)


def band_of(lease: Lease) -> Band:
    """Return the band in which a lease waits, or waited."""
    return _BANDS[max(lease.line_key, 0) // _KEYS_PER_BAND]
