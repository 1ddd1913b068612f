"""Slots: the instant at which a caller that is sent away is invited back.

*Theory*: a rejection without a time is an invitation to come back together.
Each invitation is placed behind the count M of those still outstanding, at the
service's best-known capacity kappa less what organic demand already uses::

    slot = now + lead + (M + 1) / (rho * max(0.1 kappa, kappa - organic))

The count corrects itself: a caller that is back, or overdue, makes room, so no
pointer runs away. ``rho`` above 1 invites a little more than fits: whoever is
early waits, and nothing idles.

An upstream that asks its callers to stay away names one instant for all of
them. Behind it they are spread in the same way, behind the count of those whose
slots lie between that instant and their own; so the second wave is as flat as
the capacity allows.

Where several governors invite to one upstream, M counts the invitations of all: the
others' as of the last exchange, and each of our own since then once for every governor,
for they go on as we do. So that no two governors name the same instant, each has its own
microseconds, by the clock of the server that they share: every n-th is ours, counted from
our rank. That is exact to the error of that clock's reading, half a round trip.

A slot that would lie too late is drawn nearer as if nothing but invited callers
came; if it lies too late even so, no retry can help, and none is invited.

*Source*: ours (simulated against nine other schedules).
*Considered and rejected*: a pointer spaced by the present departure rate (ten
times too sparse in a stall, and invitations cannot be recalled); a constant
delay (everybody returns together); the horizon itself for whoever does not fit
(everybody beyond it returns together).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from heapq import heappop, heappush
from typing import Final

LEAD_NS: Final = 300_000_000
"""Shortest invitation: what a caller needs to hear it and turn round."""

OVERBOOKING: Final = 1.3
"""rho: invitations per place; 1.1 idles, 2 repeats too often."""

SPARE_SHARE_MIN: Final = 0.1
"""However busy organic demand keeps the service, a tenth is offered to returners."""

OVERDUE_NS: Final = 1_000_000_000
"""An invited caller this late has made other plans; its place is free."""

EARLY_NS: Final = 50_000_000
"""An unmarked caller this close before a slot of its own is taken to be keeping it."""

STEP_NS: Final = 1_000
"""Slots that would coincide are told apart by a microsecond."""

UNKNOWN_HZ: Final = 100.0
"""Rate of invitations while no capacity is known: told apart to the millisecond."""

N_OUTSTANDING_MAX: Final = 65_536
"""Memory bound; beyond it nobody is invited."""

N_FITS: Final = 8
"""Steps towards the first instant that is free behind an upstream's wish."""

NO_SLOT: Final = 0
EARLY: Final = 1
AT_SLOT: Final = 2
"""What an arrival redeems: nothing, an invitation before its time, or the slot it keeps."""


class Slot:
    """One outstanding invitation; ``key`` is the flow or tenant that holds it."""

    __slots__ = ("at_ns", "is_open", "key")

    def __init__(self, at_ns: int, key: int) -> None:
        self.at_ns = at_ns
        self.key = key
        self.is_open = True

    def __lt__(self, other: Slot) -> bool:
        return self.at_ns < other.at_ns


