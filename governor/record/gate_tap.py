"""Listens at one gate: what it was told and decided goes into the ring.

*Rule of this file*: attaching puts the tap's methods in place of the gate's own on that one object;
each does as the gate's own does, and writes. Being off costs nothing at all.

*Theory*: nearly every request is an arrival that is let through untouched, a first byte and an
end. These are no methods of the gate that are stood in for: the gate tells the signals of them,
and the signals write them down (:mod:`signals.taped`), the arrival as let through. What is
decided otherwise, on the gate's longer ways, is put into its record afterwards.

*Cost*: of an untouched request a call of Python, a place in the list of ids and twelve numbers
more for the signals (``python -m bench record``).
*Considered and rejected*: standing in for ``arrive`` and ``depart`` and packing both records
here, three times the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from governor.core.arrival import Arrival
from governor.core.endpoint import Endpoint
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease
from governor.record.events import (
    BEGIN,
    BOOKED,
    DECISION,
    DELAY_AT,
    END,
    REASON_CODE,
    SAID,
    WHOLE,
    Kind,
    get_shape,
)
from governor.record.refusals import RecordedRefused, RecordedRestrained, number_of, numbered
from policies.decision import Outcome, Reason
from policies.ejection import Verdict
from signals import FIRST_BYTE, arrive_taped, note_taped
from signals.kernel import get_entry

if TYPE_CHECKING:
    from governor.record.tap import Tap

_ARRIVE: Final = int(Kind.ARRIVE)
_MEMBER: Final = int(Kind.MEMBER)
_pack_whole, _pack_end, _pack_begin = WHOLE.pack_into, END.pack_into, BEGIN.pack_into
_pack_decision, _pack_said = DECISION.pack_into, SAID.pack_into

_METHODS: Final = (
    *("adopt", "leave", "lose", "observe_quota", "reroute", "sent_late"),
    *("switch", "tick", "_consider", "_exempt", "_meet_exempt", "_part_exempt"),
    *("_spread", "_succeed"),
)
"""What the tap stands in for; here without the leading underscore, as ``consider`` and so on."""


class GateTap:
    """Stands in front of one gate, and is its :class:`~governor.core.recording.Recording`.

    Attributes
    ----------
    arrive, end : Callable
        The signals' entrances, with the tape.
    """

    def __init__(self, tap: Tap, gate: Gate, idx: int) -> None:
        self.tap = tap
        self.idx = idx
        self._gate = gate
        self._own: dict[str, Callable[..., Any]] = {x: getattr(gate, x) for x in _METHODS}
        kinds = (Kind.ARRIVE, Kind.ANSWERED, Kind.DECIDE, Kind.DEPART)
        codes = (kind | idx << 8 for kind in kinds)
        self._arrive_code, self._answered_code, self._decide_code, self._depart_code = codes
        self._tape, self._tape_root = tap.ring.make_tape(idx)
        signals_root: Any = gate.signals.root
        self.arrive = make_arrive(tap, signals_root, self._tape)
        self.end = partial(get_entry(note_taped), signals_root, self._tape)
        self._signals = gate.signals

    def attach(self) -> None:
        """Listen from now on."""
        gate = self._gate
        gate.refused = RecordedRefused(gate, self)
        gate.restrained = RecordedRestrained(gate, self)
        for name in _METHODS:
            setattr(gate, name, getattr(self, name.lstrip("_")))
        gate.recording = self

    # -- arrivals ---------------------------------------------------------------

    def consider(self, now_ns: int, lease: Lease, endpoint: Endpoint, is_crowd: bool) -> Decision:
        """As the gate's own."""
        decision: Decision = self._own["_consider"](now_ns, lease, endpoint, is_crowd)
        self.note_said(decision)
        return decision

    def spread(self, now_ns: int, lease: Lease, is_crowd: bool) -> Decision:
        """As the gate's own; which endpoint takes it is put into the record even if untouched."""
        decision: Decision = self._own["_spread"](now_ns, lease, is_crowd)
        self.note_said(decision)
        return decision

    def exempt(self, now_ns: int, arrival: Arrival, owner: Any) -> Decision:
        """As the gate's own."""
        decision: Decision = self._own["_exempt"](now_ns, arrival, owner)
        self.note_said(decision)
        return decision

    def meet_exempt(self, now_ns: int, arrival: Arrival, owner: Any) -> Lease:
        """As the gate's own; the signals are not told of it."""
        lease: Lease = self._own["_meet_exempt"](now_ns, arrival, owner)
        lease.call = self.note_arrival(now_ns, arrival, owner, lease.call)
        return lease

    def adopt(
        self, now_ns: int, arrival: Arrival, owner: Any = None, endpoint_idx: int = 0
    ) -> Lease:
        """As the gate's own; an arrival that was booked."""
        lease: Lease = self._own["adopt"](now_ns, arrival, owner, endpoint_idx)
        reason = REASON_CODE[Reason.EXEMPT if arrival.is_exempt else Reason.UNTOUCHED]
        self._put_said(0, 0, reason, BOOKED, endpoint_idx)
        return lease

    def note_arrival(self, now_ns: int, arrival: Arrival, owner: Any, call: int) -> int:
        """Write an arrival that the signals have not; return what its call is from now on."""
        tap = self.tap
        ring = tap.ring
        number = ring.take_number()
        try:
            head = (now_ns, number, 0, 0, _ARRIVE, self.idx, 0, 0, 0, 0)
            ring.begin_arrival()
            _pack_whole(ring.memory, ring.offset, *head, *get_shape(arrival))
            ring.step()
            tap.note_id(owner)
        except Exception:
            tap.n_faults += 1
        return numbered(call, number)

    def note_said(self, decision: Decision | None) -> Decision | None:
        """Put into the latest arrival's record what was decided about it, if anything was."""
        if decision is not None:
            lease = decision.lease
            if not number_of(lease):  # turned away at once, told to nobody
                args = (lease.arrived_at_ns, lease.arrival, lease.owner, lease.call)
                lease.call = self.note_arrival(*args)
            self._put_said(
                decision.retry_after_ns,
                decision.action,
                REASON_CODE[decision.reason],
                decision.status,
                lease.endpoint_idx,
            )
        return decision

    def _put_said(
        self, delay_ns: int, action: int, reason: int, status: int, endpoint: int
    ) -> None:
        ring = self.tap.ring
        place = ring.arrival_offset + DELAY_AT
        try:
            said = (delay_ns, self._arrive_code, action, reason, status, endpoint)
            _pack_said(ring.memory, place, *said)
        except Exception:
            self.tap.n_faults += 1

    def note_member(self, lease: Lease) -> None:
        """Write the arrival of a caller that shares another's call; the gate has not seen it."""
        tap = self.tap
        number = tap.ring.take_number()
        lease.call = numbered(lease.call, number)
        try:
            head = (lease.arrived_at_ns, number, 0, 0, _MEMBER, self.idx, 0, 0, 0, 0)
            _pack_whole(tap.ring.memory, tap.ring.offset, *head, *get_shape(lease.arrival))
            tap.ring.step()
        except Exception:
            tap.n_faults += 1

    # -- first bytes and ends ------------------------------------------------------

    def begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Tell the signals of a first byte; they write it."""
        signals = self._signals
        try:
            if now_ns >= signals.boundary_ns:
                signals.advance(now_ns)
            self.end(FIRST_BYTE, now_ns, lease.call, 0, 0, status)
        except Exception:
            self._gate.faults.note(Part.SIGNALS)
            self.note_begin(now_ns, lease, status)

    def note_begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Write a first byte that the signals have not."""
        ring = self.tap.ring
        try:
            begin = (now_ns, number_of(lease), self._answered_code, status)
            _pack_begin(ring.memory, ring.offset, *begin)
            ring.step()
        except Exception:
            self.tap.n_faults += 1

    def part_exempt(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int
    ) -> Sequence[Decision]:
        """As the gate's own; the signals are not told of it."""
        self.note_end(now_ns, lease, outcome, status, 0)
        decisions: Sequence[Decision] = self._own["_part_exempt"](now_ns, lease, outcome, status)
        self.note_all(now_ns, decisions)
        return decisions

    def succeed(self, now_ns: int, tenant: int) -> Sequence[Decision]:
        """As the gate's own."""
        decisions: Sequence[Decision] = self._own["_succeed"](now_ns, tenant)
        self.note_all(now_ns, decisions)
        return decisions

    def note_end(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int, retry_after_ns: int
    ) -> None:
        """Write an end that the signals have not."""
        ring, number = self.tap.ring, number_of(lease)
        try:
            end = (now_ns, number, retry_after_ns, self._depart_code, outcome, status)
            _pack_end(ring.memory, ring.offset, *end)
            ring.step()
        except Exception:
            self.tap.n_faults += 1

    # -- the rest ---------------------------------------------------------------

    def lose(self, now_ns: int, lease: Lease) -> None:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.LEAVE, self.idx, number_of(lease), action=1)
        self._own["lose"](now_ns, lease)

    def sent_late(self, lease: Lease, late_ns: int) -> None:
        """As the gate's own; at the latest instant that it was told of."""
        number = number_of(lease)
        self.tap.note(self._gate.now_ns, Kind.LATE, self.idx, number, delay_ns=late_ns)
        self._own["sent_late"](lease, late_ns)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.LEAVE, self.idx, number_of(lease))
        decisions: Sequence[Decision] = self._own["leave"](now_ns, lease)
        self.note_all(now_ns, decisions)
        return decisions

    def tick(self, now_ns: int) -> Sequence[Decision]:
        """As the gate's own."""
        self.tap.ring.write_checksums()
        self.tap.note(now_ns, Kind.TICK, self.idx)
        decisions: Sequence[Decision] = self._own["tick"](now_ns)
        self.note_all(now_ns, decisions)
        return decisions

    def switch(self, switches: int, is_observing: bool) -> None:
        """As the gate's own; at the latest instant that it was told of."""
        now_ns = self._gate.now_ns
        self.tap.note(now_ns, Kind.SWITCH, self.idx, switches, action=int(is_observing))
        self._own["switch"](switches, is_observing)

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.QUOTA, self.idx, delay_ns=reset_ns, endpoint=kind)
        self.tap.write_tail(tenant, limit, remaining, 0)
        self._own["observe_quota"](now_ns, tenant, kind, limit, remaining, reset_ns)

    def reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.REROUTE, self.idx, number_of(lease), endpoint=int(verdict))
        decision: Decision | None
        followers: Sequence[Decision]
        decision, followers = self._own["reroute"](now_ns, lease, verdict)
        if decision is not None:
            self.note_decision(now_ns, decision)
        self.note_all(now_ns, followers)
        return decision, followers

    def note_all(self, now_ns: int, decisions: Sequence[Decision]) -> None:
        """Write each of several decisions."""
        for decision in decisions:
            self.note_decision(now_ns, decision)

    def note_decision(self, now_ns: int, decision: Decision) -> None:
        """Write what was decided about a lease that was there before."""
        tap = self.tap
        ring = tap.ring
        lease = decision.lease
        try:
            _pack_decision(
                ring.memory,
                ring.offset,
                now_ns,
                number_of(lease),
                decision.retry_after_ns,
                self._decide_code,
                decision.action,
                REASON_CODE[decision.reason],
                decision.status,
                lease.endpoint_idx,
            )
            ring.step()
        except Exception:
            tap.n_faults += 1


def make_arrive(tap: Tap, signals_root: Any, tape: Any) -> Callable[[int, Arrival, Any], int]:
    """Return what tells the signals of an arrival and writes it, its look-ups done beforehand."""
    arrive, keep_id = get_entry(arrive_taped), tap.ring.ids.append

    def told(now_ns: int, arrival: Arrival, owner: Any) -> int:
        call = arrive(
            signals_root,
            tape,
            now_ns,
            arrival.tenant,
            arrival.flow,
            arrival.tree,
            arrival.fingerprint,
            arrival.attempt,
            arrival.family,
            arrival.is_identified,
            arrival.patience_ns,
            arrival.parent_flow,
            arrival.affinity,
            arrival.can_retry,
            arrival.is_deadline,
            arrival.urgency,
            arrival.kind,
            arrival.source,
            arrival.max_wait_ns,
            arrival.switches,
        )
        try:
            keep_id(owner.request_id if owner is not None else None)
        except Exception:
            tap.note_id(owner)
        return call

    return told
