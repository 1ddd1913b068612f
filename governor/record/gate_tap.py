"""Listens at one gate: what it was told and decided goes into the ring.

*Rule of this file*: how each record of a gate is written; when, the gate says
(:mod:`governor.core.recording`).

*Theory*: nearly every request is an arrival that is let through untouched, a first byte and an
end. Of these the gate tells the signals, and they write them down (:mod:`signals.taped`), the
arrival as let through. What is decided otherwise, on the gate's longer ways, is put into its
record afterwards.

*Cost*: of an untouched request a place in the list of ids and twelve numbers more for the signals,
0.6 us compiled (``python -m bench record``).
*Considered and rejected*: packing both records here, three times the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease
from governor.core.recording import Recording
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
from signals import arrive_taped, note_taped
from signals.kernel import get_entry

if TYPE_CHECKING:
    from governor.record.tap import Tap

_ARRIVE: Final = int(Kind.ARRIVE)
_MEMBER: Final = int(Kind.MEMBER)
_pack_whole, _pack_end, _pack_begin = WHOLE.pack_into, END.pack_into, BEGIN.pack_into
_pack_decision, _pack_said = DECISION.pack_into, SAID.pack_into


class GateTap(Recording):
    """Writes one gate's events and decisions into the tap's ring."""

    def __init__(self, tap: Tap, gate: Gate, idx: int) -> None:
        self.tap = tap
        self.idx = idx
        self._gate = gate
        kinds = (Kind.ARRIVE, Kind.ANSWERED, Kind.DECIDE, Kind.DEPART)
        codes = (kind | idx << 8 for kind in kinds)
        self._arrive_code, self._answered_code, self._decide_code, self._depart_code = codes
        self._tape, self._tape_root = tap.ring.make_tape(idx)
        self._signals_root = gate.signals.root
        self._signal_arrival = get_entry(arrive_taped)
        self._signal_later = get_entry(note_taped)

    def attach(self) -> None:
        """Listen from now on."""
        gate = self._gate
        gate.refused = RecordedRefused(gate, self)
        gate.restrained = RecordedRestrained(gate, self)
        gate.recording = self

    # -- what every request makes ---------------------------------------------------

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any) -> int:
        """Tell the signals of an arrival; they write it."""
        call: int = self._signal_arrival(
            self._signals_root,
            self._tape,
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
        self.tap.note_id(owner)
        return call

    def later(
        self, how: int, now_ns: int, call: int, retry_after_ns: int, outcome: int, status: int
    ) -> None:
        """Tell the signals of a first byte or an end; they write it."""
        root, tape = self._signals_root, self._tape
        self._signal_later(root, tape, how, now_ns, call, retry_after_ns, outcome, status)

    # -- arrivals -------------------------------------------------------------------

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

    def note_said(self, decision: Decision) -> None:
        """Put into the latest arrival's record what was decided about it."""
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

    def note_booked(self, arrival: Arrival, endpoint_idx: int) -> None:
        """Put into its record that the latest arrival was under way."""
        reason = REASON_CODE[Reason.EXEMPT if arrival.is_exempt else Reason.UNTOUCHED]
        self._put_said(0, 0, reason, BOOKED, endpoint_idx)

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

    def note_begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Write a first byte that the signals have not."""
        ring = self.tap.ring
        try:
            begin = (now_ns, number_of(lease), self._answered_code, status)
            _pack_begin(ring.memory, ring.offset, *begin)
            ring.step()
        except Exception:
            self.tap.n_faults += 1

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

    def note_tick(self, now_ns: int) -> None:
        """Write the checksums that have gathered, then that a tick begins."""
        self.tap.ring.write_checksums()
        self.tap.note(now_ns, Kind.TICK, self.idx)

    def note_leave(self, now_ns: int, lease: Lease, is_lost: bool) -> None:
        """Write that a caller is gone, or lost with its connection."""
        self.tap.note(now_ns, Kind.LEAVE, self.idx, number_of(lease), action=int(is_lost))

    def note_late(self, now_ns: int, lease: Lease, late_ns: int) -> None:
        """Write that a call went out so much later than it got its place."""
        self.tap.note(now_ns, Kind.LATE, self.idx, number_of(lease), delay_ns=late_ns)

    def note_reroute(self, now_ns: int, lease: Lease, verdict: Verdict) -> None:
        """Write that an endpoint has failed a call."""
        self.tap.note(now_ns, Kind.REROUTE, self.idx, number_of(lease), endpoint=int(verdict))

    def note_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """Write what the upstream says is left of a tenant's quota."""
        self.tap.note(now_ns, Kind.QUOTA, self.idx, delay_ns=reset_ns, endpoint=kind)
        self.tap.write_tail(tenant, limit, remaining, 0)

    def note_switch(self, now_ns: int, switches: int, is_observing: bool) -> None:
        """Write that the policies' states are set."""
        self.tap.note(now_ns, Kind.SWITCH, self.idx, switches, action=int(is_observing))

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
