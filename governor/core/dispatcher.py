"""Who waits, for how long at most, and who goes when a place comes free.

*Theory*: a FIFO queue in front of impatient callers is a machine for serving
the dead. So nobody is dispatched who is expected to be answered after its
patience has run out, nobody waits beyond its bound, and the line is never
longer than can be served within half of patience; the rest is sent away while
an answer still reaches it. The order itself is :mod:`governor.core.bands`'s.

*Source*: ours (simulated; beyond an expected wait of 0.9 of patience lies a
cliff, at 0.5 nothing is lost by a wrong guess of patience).
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

from governor.core.bands import Band, Bands, Room
from governor.core.lease import Lease, LeaseState
from governor.core.line import N_TENANTS
from governor.core.patience import Patience

WAIT_SHARE: Final = 0.5
"""Send away when the expected wait passes this share of patience."""

NEWEST_FIRST_SHARE: Final = 0.25
"""Expected wait, as a share of patience, from which the newest goes first."""

FINISH_SHARE: Final = 0.9
"""A request must be expected to be answered within this share of its caller's patience."""

N_EXPIRY_SLACK: Final = 1024
"""Settled entries tolerated in the expiry heap before it is rebuilt."""

_PENDING: Final = LeaseState.PENDING


class Dispatcher:
    """The waiting side of one gate.

    Parameters
    ----------
    patience_ns : int
        Assumed of callers until hinted or learned.
    max_wait_ns, max_waiting : int
        Bounds on one wait and on the line.

    Attributes
    ----------
    capacity_hz : float
        What the upstream can serve, requests per second; 0 while unknown. Set by the gate's tick.
    response_ns : int
        Typical response time; 0 while unknown. Set by the gate's tick.
    """

    __slots__ = (
        "_expiry",
        "_n_joined",
        "capacity_hz",
        "line",
        "max_wait_ns",
        "max_waiting",
        "patience",
        "response_ns",
    )

    def __init__(
        self, patience_ns: int, max_wait_ns: int, max_waiting: int, n_tenants: int = N_TENANTS
    ) -> None:
        self.line = Bands(n_tenants)
        self.patience = Patience(patience_ns)
        self.max_wait_ns = max_wait_ns
        self.max_waiting = max_waiting
        self.capacity_hz = 0.0
        self.response_ns = 0
        self._expiry: list[tuple[int, int, Lease]] = []
        self._n_joined = 0

    @property
    def is_full(self) -> bool:
        """Whether the configured bound on waiting requests is reached."""
        return self.line.n_live >= self.max_waiting

    @property
    def expected_wait_ns(self) -> float:
        """Time to serve the whole line at capacity; 0 while capacity is unknown."""
        return self.line.n_live / self.capacity_hz * 1e9 if self.capacity_hz > 0.0 else 0.0

    @property
    def is_newest_first(self) -> bool:
        """Whether the line is so long that its oldest are about to leave."""
        return self.expected_wait_ns > NEWEST_FIRST_SHARE * self.patience.typical_ns

    def join(self, now_ns: int, lease: Lease, attained_s: float, band: Band) -> None:
        """Let ``lease`` wait until it is taken, expires or leaves.

        A request that was sent before has spent part of its bound already.
        """
        lease.waits_since_ns = now_ns
        try:
            self.line.push(lease, attained_s, band)
        except Exception:
            lease.line_key = -1  # it does not wait
            raise
        self._n_joined += 1
        until_ns = lease.arrived_at_ns + self.bound_ns(lease)
        heappush(self._expiry, (until_ns, self._n_joined, lease))
        if len(self._expiry) > N_EXPIRY_SLACK + 2 * self.line.n_live:
            self._expiry = [x for x in self._expiry if x[2].state is _PENDING]
            heapify(self._expiry)

    def first(self, now_ns: int, room: Room) -> Lease | None:
        """Return who goes next, without taking it; None where nobody may."""
        return self.line.first(now_ns, self.is_newest_first, room)

    def most_urgent(self) -> Lease | None:
        """Return whose wait reaches its bound first: who goes next where the order is broken."""
        return min((x for x in self._expiry if x[2].state is _PENDING), default=(0, 0, None))[2]

    def take(self, lease: Lease) -> None:
        """Take a pending lease out of the line, because it is about to be served."""
        self.line.take(lease, self.response_ns * 1e-9)

    def next_expired(self, now_ns: int) -> Lease | None:
        """Return a lease whose wait has reached its bound, if there is one."""
        expiry = self._expiry
        while expiry and (expiry[0][0] <= now_ns or expiry[0][2].state is not _PENDING):
            lease = heappop(expiry)[2]
            if lease.state is _PENDING:
                return lease
        return None

    def next_surplus(self, shed: Collection[int] = ()) -> Lease | None:
        """Return the last in line, if capacity cannot reach it within half of its patience.

        Among equals it is one of the trees in ``shed``.
        """
        wait_ns = self.expected_wait_ns
        if wait_ns <= 0.0:
            return None
        lease = self.line.last(self.is_newest_first, shed)
        if lease is None:
            return None
        longest_ns = lease.arrival.max_wait_ns or self.max_wait_ns
        is_surplus = wait_ns > WAIT_SHARE * min(longest_ns, self.patience_ns(lease))
        return lease if is_surplus else None

    def patience_ns(self, lease: Lease) -> int:
        """How long this caller waits: what it said, else what such callers do."""
        return lease.arrival.patience_ns or self.patience.typical_ns

    def bound_ns(self, lease: Lease) -> int:
        """How long this lease may wait at most: its route's bound, else the upstream's.

        A caller that does not understand a dated refusal waits as long as it said it would.
        """
        longest_ns = lease.arrival.max_wait_ns or self.max_wait_ns
        if not lease.arrival.can_retry:
            return min(longest_ns, lease.arrival.patience_ns or longest_ns)
        return min(longest_ns, int(FINISH_SHARE * self.patience_ns(lease)))

    def is_too_late(self, now_ns: int, lease: Lease) -> bool:
        """Whether an answer is expected only after the caller's *known* patience has run out."""
        arrival = lease.arrival
        if not arrival.can_retry or not (arrival.patience_ns or self.patience.is_learned):
            return False
        waited_ns = now_ns - lease.arrived_at_ns
        return waited_ns + self.response_ns > FINISH_SHARE * self.patience_ns(lease)
