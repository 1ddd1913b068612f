"""Which places are open to whom: hold, contain and the acceleration limit, put together.

*Rule of this file*: composition of policies that say who yields; the policies
themselves are pure and know nothing of each other.

The order is the contract. A call of a kind that hangs is HUNG, of a long kind LONG, whether
or not it came in a crowd: containment lasts, a hold passes. What came in a crowd is CROWD. A
place is open to nobody while the acceleration limit has no room; to the long and to
the hung, while they hold less than their share; to the crowd, beyond the last places,
which are kept for 200 ms at most.

Each policy can be observed only: then nobody yields to it, and what it would have
bound is asked for a second time (``as_seen``), so that it can be counted.
"""

from __future__ import annotations

from governor.core.arrival import Arrival
from governor.core.bands import Band, Room
from governor.core.lease import Lease
from policies.acceleration import Acceleration
from policies.contain import Containment
from policies.decision import Reason
from policies.herd import Herd
from policies.holdback import Holdback
from policies.quota import Quota
from policies.switches import GOVERN, OBSERVE, OFF, Policy, observes_any, state_of
from policies.switches import Modes as Modes

_REASONS = (Reason.OVER_LIMIT, Reason.CONTAINED, Reason.HELD, Reason.CONTAINED)
"""Why a request waits beside a free place, by band."""


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
    switches : int
        The policies' states, packed (:mod:`policies.switches`).
    is_limiting : bool
        Whether anybody waits for a place.
    """

    __slots__ = (
        "_kept_from_crowd",
        "acceleration",
        "containment",
        "herd",
        "holdback",
        "is_calm",
        "is_limiting",
        "quota",
        "switches",
    )

    def __init__(
        self,
        modes: Modes | None = None,
        acceleration: float | None = None,
        holdback_share: float = 0.0,
        n_flows: int = 65_536,
    ) -> None:
        states = modes or Modes()
        self.herd = Herd(n_flows)
        self.containment = Containment()
        is_ramping = acceleration is not None and states.acceleration != "off"
        self.acceleration = Acceleration(acceleration) if acceleration and is_ramping else None
        self.quota = Quota()
        self.holdback = Holdback(holdback_share)
        self.is_calm = self.acceleration is None and not holdback_share
        self._kept_from_crowd = 0
        self.switch(states.pack())

    def switch(self, switches: int) -> None:
        """Set every policy's state, as packed by :mod:`policies.switches`."""
        self.switches = switches
        self.is_limiting = state_of(switches, Policy.LIMIT) == GOVERN

    def switches_of(self, arrival: Arrival) -> int:
        """Return the policies' states for one request: its route's, else the file's."""
        return arrival.switches if arrival.switches >= 0 else self.switches

    def observes(self, arrival: Arrival) -> bool:
        """Return whether a policy only observes this request."""
        return observes_any(self.switches_of(arrival))

    def band(self, lease: Lease, is_crowd: bool, as_seen: bool = False) -> Band:
        """Return the band of a new request; ``as_seen`` as if what observes governed."""
        arrival = lease.arrival
        switches = self.switches_of(arrival)
        strongest = OBSERVE if as_seen else GOVERN
        if state_of(switches, Policy.CONTAIN) <= strongest:
            if self.containment.is_hung(arrival.kind):
                return Band.HUNG
            if self.containment.is_long(arrival.kind):
                return Band.LONG
        if is_crowd and state_of(switches, Policy.HOLD) <= strongest:
            return Band.CROWD
        return Band.OWN

    def room(self, limit: int, in_flight: int, as_seen: bool = False) -> Room:
        """Return whom a place is open to.

        Parameters
        ----------
        limit, in_flight : int
            Over all endpoints.
        as_seen : bool
            As if what observes governed.
        """
        acceleration = self.acceleration
        has_place = in_flight < limit and self.quota.has_room
        is_free = has_place or not self._binds(Policy.LIMIT, as_seen)
        if acceleration is not None and self._binds(Policy.ACCELERATION, as_seen):
            is_free = is_free and acceleration.has_room
        kept = self.containment.kept_places
        for_long = not kept or self.containment.n_long < limit - kept
        for_hung = self.containment.has_room_for_hung
        return Room(is_free, for_long, in_flight < limit - self._kept_from_crowd, for_hung)

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
        """Note that a request has been given a place.

        A ramp that only observes counts what it would have let through, no more.
        """
        self.containment.open(now_ns, lease.arrival.kind)
        self.quota.take()
        ramp = self.acceleration
        if ramp is not None and (ramp.has_room or self._binds(Policy.ACCELERATION)):
            ramp.take()

    @property
    def kept_from_crowd(self) -> int:
        """Places that a crowd leaves to those who come by themselves."""
        return self._kept_from_crowd

    def tick(self, now_ns: int, limit: int, own_hz: float) -> None:
        """Weigh anew what is kept for whom.

        Parameters
        ----------
        own_hz : float
            Arrivals per second that are expected of those who come by themselves.
        """
        self.herd.tick(now_ns)
        self.containment.tick(now_ns, limit)
        self._kept_from_crowd = self.herd.kept_places(limit, own_hz)
        if self.acceleration is not None:
            self.acceleration.tick(now_ns)
        contains = not self.containment.is_idle
        is_paced = self.quota.is_known or self.acceleration is not None
        self.is_calm = not (contains or is_paced or self.holdback.share)

    def _binds(self, policy: Policy, as_seen: bool = False) -> bool:
        """Whether a policy of the whole upstream is heeded."""
        state = state_of(self.switches, policy)
        return state == GOVERN or (as_seen and state != OFF)
