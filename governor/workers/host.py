"""Brings what workers write to the gates, and what gates decide to the workers.

*Rule of this file*: one record after the other, in the order of their instants over all workers;
a fault is counted and the request goes through. No loop and no socket: the keeper's process says
when to read.

*Theory*: to the gates it looks as if one process told them everything, in order, at the instants
at which it happened. What is some milliseconds late is booked at its own instant, for the gate's
clock and the signals' windows are moved by the records themselves and by ticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from governor.core.endpoint import is_normal
from governor.core.faults import Part
from governor.core.lease import Decision, LeaseState, make_lease
from governor.core.rest import Rota
from governor.workers.board import Board, KeeperWord
from governor.workers.credit import lend
from governor.workers.lost import LostCalls
from governor.workers.records import (
    ARRIVAL,
    BODY,
    ID_AT,
    KIND_AT,
    REASONS,
    Kind,
    unpack_arrival,
)
from governor.workers.seat import Caller, Seat
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict

if TYPE_CHECKING:
    from governor.core.arrival import Arrival
    from governor.core.gate import Gate
    from governor.core.identity import Identities
    from governor.core.registry import Registry

_OPEN, _PENDING = LeaseState.OPEN, LeaseState.PENDING
_OUTCOMES = tuple(Outcome)
_get_instant = itemgetter(0)
_KINDS = frozenset(map(int, Kind))

Fields = tuple[int, ...]


class Host:
    """All workers' records and all gates.

    Parameters
    ----------
    board : Board
    gates : sequence of Gate
        In the order of the configuration.
    identities : Identities
    registry : Registry, optional
        Told the configured agent of each flow.

    Attributes
    ----------
    n_faults : int
        Records that could not be acted on.
    n_records : int
        Read so far.
    switched : dict of str to str
        Policies switched since the start: who comes later is told.
    """

    def __init__(
        self,
        board: Board,
        gates: Sequence[Gate],
        identities: Identities,
        registry: Registry | None = None,
    ) -> None:
        self.board = board
        self.gates = tuple(gates)
        self.seats = [Seat(board, row) for row in range(board.n_workers)]
        self.switched: dict[str, str] = {}
        self.n_faults = 0
        self.n_records = 0
        self._identities = identities
        self._rule_of = None if registry is None else registry.rule_of
        self._touched = set(range(len(self.gates)))
        self._lost = LostCalls()
        self._rota = Rota(self.gates)
        self._n_alive = 0
        self._first_place: list[int] = []
        place = 0
        for gate in self.gates:
            self._first_place.append(place)
            place += len(gate.endpoints)
        acts = {
            Kind.HELLO: self._hello,
            Kind.ANSWERED: self._answered,
            Kind.LEAVE: self._leave,
            Kind.DEPART: self._depart,
            Kind.REROUTE: self._reroute,
            Kind.REFUSAL: self._refusal,
            Kind.SLOT: self._slot,
            Kind.ABSORB: self._absorb,
            Kind.QUOTA: self._quota,
            Kind.SHARED: self._shared,
        }
        self._acts = [acts.get(Kind(code)) if code in _KINDS else None for code in range(256)]
        self._with_arrival = {
            int(Kind.ARRIVE): self._arrive,
            int(Kind.ADMITTED): self._admitted,
            int(Kind.MEMBER): self._member,
            int(Kind.SAW): self._saw,
        }
        for seat in self.seats:
            seat.reader.skip_all()  # it was told to the keeper before; workers tell it again
            for k in range(board.n_places):
                board.credits[seat.row][k] = 0

    # -- turns ------------------------------------------------------------------

    def drain(self, n_most: int = 1_024) -> int:
        """Act on what workers have written, the earliest first; return how many records.

        Parameters
        ----------
        n_most : int
            Of each worker; the rest waits for the next turn, for others must have theirs.
        """
        batch: list[tuple[int, int, int]] = []
        n_busy = 0
        for seat in self.seats:
            found = seat.reader.unread(seat.row, n_most)
            if found:
                n_busy += 1
                batch += found
        if n_busy > 1:
            batch.sort(key=_get_instant)  # stable: each worker's keep their order
        seats, act = self.seats, self._act
        for _, row, place in batch:
            act(seats[row], place)
        n = len(batch)
        if n:
            self.n_records += n
            self.publish()
        return n

    def tick(self, now_ns: int) -> None:
        """Run every gate's look across its window (every 50 ms), and tell what came of it."""
        for seat in self.seats:
            seat.write_backlog()
            if not seat.is_alive and seat.leases and seat.reader.peek() < 0:
                self._lose(seat, now_ns)
        self._close_lost(now_ns)
        for idx in self._rota.due():
            gate = self.gates[idx]
            try:
                self.deliver(now_ns, gate.tick(now_ns))
                self.board.refusals[idx] = gate.refused.is_storm(now_ns)
            except Exception:
                gate.faults.note(Part.GATE)
            self._touched.add(idx)
            self._show_limits(idx)
        n_alive = sum(seat.is_alive for seat in self.seats)
        if n_alive != self._n_alive:  # the shares of those that rest change, too
            self._n_alive = n_alive
            for idx in range(len(self.gates)):
                self._show_limits(idx)
        self.board.keeper[KeeperWord.BEAT_NS] = now_ns
        self.publish()

    def _show_limits(self, idx: int) -> None:
        """Tell the workers a gate's limits, and what is theirs if nobody can be asked."""
        board = self.board
        for endpoint in self.gates[idx].endpoints:
            place = self._first_place[idx] + endpoint.idx
            limit = endpoint.limit.limit
            board.limits[place] = limit
            board.shares[place] = max(1, limit // max(1, self._n_alive))

    def deliver(self, now_ns: int, decisions: Iterable[Decision]) -> None:
        """Tell each decision to the worker whose request waits for it."""
        for decision in decisions:
            self._tell(now_ns, Kind.DECIDE, decision.lease.owner, decision)

    def publish(self) -> None:
        """Lend what may be lent at the gates that something has happened at; wake who was told."""
        board = self.board
        alive = [seat.row for seat in self.seats if seat.is_alive]
        for idx in self._touched:
            gate = self.gates[idx]
            place = self._first_place[idx]
            opens = [board.opens[row][place] for row in alive]
            unread = max(0, sum(opens) - gate.endpoints[0].in_flight)
            credits = lend(gate.n_lendable - unread, opens)
            for row, credit in zip(alive, credits, strict=True):
                if board.credits[row][place] != credit:
                    board.credits[row][place] = credit
        self._touched.clear()
        for seat in self.seats:
            seat.wake()

    def sleep(self, depth: int) -> bool:
        """Say how soon one looks again; return whether something has come meanwhile."""
        has_more = False
        for seat in self.seats:
            has_more |= seat.reader.sleep(depth)
        return has_more

    def switch(self, now_ns: int, name: str, value: str) -> None:
        """Tell all workers that a policy was switched, those too that are still to come."""
        self.switched[name] = value
        for seat in self.seats:
            seat.tell_switch(now_ns, name, value)
            seat.wake()

    # -- records ------------------------------------------------------------------

    def _act(self, seat: Seat, place: int) -> None:
        reader = seat.reader
        memory = reader.memory
        act = self._acts[memory[place + KIND_AT]]
        fields: Fields = ()
        try:
            if act is not None:
                fields = BODY.unpack_from(memory, place)
                reader.step()
                self._touched.add(fields[2])
                act(seat, fields)
            else:
                fields = ARRIVAL.unpack_from(memory, place)
                start = place + ID_AT
                request_id = bytes(memory[start : start + fields[23]])
                reader.step()
                self._touched.add(fields[2])
                self._with_arrival[fields[3]](seat, fields, request_id)
        except Exception:
            self.n_faults += 1
            self._survive(seat, fields)

    def _survive(self, seat: Seat, fields: Fields) -> None:
        """After a fault: whoever has asked gets an answer, and it harms nobody."""
        gate = self.gates[fields[2]]
        gate.faults.note(Part.GATE)
        kind, number = fields[3], fields[1]
        caller = Caller(seat, number, gate, b"")
        if kind == Kind.ARRIVE:
            seat.leases.pop(number, None)
            lease = make_lease(cast("Arrival", None), fields[0], 0)
            lease.endpoint_idx = self.n_faults % len(gate.endpoints)
            seat.tell(Kind.TOLD, fields[0], caller, Decision(Action.ADMIT, Reason.UNTOUCHED, lease))
        elif kind == Kind.REROUTE:
            seat.tell(Kind.NOWHERE, fields[0], caller, None)
        elif kind in (Kind.SLOT, Kind.ABSORB, Kind.MEMBER):
            seat.tell(Kind.REPLY, fields[0], caller, None)

    def _read(self, fields: Fields) -> Arrival:
        """Return a record's arrival, with places in the tables for its keys."""
        identities = self._identities
        at_ns, flows = fields[0], identities.flows
        parent = flows.find(fields[9]) if fields[9] else 0
        tenant = identities.tenants.index(fields[6], at_ns)
        flow = flows.index(fields[7], at_ns)
        rule_of = self._rule_of
        if rule_of is not None and fields[15] >= 0 and rule_of[flow] < 0:
            rule_of[flow] = fields[15]
        tree = identities.trees.index(fields[8], at_ns)
        arrival = unpack_arrival(fields, tenant, flow, tree)
        arrival.parent_flow = parent
        return arrival

    def _arrive(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        number = fields[1]
        if number in seat.leases:
            return  # told twice, around the start of this keeper
        gate = self.gates[fields[2]]
        caller = Caller(seat, number, gate, request_id)
        decision = gate.arrive(fields[0], self._read(fields), caller)
        decision.lease.owner = caller
        seat.leases[number] = decision.lease
        self._tell(fields[0], Kind.TOLD, caller, decision)

    def _admitted(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        number = fields[1]
        if number in seat.leases:
            return
        gate = self.gates[fields[2]]
        caller = Caller(seat, number, gate, request_id)
        seat.leases[number] = gate.adopt(fields[0], self._read(fields), caller, fields[5])

    def _answered(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        if lease is not None:
            gate = self.gates[fields[2]]
            if fields[7] and is_normal(fields[5]):
                gate.sent_late(lease, fields[7])
            gate.answered(fields[0], lease, fields[5])

    def _leave(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        if lease is None:
            return
        gate = self.gates[fields[2]]
        self.deliver(fields[0], gate.leave(fields[0], lease))
        if fields[4]:  # its place, if it got one meanwhile, was never used
            del seat.leases[fields[1]]
            if lease.state is _OPEN:
                self.deliver(fields[0], gate.depart(fields[0], lease, Outcome.UNSENT))

    def _depart(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.pop(fields[1], None)
        if lease is None:
            return
        gate, now_ns = self.gates[fields[2]], fields[0]
        if lease.state is _OPEN:
            if fields[7] and is_normal(fields[5]):  # who never answers is found by when it was sent
                gate.sent_late(lease, fields[7])
            followers = gate.depart(now_ns, lease, _OUTCOMES[fields[4]], fields[5], fields[6])
            if followers:
                self.deliver(now_ns, followers)
        elif lease.state is _PENDING:  # the worker went without an answer that came too late
            gate.lose(now_ns, lease)

    def _reroute(self, seat: Seat, fields: Fields) -> None:
        now_ns, number = fields[:2]
        gate = self.gates[fields[2]]
        lease = seat.leases.get(number)
        if lease is None:
            seat.tell(Kind.NOWHERE, now_ns, Caller(seat, number, gate, b""), None)
            return
        caller = lease.owner
        decision, followers = gate.reroute(now_ns, lease, Verdict(fields[5]))
        if decision is None:
            seat.tell(Kind.NOWHERE, now_ns, caller, None)
        else:
            self._tell(now_ns, Kind.TOLD, caller, decision)
        self.deliver(now_ns, followers)

    def _refusal(self, seat: Seat, fields: Fields) -> None:
        gate = self.gates[fields[2]]
        gate.refused.note(fields[0])
        self.board.refusals[fields[2]] = gate.refused.is_storm(fields[0])

    def _slot(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        gate = self.gates[fields[2]]
        caller = Caller(seat, fields[1], gate, b"") if lease is None else lease.owner
        decision = None
        if lease is not None:
            decision = gate.refused.answer(fields[0], lease, fields[5], fields[6])
        seat.tell(Kind.REPLY, fields[0], caller, decision)

    def _member(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        gate = self.gates[fields[2]]
        caller = Caller(seat, fields[1], gate, request_id)
        lease = make_lease(self._read(fields), fields[0], 0, caller)
        decision = gate.refused.answer(fields[0], lease, fields[5], fields[16])
        seat.tell(Kind.REPLY, fields[0], caller, decision)

    def _absorb(self, seat: Seat, fields: Fields) -> None:
        now_ns, number = fields[:2]
        gate = self.gates[fields[2]]
        lease = seat.leases.get(number)
        taken = None
        if lease is not None and lease.state is _OPEN:
            taken = gate.refused.absorb(now_ns, lease, fields[6], fields[7])
        if lease is None or taken is None:
            caller = Caller(seat, number, gate, b"") if lease is None else lease.owner
            seat.tell(Kind.REPLY, now_ns, caller, None)
            return
        decision, followers = taken
        seat.leases[number] = decision.lease
        seat.tell(Kind.REPLY, now_ns, lease.owner, decision)
        self.deliver(now_ns, followers)

    def _quota(self, seat: Seat, fields: Fields) -> None:
        at_ns = fields[0]
        tenant = self._identities.tenants.find(fields[6])
        self.gates[fields[2]].observe_quota(at_ns, tenant, fields[5], *fields[7:10])

    def _shared(self, seat: Seat, fields: Fields) -> None:
        ledger = self.gates[fields[2]].ledger
        ledger.n_arrived += fields[5]
        ledger.n_by_outcome[Outcome.COALESCED] += fields[5]

    def _saw(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        gate = self.gates[fields[2]]
        caller = Caller(seat, fields[1], gate, request_id)
        lease = make_lease(self._read(fields), fields[0], 0, caller)
        gate.saw(fields[0], lease, REASONS[fields[5]])

    # -- who comes and goes ---------------------------------------------------------

    def _hello(self, seat: Seat, fields: Fields) -> None:
        """A worker begins: whoever had its row before is gone."""
        if fields[6] != seat.epoch:
            self._lose(seat, fields[0])
            seat.epoch = fields[6]
            seat.forget_backlog()
        for name, value in self.switched.items():
            seat.tell_switch(fields[0], name, value)
        self._touched.update(range(len(self.gates)))

    def _lose(self, seat: Seat, now_ns: int) -> None:
        """Take back what a worker held that is gone."""
        self._lost.add(now_ns, seat.leases.values())
        seat.leases.clear()
        for place in range(self.board.n_places):
            self.board.credits[seat.row][place] = 0
        self._close_lost(now_ns)

    def _close_lost(self, now_ns: int) -> None:
        for followers in self._lost.close(now_ns):
            self.deliver(now_ns, followers)

    def _tell(self, now_ns: int, kind: int, caller: Caller, decision: Decision) -> None:
        """Tell a decision; forget a lease that it closes."""
        seat = caller.seat
        if caller.epoch != seat.epoch:
            return
        if decision.action is not Action.ADMIT and decision.action is not Action.WAIT:
            seat.leases.pop(caller.number, None)
        seat.tell(kind, now_ns, caller, decision)
