"""In which order the policies act, and which places are open to whom.

*Rule of this file*: composition of policies that say who yields; the policies
themselves are pure and know nothing of each other.

The order is the contract; this is the one place that tells it whole. An arrival meets, in turn,

1. the *exemption*: health routes and idle event streams meet nothing that follows;
2. *quarantine*: answered 403, before a signal hears of it (:mod:`governor.core.restraint`);
3. its *slot*: who comes when it was invited is in no crowd, and ranks first of its urgency;
4. the *cap of a held flow*: beyond it, parked until a call of its flow has ended; a call that
   is waited out is still one of its flow's, and so is none that may be let go for it;
5. *reroute*: where no endpoint is left, the fallback upstream; else the one that is cheaper;
6. *holdback*: a caller that is left ungoverned for comparison is admitted, limit or no limit;
7. its *band*. A call of a kind that hangs is HUNG, of a long kind LONG, whether or not it came
   in a crowd or was parked: containment lasts, a hold passes. What came in a crowd is CROWD, and
   so is what was parked; all others are OWN;
8. *room*. A place is open to nobody where the limit has none, the quota no token, or the
   acceleration limit no room, whichever is short first; then to the hung and to the long while
   they hold less than their share; and to the crowd but for the last places, which are kept for
   200 ms at most. In a fleet, while a crowd waits, the next place is open to OWN before it is free;
9. the *line*, if there is no room, or somebody waits who goes before it: by band
   (:mod:`governor.core.bands`), by rank within it (:mod:`governor.core.line`). Before that, where
   a storm is foretold, the fallback. An absorbed call comes back into the band of its kind.

A tick lets limits and quota learn, then answers whom nobody waits for any more (doomed trees),
lets absorbed and parked calls into the line, fills what is free, answers whose wait has reached
its bound, and at last sends away what is too much: the hung first, then the crowd, then the long,
and of equals those of trees that have lost a call already (:mod:`governor.core.shed`).

A refusal of the upstream teaches the limit and the quota; then it is waited out if it may be
(absorb), else its caller is given a slot in a storm, else it is handed on as it came.

Each policy can be observed only: then nobody yields to it, and what it would have
bound is asked for a second time (``as_seen``), so that it can be counted. The quota stands and
falls with the limit, and hung kinds and doomed trees with containment. Held and quarantined flows
are no policy of this list: they are let go only where the whole of Governor observes.

A policy that raises is counted (:mod:`governor.core.faults`) and stands aside: it binds nobody
until a tick of it has gone well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec

from governor.core.arrival import Arrival
from governor.core.bands import Band, Room
from governor.core.faults import Faults, Part
from governor.core.lease import Lease
from policies.acceleration import Acceleration
from policies.contain import Containment
from policies.decision import Reason
from policies.herd import Herd
from policies.holdback import Holdback
from policies.quota import Quota
from policies.scope import RefusalScope
from policies.switches import GOVERN, OBSERVE, OFF, Policy, observes_any, state_of
from policies.switches import Modes as Modes

P = ParamSpec("P")

RETURNING_SHARE: Final = 1.0 / 3.0
"""Of a kind's usual rate that is invited beside it, where its back end's capacity is unknown: one
that cannot serve a third more than usual is saturated every day."""

_REASONS: Final = (Reason.OVER_LIMIT, Reason.CONTAINED, Reason.HELD, Reason.CONTAINED)
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
    acceleration : Acceleration or None
        The ramp of demand, where one is configured and asked.
    switches : int
        The policies' states, packed (:mod:`policies.switches`).
    is_limiting : bool
        Whether anybody waits for a place.
    faults : Faults
        Where a policy's fault is counted; the gate puts its own here.
    """

    __slots__ = (
        "_aside",
        "_kept_from_crowd",
        "_ramp",
        "acceleration",
        "containment",
        "faults",
        "herd",
        "holdback",
        "is_calm",
        "is_limiting",
        "quota",
        "scope",
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
        self._ramp = Acceleration(acceleration) if acceleration is not None else None
        self.acceleration: Acceleration | None = None
        self.quota = Quota()
        self.scope = RefusalScope()
        self.holdback = Holdback(holdback_share)
        self.is_calm = self._ramp is None and not holdback_share
        self._kept_from_crowd = 0
        self._aside: set[Part] = set()
        self.faults = Faults()
        self.switch(states.pack())

    def switch(self, switches: int) -> None:
        """Set every policy's state, as packed by :mod:`policies.switches`."""
        self.switches = switches
        self.is_limiting = state_of(switches, Policy.LIMIT) == GOVERN
        is_off = state_of(switches, Policy.ACCELERATION) == OFF
        self.acceleration = None if is_off else self._ramp

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
        if state_of(switches, Policy.CONTAIN) <= strongest and Part.CONTAIN not in self._aside:
            try:
                if self.containment.is_hung(arrival.kind):
                    return Band.HUNG
                if self.containment.is_long(arrival.kind):
                    return Band.LONG
            except Exception:
                self._step_aside(Part.CONTAIN)
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
        is_free = in_flight < limit and self.has_quota
        is_free = is_free or not self._binds(Policy.LIMIT, as_seen)
        if self.acceleration is not None and self._binds(Policy.ACCELERATION, as_seen):
            is_free = is_free and self._may_accelerate()
        for_long, for_hung = self._room_for_contained(limit)
        return Room(is_free, for_long, in_flight < limit - self._kept_from_crowd, for_hung)

    @property
    def has_quota(self) -> bool:
        """Whether the quota, if one is known, lets a call be sent now."""
        return self.quota.has_room or Part.QUOTA in self._aside

    def fill(self, now_ns: int) -> None:
        """Let time fill the quota's bucket."""
        try:
            self.quota.fill(now_ns)
        except Exception:
            self._step_aside(Part.QUOTA)

    def _may_accelerate(self) -> bool:
        acceleration = self.acceleration
        if acceleration is None or Part.ACCELERATION in self._aside:
            return True
        try:
            return acceleration.has_room
        except Exception:
            self._step_aside(Part.ACCELERATION)
            return True

    def _room_for_contained(self, limit: int) -> tuple[bool, bool]:
        """Return whether the long, and the hung, hold less than they may."""
        if Part.CONTAIN in self._aside:
            return True, True
        containment = self.containment
        try:
            kept = containment.kept_places
            for_long = not kept or containment.n_long < limit - kept
            return for_long, containment.has_room_for_hung
        except Exception:
            self._step_aside(Part.CONTAIN)
            return True, True

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
        return Reason.ACCELERATING if self.has_quota else Reason.OVER_QUOTA

    def opened(self, now_ns: int, lease: Lease) -> None:
        """Note that a request has been given a place.

        A ramp that only observes counts what it would have let through, no more; one that is off
        counts all, to know where demand stands when it is asked again.
        """
        try:
            self.containment.open(now_ns, lease.arrival.kind)
        except Exception:
            self.faults.note(Part.CONTAIN)
        try:
            self.quota.take()
            if self.scope.is_watching:
                self.scope.on_sent(now_ns, lease.arrival.kind, lease.arrival.tenant)
        except Exception:
            self.faults.note(Part.QUOTA)
        ramp = self._ramp
        if ramp is not None:
            if self._binds(Policy.ACCELERATION) or self._may_accelerate():
                self.faults.tell(Part.ACCELERATION, ramp.take)

    def closed(
        self, now_ns: int, kind: int, dispatched_at_ns: int, is_answered: bool = True
    ) -> None:
        """Note that the place is free again."""
        held_ns = now_ns - dispatched_at_ns
        close = self.containment.close
        self.faults.tell(Part.CONTAIN, close, kind, dispatched_at_ns, held_ns, is_answered)

    @property
    def kept_from_crowd(self) -> int:
        """Places that a crowd leaves to those who come by themselves."""
        return self._kept_from_crowd

    def tick(
        self, now_ns: int, limit: int, own_hz: float, offset: float = 0.0, n_parts: int = 1
    ) -> None:
        """Weigh anew what is kept for whom.

        Parameters
        ----------
        own_hz : float
            Arrivals per second that are expected of those who come by themselves.
        offset : float
            As of :meth:`Herd.kept_places`.
        n_parts : int
            As of :meth:`Herd.tick`.
        """
        weighed = (now_ns, limit, own_hz, offset, n_parts)
        self._kept_from_crowd = self.faults.ask(Part.HOLD, 0, self._weigh_crowd, *weighed)
        self._ask_again(Part.CONTAIN, self.containment.tick, now_ns, limit)
        if (ramp := self._ramp) is not None:
            is_asked = self.acceleration is not None
            self._ask_again(Part.ACCELERATION, ramp.tick if is_asked else ramp.follow, now_ns)
        contains = not self.containment.is_idle and Part.CONTAIN not in self._aside
        is_paced = self.quota.is_known or self._ramp is not None  # off, it still counts
        is_paced = is_paced or self.scope.is_watching  # calls sent are to be told of
        self.is_calm = not (contains or is_paced or self.holdback.share)

    def refused(
        self, now_ns: int, lease: Lease, n_accepted: int, *, is_for_places: bool = False
    ) -> None:
        """Note a refusal of the upstream, one for want of places or another.

        ``n_accepted`` as of :meth:`Quota.on_refused`.
        """
        arrival, sent_at_ns = lease.arrival, lease.dispatched_at_ns
        tell = self.faults.tell
        if not is_for_places:
            tell(Part.QUOTA, self.quota.on_refused, now_ns, sent_at_ns, n_accepted)
        tell(Part.QUOTA, self.scope.on_refused, now_ns, sent_at_ns, arrival.kind, arrival.tenant)
        self.is_calm = False

    def is_partial(self, now_ns: int) -> bool:
        """Return whether refusals were found to spare some callers; a quota is then forgotten."""
        is_partial = self.faults.ask(Part.QUOTA, False, self.scope.tick, now_ns)
        if is_partial:
            self.faults.tell(Part.QUOTA, self.quota.doubt, now_ns)
        return is_partial

    def returning_hz(self, now_ns: int, kind: int, capacity_hz: float, organic_hz: float) -> float:
        """Return what callers of one kind are invited for, beside ``organic_hz``.

        The upstream's capacity. But where its refusals spare some, what is short lies behind it
        and has a capacity that nobody knows; no less than what is usually asked of it.
        """
        if now_ns >= self.scope.partial_until_ns:
            return capacity_hz
        known = self.containment.kinds.get(kind)
        usual_hz = known.hang.told_hz if known is not None else 0.0
        bound_hz = organic_hz + RETURNING_SHARE * usual_hz
        return min(capacity_hz or bound_hz, bound_hz) if usual_hz else capacity_hz

    def pace(self, now_ns: int, is_waiting: bool) -> bool:
        """Weigh what was refused lately; return whether a rate is what is short."""
        return self._ask_again(Part.QUOTA, self.quota.tick, now_ns, is_waiting) and (
            self.quota.is_known
        )

    def bound_hz(self, capacity_hz: float) -> float:
        """Return a capacity, but no more than the quota."""
        if Part.QUOTA in self._aside:
            return capacity_hz
        return self.faults.ask(Part.QUOTA, capacity_hz, self.quota.bound_hz, capacity_hz)

    def _weigh_crowd(
        self, now_ns: int, limit: int, own_hz: float, offset: float, n_parts: int
    ) -> int:
        self.herd.tick(now_ns, n_parts)
        return self.herd.kept_places(limit, own_hz, offset)

    def _step_aside(self, part: Part) -> None:
        """Count a fault; what raised binds nobody until a tick of it has gone well."""
        self.faults.note(part)
        self._aside.add(part)

    def _ask_again(
        self, part: Part, tick: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> bool:
        """Let a policy tick; return whether it did, and so is heeded."""
        if self.faults.tell(part, tick, *args, **kwargs):
            self._aside.discard(part)
            return True
        self._aside.add(part)
        return False

    def _binds(self, policy: Policy, as_seen: bool = False) -> bool:
        """Whether a policy of the whole upstream is heeded."""
        state = state_of(self.switches, policy)
        return state == GOVERN or (as_seen and state != OFF)