class Reservations:
    """The outstanding invitations of one upstream.

    Parameters
    ----------
    horizon_ns : int
        No invitation lies further ahead; SDKs ignore longer ones.
    """

    __slots__ = (
        "_by_key",
        "_by_time",
        "_instants",
        "_n_elsewhere",
        "_n_governors",
        "_n_made_then",
        "_n_ranks",
        "_rank",
        "_server_lead_ns",
        "horizon_ns",
        "n_kept",
        "n_made",
        "n_outstanding",
    )

    def __init__(self, horizon_ns: int) -> None:
        self.horizon_ns = horizon_ns
        self.n_outstanding = 0
        self.n_made = 0
        self.n_kept = 0
        self._by_time: list[Slot] = []
        self._by_key: dict[int, deque[Slot]] = {}
        self._instants: list[int] = []
        self.share_with(1, 0, 1, 0)

    def share_with(
        self, n_governors: int, rank: int, n_ranks: int, n_elsewhere: int, server_lead_ns: int = 0
    ) -> None:
        """Take note of who else invites to the same upstream, as of now.

        Parameters
        ----------
        n_governors : int
            All of us.
        rank, n_ranks : int
            Ours, and how many ranks there are.
        n_elsewhere : int
            The others' outstanding invitations.
        server_lead_ns : int
            What the clock that we share is ahead of ours.
        """
        self._n_governors = n_governors
        self._rank, self._n_ranks = rank, n_ranks
        self._n_elsewhere = n_elsewhere
        self._server_lead_ns = server_lead_ns
        self._n_made_then = self.n_made

    @property
    def _n_before(self) -> int:
        """Outstanding invitations of all governors, as far as known."""
        if self._n_governors == 1:
            return self.n_outstanding
        n_since = (self._n_governors - 1) * (self.n_made - self._n_made_then)
        return self.n_outstanding + self._n_elsewhere + n_since

    def invite(
        self,
        now_ns: int,
        key: int,
        capacity_hz: float,
        organic_hz: float,
        earliest_ns: int = 0,
        latest_ns: int = 0,
    ) -> int:
        """Return how long from now the caller ``key`` should come back, in nanoseconds.

        0 means that no retry can help: nothing is reserved.

        Parameters
        ----------
        capacity_hz, organic_hz : float
            Best-known capacity (0 if unknown) and the rate of fresh demand.
        earliest_ns : int
            Delay the upstream itself asked for; the slot is never earlier.
        latest_ns : int
            Delay after which this caller has no use for it; 0 for the horizon.
        """
        self.expire(now_ns)
        latest_ns = min(latest_ns or self.horizon_ns, self.horizon_ns)
        if self.n_outstanding >= N_OUTSTANDING_MAX or max(earliest_ns, LEAD_NS) > latest_ns:
            return 0
        full_hz = OVERBOOKING * (capacity_hz if capacity_hz > 0.0 else UNKNOWN_HZ)
        spare_hz = OVERBOOKING * max(SPARE_SHARE_MIN * capacity_hz, capacity_hz - organic_hz)
        delay_ns = self._behind(now_ns, earliest_ns, spare_hz if spare_hz > 0.0 else full_hz)
        if delay_ns > latest_ns:
            delay_ns = self._behind(now_ns, earliest_ns, full_hz)
        at_ns = self._free_instant(now_ns + delay_ns, now_ns + max(earliest_ns, 1))
        if at_ns - now_ns > latest_ns:
            return 0
        insort(self._instants, at_ns)
        slot = Slot(at_ns, key)
        heappush(self._by_time, slot)
        self._by_key.setdefault(key, deque()).append(slot)
        self.n_outstanding += 1
        self.n_made += 1
        return at_ns - now_ns

    def _behind(self, now_ns: int, earliest_ns: int, rate_hz: float) -> int:
        """Return the delay of the next place, ``rate_hz`` apart from those before it."""
        step_ns = 1e9 / rate_hz
        if earliest_ns <= LEAD_NS:
            return int(min(LEAD_NS + (self._n_before + 1) * step_ns, 2 * self.horizon_ns))
        instants = self._instants
        if self._n_governors > 1 and instants:  # the others' are taken to lie as ours do
            step_ns *= self._n_before / self.n_outstanding
        earliest_at_ns = now_ns + earliest_ns
        first = bisect_left(instants, earliest_at_ns)
        n_behind = len(instants) - first
        for _ in range(N_FITS):  # downward to the largest count that is consistent with itself
            at_ns = earliest_at_ns + int(min((n_behind + 1) * step_ns, 2 * self.horizon_ns))
            n_before = bisect_left(instants, at_ns) - first
            if n_before >= n_behind:
                break
            n_behind = n_before
        if not instants:
            n_behind = self._n_before
        return int(min(earliest_ns + (n_behind + 1) * step_ns, 2 * self.horizon_ns))

    def redeem(self, now_ns: int, key: int, is_retry: bool) -> int:
        """Close the oldest invitation of ``key``, if this arrival can be its caller.

        A known retry redeems at any time; other arrivals only around the slot,
        for fresh demand of the same caller is no returner. Returns ``AT_SLOT`` if
        it came when it was invited, ``EARLY`` if before, ``NO_SLOT`` if not at all.
        """
        held = self._by_key.get(key)
        if not held:
            return NO_SLOT
        slot = held[0]
        is_early = now_ns < slot.at_ns - EARLY_NS
        if is_early and not is_retry:
            return NO_SLOT
        held.popleft()
        if not held:
            del self._by_key[key]
        self._close(slot)
        self.n_kept += 1
        return EARLY if is_early else AT_SLOT

    def expire(self, now_ns: int) -> None:
        """Free the places of callers that are overdue."""
        by_time = self._by_time
        while by_time and (not by_time[0].is_open or by_time[0].at_ns + OVERDUE_NS <= now_ns):
            slot = heappop(by_time)
            if not slot.is_open:
                continue
            self._close(slot)
            held = self._by_key[slot.key]
            held.remove(slot)
            if not held:
                del self._by_key[slot.key]

    def _close(self, slot: Slot) -> None:
        slot.is_open = False
        self.n_outstanding -= 1
        del self._instants[bisect_left(self._instants, slot.at_ns)]

    def _free_instant(self, at_ns: int, earliest_at_ns: int) -> int:
        """Return an instant near ``at_ns`` that nobody else was given."""
        instants = self._instants
        step_ns = STEP_NS * self._n_ranks
        if self._n_ranks > 1:
            at_ns += (self._rank * STEP_NS - at_ns - self._server_lead_ns) % step_ns
        if at_ns - step_ns * (self.n_outstanding + 1) >= earliest_at_ns:
            step_ns = -step_ns
        place = bisect_left(instants, at_ns)
        while place < len(instants) and instants[place] == at_ns:
            at_ns += step_ns
            place = bisect_left(instants, at_ns)
        return at_ns
