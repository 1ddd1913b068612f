"""What a gate is made of, and what may be read of it at any time.

*Rule of this file*: parts and readings; nothing happens here. What happens to
a request is :mod:`governor.core.gate`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

from governor.core.bands import Room
from governor.core.dispatcher import Dispatcher
from governor.core.endpoint import Endpoint
from governor.core.faults import Part
from governor.core.lease import Decision
from governor.core.ledger import Ledger
from governor.core.newcomers import Newcomers
from governor.core.others import Others
from governor.core.outlook import Outlook
from governor.core.recording import Recording
from governor.core.refused import Refused
from governor.core.reservations import Reservations
from governor.core.rest import QUIET_NS, TICK_NS, may_rest
from governor.core.restraint import Restrained
from governor.core.shaping import Shaping
from governor.core.shed import Shed
from policies.decision import Action, Outcome, Reason
from policies.switches import GOVERN, OBSERVE, POLICY_OF, observe_all, state_of

if TYPE_CHECKING:
    from governor.core.gate import Gate
    from governor.core.identity import Identities
    from governor.core.lease import Lease
    from policies.ejection import Verdict
    from policies.limit import Limit
    from signals import SignalBank


_NOT_ACCEPTED: Final = (Outcome.REFUSED, Outcome.UNSENT, Outcome.COALESCED)


class InterventionLog(Protocol):
    """Takes note of what the gate did to a request that it did not just admit."""

    def append(self, now_ns: int, gate: Gate, decision: Decision, waited_ns: int) -> None:
        """Record one intervention."""


class GateParts:
    """What the gate of one upstream is made of.

    Parameters
    ----------
    name : str
        The upstream's name in the configuration.
    limits : sequence of Limit
        One per endpoint.
    signals : SignalBank
    identities : Identities
        Shared by all gates of the process.
    is_observing : bool
        Decide the same, do nothing: every policy that is on observes.
    patience_ns, max_wait_ns, slot_horizon_ns : int
    max_waiting : int
    shaping : Shaping, optional
        Who yields to whom; by default as configured by default.

    Attributes
    ----------
    rests : bool
        Whether ticks may be left out until something happens (:mod:`governor.core.rest`).
    ticked_ns : int
        When the last tick was due.
    outlook : Outlook
        What the next moments bring, as of the last tick.
    others : Others
        What the other governors of the fleet have at this upstream; nothing where there are none.
    fallback : Gate or None
        Of the upstream to ask where this one is out of use (:mod:`governor.core.spread`).
    recording : Recording or None
        What writes down all that it is told and decides, where something does.
    """

    __slots__ = (  # more than a dictionary shared by instances holds: 4 % of the gate
        "_active_ns",
        "_boundary_ns",
        "_compare",
        "_compares",
        "_herd",
        "_kinds",
        "_known_vain",
        "_meet_kind",
        "_n_arrived_then",
        "_n_calls_by_flow",
        "_n_held_by_tenant",
        "_n_open_by_flow",
        "_n_open_by_tenant",
        "_n_open_by_tree",
        "_n_retries_by_flow",
        "_now_ns",
        "_only",
        "_restraints",
        "_signal_arrival",
        "_signal_later",
        "_signals_root",
        "dispatcher",
        "endpoints",
        "fallback",
        "faults",
        "identities",
        "is_observing",
        "ledger",
        "line",
        "log",
        "name",
        "newcomers",
        "others",
        "outlook",
        "patience",
        "recording",
        "refused",
        "reservations",
        "restrained",
        "rests",
        "roots",
        "shaping",
        "shed",
        "signals",
        "ticked_ns",
    )

    def __init__(
        self,
        name: str,
        limits: Sequence[Limit],
        signals: SignalBank,
        identities: Identities,
        *,
        is_observing: bool = False,
        patience_ns: int = 10_000_000_000,
        max_wait_ns: int = 30_000_000_000,
        max_waiting: int = 10_000,
        slot_horizon_ns: int = 60_000_000_000,
        shaping: Shaping | None = None,
        log: InterventionLog | None = None,
    ) -> None:
        self.name = name
        self.ledger = Ledger()
        self.faults = self.ledger.faults
        self.endpoints = [Endpoint(idx, limit, self.faults) for idx, limit in enumerate(limits)]
        self.signals = signals
        self.identities = identities
        self.is_observing = is_observing
        self.dispatcher = Dispatcher(
            patience_ns, max_wait_ns, max_waiting, identities.tenants.capacity + 1
        )
        self.line = self.dispatcher.line
        self.patience = self.dispatcher.patience
        self.reservations = Reservations(slot_horizon_ns)
        self.refused = Refused(self)
        self.restrained = Restrained(self)
        self.shaping = shaping or Shaping()
        self.shaping.faults = self.faults
        if is_observing:
            self.shaping.switch(observe_all(self.shaping.switches))
        self.newcomers = Newcomers()
        self.roots = identities.roots
        self.shed = Shed()
        self._known_vain: frozenset[Lease] = frozenset()
        self.log = log
        # bound once: each look-up saved is one per request
        self._signals_root = signals.root
        self._signal_arrival = signals.arrive
        self._signal_later = signals.note
        self._boundary_ns = signals.boundary_ns  # at most theirs: then they are asked in vain
        self._n_held_by_tenant = self.line.held
        self._n_open_by_tenant = identities.tenants.n_open
        self._n_open_by_flow = identities.flows.n_open
        self._n_open_by_tree = identities.trees.n_open
        self._n_calls_by_flow = identities.flows.n_calls
        self._n_retries_by_flow = identities.flows.n_retries
        self._restraints = identities.restraints
        self.restrained.by_flow = identities.restraints
        self._herd = self.shaping.herd
        self._kinds = self.shaping.containment.kinds
        self._meet_kind = self.shaping.containment.meet
        self._compares = self.shaping.holdback.share > 0.0
        self._compare = self.shaping.holdback.close
        self._only = self.endpoints[0] if len(self.endpoints) == 1 else None
        self._now_ns = 0
        self.rests = False
        self.ticked_ns = self._active_ns = 0
        self._n_arrived_then = -1
        self.outlook = Outlook()
        self.others = Others()
        self.fallback: Gate | None = None
        self.recording: Recording | None = None

    @property
    def now_ns(self) -> int:
        """The latest instant that it was told of."""
        return self._now_ns

    @property
    def in_flight(self) -> int:
        """Open leases over all endpoints, exempt ones included."""
        return sum(endpoint.in_flight + endpoint.n_exempt for endpoint in self.endpoints)

    @property
    def limit(self) -> int:
        """Sum of the endpoints' limits."""
        return sum(endpoint.limit.limit for endpoint in self.endpoints)

    @property
    def line_length(self) -> int:
        """Requests that wait."""
        return self.line.n_live

    @property
    def best_capacity_hz(self) -> float:
        """Best-known capacity over all endpoints, requests per second; 0 if unknown."""
        ask, now_ns = self.faults.ask, self._now_ns
        best_hz = sum(
            ask(Part.LIMIT, 0.0, x.limit.best_capacity_hz, now_ns) for x in self.endpoints
        )
        return self.shaping.bound_hz(best_hz)

    @property
    def organic_hz(self) -> float:
        """Fresh demand that goes on: a herd of the last seconds is none, though all are fresh."""
        return self.own_organic_hz + self.others.organic_hz

    @property
    def own_organic_hz(self) -> float:
        """That part of it which comes by this governor."""
        signals = self.signals
        try:
            return min(signals.organic_hz(), min(signals.forecast_hz()))
        except Exception:
            self.faults.note(Part.SIGNALS)
            return 0.0

    @property
    def n_accepted(self) -> int:
        """Calls sent since the start, less those that the upstream refused."""
        n_by_outcome = self.ledger.n_by_outcome
        n_closed = sum(n_by_outcome) - sum(n_by_outcome[x] for x in _NOT_ACCEPTED)
        return self.in_flight + n_closed

    @property
    def n_free(self) -> int:
        """Places free for the calls of others: none while anyone waits, or on what is out."""
        if self.line.n_live:
            return 0
        return sum(max(0, x.limit.limit - x.in_flight) for x in self.endpoints if not x.is_out)

    def switch(self, switches: int, is_observing: bool) -> None:
        """Set every policy's state from now on; who waits already goes on waiting."""
        if self.recording is not None:
            self.recording.note_switch(self._now_ns, switches, is_observing)
        self.is_observing = is_observing
        self.shaping.switch(switches)

    def _reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """Move a call that its endpoint failed: not from a single one (governor.core.spread)."""
        return None, ()

    def given_back(self, now_ns: int, lease: Lease) -> None:
        """Learn from a refusal that its caller does not see; a single endpoint has no choice."""

    def may(self, now_ns: int, lease: Lease, reason: Reason) -> bool:
        """Whether the policy behind a reason may act on a request; counted if it only observes."""
        state = state_of(self.shaping.switches_of(lease.arrival), POLICY_OF[reason])
        if state == OBSERVE:
            self.saw(now_ns, lease, reason)
        return state == GOVERN

    def saw(self, now_ns: int, lease: Lease, reason: Reason) -> Decision:
        """Take note of what a policy that only observes would have done; return what is done."""
        self.ledger.n_observed[reason] += 1
        decision = Decision(Action.ADMIT, Reason.OBSERVED, lease, observed=reason)
        self.note(now_ns, decision)
        return decision

    def note(self, now_ns: int, decision: Decision, waited_ns: int = 0) -> None:
        """Tell the log of an intervention."""
        if self.log is not None:
            self.faults.tell(
                Part.LOG, self.log.append, now_ns, cast("Gate", self), decision, waited_ns
            )

    def _unheeded(self, lease: Lease, endpoint: Endpoint, is_crowd: bool) -> Reason | None:
        """Return why a request that may go would wait, did what observes govern; else None."""
        shaping = self.shaping
        band = shaping.band(lease, is_crowd, as_seen=True)
        room = self._room(as_seen=True)
        if room.opens_to(band) and not self.line.n_ahead(band):
            return None
        return shaping.reason(band, room, endpoint.in_flight < endpoint.limit.limit)

    def _weigh_rest(self, now_ns: int) -> None:
        """See at a tick whether the next ones may be left out."""
        n_arrived = self.ledger.n_arrived
        if n_arrived != self._n_arrived_then or any(x.in_flight for x in self.endpoints):
            self._n_arrived_then, self._active_ns = n_arrived, now_ns
            self.rests = False
        elif now_ns - self._active_ns >= QUIET_NS:
            self.rests = self.faults.ask(Part.GATE, False, may_rest, self, now_ns)

    def _wake(self, now_ns: int) -> None:
        """Make up for the ticks that were left out, before anything happens."""
        n_missed = (now_ns - self.ticked_ns) // TICK_NS
        if n_missed > 0:
            # unrecorded: whoever replays what wakes it makes up for them likewise
            cast("Gate", self)._tick(self.ticked_ns + n_missed * TICK_NS)
        self.rests = False

    def _clamp(self, now_ns: int) -> int:
        if now_ns < self._now_ns:
            return self._now_ns
        self._now_ns = now_ns
        return now_ns

    def _opened(self, now_ns: int, lease: Lease) -> None:
        """Note that a request has been given a place."""
        self.shaping.opened(now_ns, lease)
        self._n_held_by_tenant[lease.arrival.tenant] += 1

    def unanswered(self, now_ns: int, lease: Lease) -> None:
        """Note that the place of a call that has got no answer is free again."""
        arrival = lease.arrival
        self._n_held_by_tenant[arrival.tenant] -= 1
        self.shaping.closed(now_ns, arrival.kind, lease.dispatched_at_ns, is_answered=False)
        self.faults.tell(Part.LINE, self.line.released, arrival.tenant)

    def _room(self, as_seen: bool = False) -> Room:
        """Return whom a place is open to now; ``as_seen`` as if what observes governed."""
        self.shaping.fill(self._now_ns)
        only = self._only
        if only is not None:
            return self.shaping.room(only.limit.limit, only.in_flight, as_seen)
        # what one endpoint has beyond a limit that has just fallen takes no place of another
        taken = sum(min(x.in_flight, x.limit.limit) for x in self.endpoints)
        return self.shaping.room(self.limit, taken, as_seen)

    def _pick(self, now_ns: int, lease: Lease) -> Endpoint:
        """Return the endpoint for a call, of several; one without room only where none has any."""
        return min(self.endpoints, key=lambda x: x.in_flight / x.limit.limit)
