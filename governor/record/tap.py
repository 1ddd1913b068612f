"""Listens at the gates: what each was told and decided goes into the ring.

*Rule of this file*: a tap stands in front of a gate and changes nothing. Where none
is attached, a gate is as it always was: attaching puts the tap's methods in place of
the gate's own on that one object, so that being off costs nothing at all.

A fault here is counted and never reaches the request. A record that could not be
written (a number out of its range) is lost and counted with the faults.

*Cost*: about a quarter on top of the gate's own: 2.1 us a record where an arrival and its end
cost the gate 15 us (``python -m bench record``, a busy machine).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities, IdentityTable
from governor.core.lease import Decision, Lease, Untouched
from governor.core.registry import Registry
from governor.record.events import (
    BEGIN,
    BOOKED,
    DECISION,
    END,
    EVENT_BYTES,
    HEAD,
    PLAIN,
    REASON_CODE,
    WHOLE,
    Kind,
    get_shape,
)
from governor.record.refusals import RecordedRefused, number_of
from governor.record.ring import Ring
from policies.decision import Outcome, Reason
from policies.ejection import Verdict

_ARRIVE, _MEMBER = int(Kind.ARRIVE), int(Kind.MEMBER)
_pack_head, _pack_whole, _pack_plain = HEAD.pack_into, WHOLE.pack_into, PLAIN.pack_into
_pack_end, _pack_begin, _pack_decision = END.pack_into, BEGIN.pack_into, DECISION.pack_into

MAX_UPSTREAMS = 256


class Tap:
    """Listens at all gates of one process.

    Parameters
    ----------
    ring : Ring
    salt : int
        Start of the checksums of request ids; 32 bits.

    Attributes
    ----------
    n_leases : int
        Leases seen; the latest one's number.
    n_faults : int
        Records lost to a fault.
    """

    __slots__ = ("n_faults", "n_leases", "ring", "salt")

    def __init__(self, ring: Ring, salt: int = 0) -> None:
        self.ring = ring
        self.n_leases = 0
        self.n_faults = 0
        self.salt = salt

    def attach(self, gates: Iterable[Gate], identities: Identities) -> None:
        """Listen from now on; before the first request, or the recording cannot be exact."""
        for idx, gate in enumerate(gates):
            if idx >= MAX_UPSTREAMS:
                break
            gate_tap = GateTap(self, gate, idx)
            gate.refused = RecordedRefused(gate, gate_tap)
            for name in ("arrive", "answered", "leave", "depart", "observe_quota"):
                setattr(gate, name, getattr(gate_tap, name))
            for name in ("tick", "reroute", "switch", "adopt", "lose", "sent_late"):
                setattr(gate, name, getattr(gate_tap, name))
        tables = (identities.tenants, identities.flows, identities.trees)
        for number, table in enumerate(tables):
            self._watch(table, number)

    def attach_registry(self, registry: Registry) -> None:
        """Listen to who is held, quarantined and released, by people and by envelopes."""
        restrain, release = registry.restrain, registry.release

        def restrained(now_ns: int, flow: int, cap: int, by: str, why: str) -> bool:
            is_done = restrain(now_ns, flow, cap, by, why)
            if is_done:
                self.note(now_ns, Kind.RESTRAIN, 0, flow, cap)
            return is_done

        def released(now_ns: int, flow: int, by: str, why: str) -> bool:
            is_done = release(now_ns, flow, by, why)
            if is_done:
                self.note(now_ns, Kind.RELEASE, 0, flow)
            return is_done

        registry.restrain = restrained  # type: ignore[method-assign]
        registry.release = released  # type: ignore[method-assign]

    def _watch(self, table: IdentityTable, number: int) -> None:
        told = table.on_handover

        def on_handover(idx: int) -> None:
            self.note(table.seen_at_ns[idx], Kind.HANDOVER, 0, idx, endpoint=number)
            if told is not None:
                told(idx)

        table.on_handover = on_handover

    def note(
        self,
        now_ns: int,
        kind: int,
        upstream: int,
        number: int = 0,
        request: int = 0,
        delay_ns: int = 0,
        action: int = 0,
        reason: int = 0,
        status: int = 0,
        endpoint: int = 0,
    ) -> None:
        """Write a record of the head's fields only."""
        ring = self.ring
        offset = ring.offset
        try:
            _pack_head(
                *(ring.memory, offset, now_ns, number, request, delay_ns),
                *(int(kind), upstream, int(action), reason, status, endpoint),
            )
        except Exception:
            self.n_faults += 1
            return
        ring.step()

    def write_tail(self, *values: int) -> None:
        """Complete the record just written: tenant, fingerprint, affinity, patience."""
        ring = self.ring
        tenant, fingerprint, affinity, patience_ns = values
        place = ring.offset - EVENT_BYTES if ring.offset else ring.last
        try:
            head = HEAD.unpack_from(ring.memory, place)
            tail = (tenant, 0, 0, 0, fingerprint, affinity, patience_ns, 0, *(False,) * 4)
            _pack_whole(ring.memory, place, *head, *tail, *(0,) * 6)
        except Exception:
            self.n_faults += 1


