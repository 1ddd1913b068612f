"""Which places are open to whom: hold, contain and the acceleration limit, put together.

*Rule of this file*: composition of policies that say who yields; the policies
themselves are pure and know nothing of each other.

The order is the contract. A call of a long kind is LONG, whether or not it came
in a crowd: containment lasts, a hold passes. What came in a crowd is CROWD. A
place is open to nobody while the acceleration limit has no room; to the long,
while they hold less than their share; to the crowd, beyond the last places,
which are kept for 200 ms at most.

Each policy can be observed only: then it is computed, counted under its reason,
and nobody yields.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from governor.core.bands import Band, Room
from governor.core.lease import Lease
from policies.acceleration import Acceleration
from policies.contain import Containment
from policies.decision import Reason
from policies.herd import Herd
from policies.holdback import Holdback
from policies.quota import Quota

_REASONS = (Reason.OVER_LIMIT, Reason.CONTAINED, Reason.HELD)
"""Why a request waits beside a free place, by band."""


class Modes(NamedTuple):
    """What each policy may do: ``govern``, ``observe`` or ``off``."""

    hold: str = "govern"
    contain: str = "govern"


class Shaping:
    """Who yields to whom at one upstream.

    Parameters
    ----------
    modes : Modes, optional
        By default everything governs.
    acceleration : float, optional
        Factor per minute by which demand may grow; None for no such limit.
    holdback_share : float
        Of the callers, that stay ungoverned.
    n_flows : int
        Size of the identity table of flows.

    Attributes
    ----------
    is_calm : bool
        Nothing but the limit binds: nearly always. Read on the hot path.
    """

    __slots__ = (
        "_kept_from_crowd",
        "acceleration",
        "containment",
        "herd",
        "holdback",
        "is_calm",
        "modes",
        "n_observed",
        "quota",
    )

    def __init__(
        self,
        modes: Modes | None = None,
        acceleration: float | None = None,
        holdback_share: float = 0.0,
        n_flows: int = 65_536,
    ) -> None:
        self.modes = modes or Modes()
        self.herd = Herd(n_flows)
        self.containment = Containment()
        self.acceleration = Acceleration(acceleration) if acceleration is not None else None
        self.quota = Quota()
        self.holdback = Holdback(holdback_share)
        self.is_calm = acceleration is None and not holdback_share
        self.n_observed: Counter[Reason] = Counter()
        self._kept_from_crowd = 0

    def band(self, lease: Lease, is_crowd: bool) -> Band:
        """Return the band of a new request."""
        if self.containment.is_long(lease.arrival.kind) and self._acts(
            self.modes.contain, Reason.CONTAINED
        ):
            return Band.LONG
        if is_crowd and self._acts(self.modes.hold, Reason.HELD):
            return Band.CROWD
        return Band.OWN

    def room(self, limit: int, in_flight: int) -> Room:
        """Return whom a place is open to.

        Parameters
        ----------
        limit, in_flight : int
            Over all endpoints.
        """
        acceleration = self.acceleration
        is_free = in_flight < limit and self.quota.has_room
        is_free = is_free and (acceleration is None or acceleration.has_room)
        kept = self.containment.kept_places
        for_long = not kept or self.containment.n_long < limit - kept
        for_crowd = in_flight < limit - self._kept_from_crowd
        return Room(is_free, for_long, for_crowd, self.quota.bars_crowd)

    def reason(self, band: Band, room: Room, has_place: bool) -> Reason:
        """Return why a request has to wait.

        Parameters
        ----------
        has_place : bool
            Its endpoint is below its limit.
        """
        if room.is_free:
            return _REASONS[band]
        if not has_place:
            return Reason.OVER_LIMIT
        return Reason.ACCELERATING if self.quota.has_room else Reason.OVER_QUOTA

    def opened(self, now_ns: int, lease: Lease) -> None:
        """Note that a request has been given a place."""
        self.containment.open(now_ns, lease.arrival.kind)
        self.quota.take()
        if self.acceleration is not None:
            self.acceleration.take()

    def tick(self, now_ns: int, limit: int, organic_hz: float) -> None:
        """Weigh anew what is kept for whom."""
        self.herd.tick(now_ns)
        self.containment.tick(now_ns, limit)
        self._kept_from_crowd = self.herd.kept_places(limit, organic_hz)
        if self.acceleration is not None:
            self.acceleration.tick(now_ns)
        contains = self.containment.kept_places > 0 and self.modes.contain != "off"
        is_paced = self.quota.is_known or self.acceleration is not None
        self.is_calm = not (contains or is_paced or self.holdback.share)

    def _acts(self, mode: str, reason: Reason) -> bool:
        """Whether a policy may act; one that only observes is counted."""
        if mode == "observe":
            self.n_observed[reason] += 1
        return mode == "govern"
