"""Slots: the instant at which a caller that is sent away is invited back.

*Theory*: a rejection without a time is an invitation to come back together.
Each invitation is placed behind the count M of those still outstanding, at the
service's best-known capacity kappa less what organic demand already uses::

    slot = now + lead + (M + 1) / (rho * max(0.1 kappa, kappa - organic))

The count corrects itself: a caller that is back, or overdue, makes room, so no
pointer runs away. ``rho`` above 1 invites a little more than fits: whoever is
early waits, and nothing idles.

*Source*: ours (simulated against nine other schedules).
*Considered and rejected*: a pointer spaced by the present departure rate (ten
times too sparse in a stall, and invitations cannot be recalled); a constant
delay (everybody returns together).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

LEAD_NS = 300_000_000
"""Shortest invitation: what a caller needs to hear it and turn round."""

OVERBOOKING = 1.3
"""rho: invitations per place; 1.1 idles, 2 repeats too often."""

SPARE_SHARE_MIN = 0.1
"""However busy organic demand keeps the service, a tenth is offered to returners."""

OVERDUE_NS = 1_000_000_000
"""An invited caller this late has made other plans; its place is free."""

EARLY_NS = 50_000_000
"""An unmarked caller this close before a slot of its own is taken to be keeping it."""

STEP_NS = 1_000
"""Slots that would coincide are told apart by a microsecond."""

N_OUTSTANDING_MAX = 65_536
"""Memory bound; beyond it a slot is the horizon itself."""


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

    __slots__ = ("_by_key", "_by_time", "_taken", "horizon_ns", "n_kept", "n_made", "n_outstanding")

    def __init__(self, horizon_ns: int) -> None:
        self.horizon_ns = horizon_ns
        self.n_outstanding = 0
        self.n_made = 0
        self.n_kept = 0
        self._by_time: list[Slot] = []
        self._by_key: dict[int, deque[Slot]] = {}
        self._taken: set[int] = set()

    def invite(
        self, now_ns: int, key: int, capacity_hz: float, organic_hz: float, earliest_ns: int = 0
    ) -> int:
        """Return how long from now the caller ``key`` should come back, in nanoseconds.

        Parameters
        ----------
        capacity_hz, organic_hz : float
            Best-known capacity (0 if unknown) and the rate of fresh demand.
        earliest_ns : int
            Delay the upstream itself asked for; the slot is never earlier.
        """
        self.expire(now_ns)
        spare_hz = OVERBOOKING * max(SPARE_SHARE_MIN * capacity_hz, capacity_hz - organic_hz)
        if self.n_outstanding >= N_OUTSTANDING_MAX:
            return self.horizon_ns
        behind_s = (self.n_outstanding + 1) / spare_hz if spare_hz > 0.0 else 0.0
        behind_ns = int(min(behind_s, self.horizon_ns * 1e-9) * 1e9)
        delay_ns = min(LEAD_NS + behind_ns, self.horizon_ns)
        delay_ns = max(delay_ns, earliest_ns)
        slot = Slot(self._free_instant(now_ns + delay_ns, now_ns + earliest_ns), key)
        heappush(self._by_time, slot)
        self._by_key.setdefault(key, deque()).append(slot)
        self.n_outstanding += 1
        self.n_made += 1
        return slot.at_ns - now_ns

    def redeem(self, now_ns: int, key: int, is_retry: bool) -> bool:
        """Close the oldest invitation of ``key``, if this arrival can be its caller.

        A known retry redeems at any time; other arrivals only around the slot,
        for fresh demand of the same caller is no returner.
        """
        held = self._by_key.get(key)
        if not held:
            return False
        slot = held[0]
        if not is_retry and now_ns < slot.at_ns - EARLY_NS:
            return False
        held.popleft()
        if not held:
            del self._by_key[key]
        self._close(slot)
        self.n_kept += 1
        return True

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
        self._taken.discard(slot.at_ns)

    def _free_instant(self, at_ns: int, earliest_at_ns: int) -> int:
        """Return an instant near ``at_ns`` that nobody else was given."""
        can_go_back = at_ns - STEP_NS * (self.n_outstanding + 1) >= earliest_at_ns
        step_ns = -STEP_NS if can_go_back else STEP_NS
        while at_ns in self._taken:
            at_ns += step_ns
        self._taken.add(at_ns)
        return at_ns