class GateTap:
    """Stands in front of one gate."""

    __slots__ = (
        "_adopt",
        "_answered",
        "_answered_code",
        "_arrive",
        "_arrive_code",
        "_decide_code",
        "_depart",
        "_depart_code",
        "_gate",
        "_leave",
        "_lose",
        "_observe_quota",
        "_reroute",
        "_sent_late",
        "_switch",
        "_tick",
        "idx",
        "tap",
    )

    def __init__(self, tap: Tap, gate: Gate, idx: int) -> None:
        self.tap = tap
        self.idx = idx
        self._arrive = gate.arrive
        self._answered = gate.answered
        self._leave = gate.leave
        self._depart = gate.depart
        self._observe_quota = gate.observe_quota
        self._tick = gate.tick
        self._reroute = gate.reroute
        self._switch = gate.switch
        self._adopt = gate.adopt
        self._lose = gate.lose
        self._sent_late = gate.sent_late
        self._gate = gate
        kinds = (Kind.ARRIVE, Kind.ANSWERED, Kind.DECIDE, Kind.DEPART)
        codes = (kind | idx << 8 for kind in kinds)
        self._arrive_code, self._answered_code, self._decide_code, self._depart_code = codes

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        """As the gate's own."""
        decision = self._arrive(now_ns, arrival, owner)
        tap = self.tap
        ring = tap.ring
        offset = ring.offset
        lease = decision.lease
        tap.n_leases = number = lease.number = tap.n_leases + 1 & 0xFFFFFFFF
        try:
            request = crc32(owner.request_id, tap.salt) if owner is not None else 0
            if type(decision) is not Untouched:
                self._note_touched(now_ns, request, decision)
                return decision
            _pack_plain(
                ring.memory,
                offset,
                now_ns,
                number,
                request,
                self._arrive_code,
                lease.endpoint_idx,
                arrival.tenant,
                arrival.flow,
                arrival.tree,
                arrival.parent_flow,
                arrival.fingerprint,
                arrival.affinity,
                arrival.patience_ns,
                arrival.attempt,
                arrival.is_identified,
                arrival.can_retry,
                arrival.is_deadline,
                arrival.family,
                arrival.urgency,
                arrival.kind,
                arrival.source,
                arrival.max_wait_ns,
                arrival.switches,
            )
            ring.offset = offset + EVENT_BYTES if offset < ring.last else ring.turn()
        except Exception:
            tap.n_faults += 1
        return decision

    def _note_touched(self, now_ns: int, request: int, decision: Decision) -> None:
        ring, lease = self.tap.ring, decision.lease
        _pack_whole(
            ring.memory,
            ring.offset,
            now_ns,
            lease.number,
            request,
            decision.retry_after_ns,
            _ARRIVE,
            self.idx,
            decision.action,
            REASON_CODE[decision.reason],
            decision.status,
            lease.endpoint_idx,
            *get_shape(lease.arrival),
        )
        ring.step()

    def adopt(
        self, now_ns: int, arrival: Arrival, owner: Any = None, endpoint_idx: int = 0
    ) -> Lease:
        """As the gate's own; an arrival that was booked."""
        lease = self._adopt(now_ns, arrival, owner, endpoint_idx)
        tap = self.tap
        ring = tap.ring
        tap.n_leases = number = lease.number = tap.n_leases + 1 & 0xFFFFFFFF
        try:
            request = crc32(owner.request_id, tap.salt) if owner is not None else 0
            reason = REASON_CODE[Reason.EXEMPT if arrival.is_exempt else Reason.UNTOUCHED]
            head = (now_ns, number, request, 0, _ARRIVE, self.idx, 0, reason, BOOKED)
            _pack_whole(ring.memory, ring.offset, *head, endpoint_idx, *get_shape(arrival))
            ring.step()
        except Exception:
            tap.n_faults += 1
        return lease

    def lose(self, now_ns: int, lease: Lease) -> None:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.LEAVE, self.idx, number_of(lease), action=1)
        self._lose(now_ns, lease)

    def sent_late(self, lease: Lease, late_ns: int) -> None:
        """As the gate's own; at the latest instant that it was told of."""
        number = number_of(lease)
        self.tap.note(self._gate.now_ns, Kind.LATE, self.idx, number, delay_ns=late_ns)
        self._sent_late(lease, late_ns)

    def note_member(self, lease: Lease) -> None:
        """Write the arrival of a caller that shares another's call; the gate has not seen it."""
        tap = self.tap
        tap.n_leases = number = lease.number = tap.n_leases + 1 & 0xFFFFFFFF
        try:
            head = (lease.arrived_at_ns, number, 0, 0, _MEMBER, self.idx, 0, 0, 0, 0)
            _pack_whole(tap.ring.memory, tap.ring.offset, *head, *get_shape(lease.arrival))
            tap.ring.step()
        except Exception:
            tap.n_faults += 1

    def depart(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int = 0, retry_after_ns: int = 0
    ) -> Sequence[Decision]:
        """As the gate's own."""
        tap = self.tap
        ring = tap.ring
        offset = ring.offset
        try:
            code = self._depart_code
            _pack_end(
                ring.memory, offset, now_ns, lease.number, retry_after_ns, code, outcome, status
            )
            ring.offset = offset + EVENT_BYTES if offset < ring.last else ring.turn()
        except Exception:
            tap.n_faults += 1
        decisions = self._depart(now_ns, lease, outcome, status, retry_after_ns)
        if decisions:
            self.note_all(now_ns, decisions)
        return decisions

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """As the gate's own."""
        tap = self.tap
        ring = tap.ring
        try:
            _pack_begin(ring.memory, ring.offset, now_ns, lease.number, self._answered_code, status)
            ring.step()
        except Exception:
            tap.n_faults += 1
        self._answered(now_ns, lease, status)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.LEAVE, self.idx, number_of(lease))
        decisions = self._leave(now_ns, lease)
        self.note_all(now_ns, decisions)
        return decisions

    def tick(self, now_ns: int) -> Sequence[Decision]:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.TICK, self.idx)
        decisions = self._tick(now_ns)
        self.note_all(now_ns, decisions)
        return decisions

    def switch(self, switches: int, is_observing: bool) -> None:
        """As the gate's own; at the latest instant that it was told of."""
        now_ns = self._gate.now_ns
        self.tap.note(now_ns, Kind.SWITCH, self.idx, switches, action=int(is_observing))
        self._switch(switches, is_observing)

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.QUOTA, self.idx, delay_ns=reset_ns, endpoint=kind)
        self.tap.write_tail(tenant, limit, remaining, 0)
        self._observe_quota(now_ns, tenant, kind, limit, remaining, reset_ns)

    def reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, Sequence[Decision]]:
        """As the gate's own."""
        self.tap.note(now_ns, Kind.REROUTE, self.idx, number_of(lease), endpoint=int(verdict))
        decision, followers = self._reroute(now_ns, lease, verdict)
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
                lease.number,
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
