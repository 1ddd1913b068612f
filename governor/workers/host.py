"""The keeper's turns: reads what workers write, lends them credit, sees them come and go.

*Rule of this file*: one record after the other, in the order of their instants over all workers;
a fault is counted and the request goes through. What each record asks of its gate is
:mod:`~governor.workers.acts`'s. No loop and no socket: the keeper's process says when to read.

*Theory*: to the gates it looks as if one process told them everything, in order, at the instants
at which it happened. What is some milliseconds late is booked at its own instant, for the gate's
clock and the signals' windows are moved by the records themselves and by ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from governor.core.faults import Part
from governor.core.lease import Decision, make_lease
from governor.core.rest import Rota
from governor.workers.acts import Acts, Fields
from governor.workers.board import Board, KeeperWord
from governor.workers.credit import lend
from governor.workers.lost import LostCalls
from governor.workers.records import (
    ARRIVAL,
    BODY,
    ID_AT,
    KIND_AT,
    Kind,
)
from governor.workers.seat import Caller, Seat, deliver
from policies.decision import Action, Reason

if TYPE_CHECKING:
    from governor.core.arrival import Arrival
    from governor.core.gate import Gate
    from governor.core.identity import Identities
    from governor.core.registry import Registry

_get_instant = itemgetter(0)
_KINDS = frozenset(map(int, Kind))


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
        self._touched = set(range(len(self.gates)))
        self._lost = LostCalls()
        self._rota = Rota(self.gates)
        self._n_alive = 0
        self._first_place: list[int] = []
        place = 0
        for gate in self.gates:
            self._first_place.append(place)
            place += len(gate.endpoints)
        acts = Acts(board, self.gates, identities, registry)
        brief: dict[Kind, Callable[[Seat, Fields], None]] = {Kind.HELLO: self._hello, **acts.brief}
        self._acts = [brief.get(Kind(code)) if code in _KINDS else None for code in range(256)]
        self._with_arrival = acts.with_arrival
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
                deliver(now_ns, gate.tick(now_ns))
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
            deliver(now_ns, followers)
