"""What becomes of a request for which there is no place at once: admit, wait, send away.

*Rule of this file*: the ways that are not the short one of
:meth:`governor.core.gate.Gate.arrive`; each ends in one decision with its reason.
"""

from __future__ import annotations

from typing import Final

from governor.core.bands import NO_ROOM, Band, Room
from governor.core.endpoint import Endpoint
from governor.core.faults import Part
from governor.core.lease import Decision, Lease
from governor.core.line import INVITED
from governor.core.refused import Returning
from governor.core.telling import Telling
from policies.decision import Action, Reason
from signals import REFUSED

STATUS_WAIT: Final = 429
"""Capacity exists and is taken: come back at your slot (RFC 6585 section 4)."""

_ADMIT: Final = Action.ADMIT


class Admission(Telling):
    """The longer ways of a gate; made as :class:`~governor.core.parts.GateParts` says."""

    def _consider(self, now_ns: int, lease: Lease, endpoint: Endpoint, is_crowd: bool) -> Decision:
        """Admit a request for which there is room, let it wait, or send it away."""
        shaping = self.shaping
        reason, may_go = Reason.UNTOUCHED, True
        unheeded: Reason | None = None
        if self.is_held_back(lease.arrival.flow):
            reason = Reason.HELD_BACK
        else:
            try:
                is_crowd = is_crowd and lease.line_key != INVITED  # what was promised is kept
                band = shaping.band(lease, is_crowd)
                has_place = endpoint.in_flight < endpoint.limit.limit or not shaping.is_limiting
                is_full = not has_place and shaping.is_calm and self._only is not None
                room = NO_ROOM if is_full else self._room()
                is_first = not self.line.n_ahead(band)
                may_go = is_first and (room.opens_to(band) or self._goes_ahead(band, endpoint))
                if may_go and shaping.observes(lease.arrival):
                    unheeded = self._unheeded(lease, endpoint, is_crowd)
            except Exception:
                self.faults.note(Part.SHAPING)
                may_go = True
        if may_go:
            decision = self._admit(now_ns, lease, endpoint, reason, unheeded)
        else:
            decision = self._wait(now_ns, lease, band, shaping.reason(band, room, has_place))
        if self.recording is not None:
            self.recording.note_said(decision)
        return decision

    def _admit(
        self,
        now_ns: int,
        lease: Lease,
        endpoint: Endpoint,
        reason: Reason,
        unheeded: Reason | None = None,
    ) -> Decision:
        """Give a place on arrival, or, where nothing is held, one beyond the limit."""
        is_bound = endpoint.in_flight + 1 >= endpoint.limit.limit
        endpoint.open(now_ns, lease, is_bound)
        self._opened(now_ns, lease)
        if unheeded is not None:
            return self.saw(now_ns, lease, unheeded)
        if reason is Reason.UNTOUCHED:
            self.ledger.n_untouched += 1
        else:
            self.ledger.n_held_back += 1
        return Decision(_ADMIT, reason, lease)

    def _goes_ahead(self, band: Band, endpoint: Endpoint) -> bool:
        """Whether a call takes the next place to come free, which a crowd waits for, before it is.

        Of a fleet's places only ours are seen to come free, and meanwhile others give theirs to
        the same crowd: one governor alone would have had a place for this call sooner.
        """
        if band is not Band.OWN or not self.shaping.is_calm or not self.line.length(Band.CROWD):
            return False
        limit = endpoint.limit
        return 0 <= endpoint.in_flight - limit.limit < limit.n_ahead

    def _wait(self, now_ns: int, lease: Lease, band: Band, reason: Reason) -> Decision:
        if self.dispatcher.is_full:
            return self.send_away(now_ns, lease, Reason.LINE_FULL)
        arrival = lease.arrival
        service_s = self.dispatcher.response_ns * 1e-9
        attained_s = self.identities.attained_s(arrival.flow, arrival.tree, service_s)
        if self.identities.is_newcomer(arrival.flow):
            charge = self.newcomers.charge
            before_s = self.faults.ask(Part.LINE, 0.0, charge, now_ns, arrival.tenant, service_s)
            attained_s = max(attained_s, before_s)
        if (decision := self.join(now_ns, lease, attained_s, band)) is not None:
            return decision
        self.ledger.n_waited_for[reason] += 1
        return Decision(Action.WAIT, reason, lease)

    def join(self, now_ns: int, lease: Lease, attained_s: float, band: Band) -> Decision | None:
        """Let a request stand in the line; where there is none to stand in, admit it instead."""
        if self.faults.tell(Part.LINE, self.dispatcher.join, now_ns, lease, attained_s, band):
            return None
        endpoint = self._only or self._pick(now_ns, lease)
        return self._admit(now_ns, lease, endpoint, Reason.UNTOUCHED)

    def band(self, lease: Lease) -> Band:
        """Return the band of a call that was with the gate before: it is in no crowd any more."""
        return self.faults.ask(Part.SHAPING, Band.OWN, self.shaping.band, lease, False)

    def is_held_back(self, flow: int) -> bool:
        """Whether a caller is not governed at all, for comparison."""
        if not self._compares:
            return False
        return self.faults.ask(Part.HOLDBACK, False, self.shaping.holdback.is_held_back, flow)

    def _dispatch(self, now_ns: int) -> list[Decision]:
        """Fill every place that is open to somebody who waits; return what was decided."""
        decisions: list[Decision] = []
        dispatcher, only = self.dispatcher, self._only
        is_limiting = self.shaping.is_limiting
        while True:
            if is_limiting and only is not None and only.in_flight >= only.limit.limit:
                break  # mostly: the place that came free is taken again
            lease = self._first(now_ns)
            if lease is None:
                break
            endpoint = self._only or self._pick(now_ns, lease)
            if is_limiting and endpoint.in_flight >= endpoint.limit.limit:
                break
            if dispatcher.is_too_late(now_ns, lease):
                decisions.append(self.send_away(now_ns, lease, Reason.PATIENCE_SPENT))
                continue
            self.faults.tell(Part.LINE, dispatcher.take, lease)
            waited_ns = now_ns - lease.waits_since_ns
            self.ledger.waited_s += waited_ns * 1e-9
            endpoint.open(now_ns, lease, is_bound=True)
            self._opened(now_ns, lease)
            reason = Reason.ABSORBED if isinstance(lease, Returning) else Reason.CAPACITY_FREED
            decision = Decision(_ADMIT, reason, lease)
            self.note(now_ns, decision, waited_ns)
            decisions.append(decision)
        return decisions

    def _first(self, now_ns: int) -> Lease | None:
        """Return who goes next; where there is no order, whose wait would end first."""
        only = self._only
        try:
            room = self._room()
        except Exception:
            self.faults.note(Part.SHAPING)
            has_room = only.has_room if only is not None else True
            room = Room(has_room, True, True)
        try:
            return self.dispatcher.first(now_ns, room)
        except Exception:
            self.faults.note(Part.LINE)
            return self.dispatcher.most_urgent() if room.is_free else None

    def send_away(self, now_ns: int, lease: Lease, reason: Reason) -> Decision:
        """Close a pending lease with an invitation to come back."""
        retry_after_ns = self.refused.invite(now_ns, lease.arrival, lease.arrived_at_ns)
        is_waiting = lease.line_key >= 0
        self.settle(now_ns, lease, REFUSED, retry_after_ns)
        self.ledger.n_answered[reason] += 1
        decision = Decision(Action.ANSWER, reason, lease, retry_after_ns, STATUS_WAIT)
        self.note(now_ns, decision, now_ns - lease.arrived_at_ns if is_waiting else 0)
        return decision
