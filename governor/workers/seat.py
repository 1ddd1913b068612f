"""The keeper's end of one worker's channel.

*Rule of this file*: records and what is open; what it means is :mod:`governor.workers.acts`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from governor.core.lease import Decision, Lease
from governor.workers.board import Board, Life, WorkerWord
from governor.workers.records import (
    BODY,
    DOWN_BYTES,
    NOTHING,
    REASON_CODE,
    TEXT_AT,
    UP_BYTES,
    Kind,
)
from governor.workers.ring import RingReader, RingWriter
from policies.decision import Action

if TYPE_CHECKING:
    from governor.core.gate import Gate


class Caller:
    """The owner of a lease, as the keeper knows it: a request of a worker.

    Attributes
    ----------
    seat : Seat
    epoch : int
        Of the worker that made it.
    number : int
        Of its lease, within that worker.
    gate : Gate
    request_id : bytes
    """

    __slots__ = ("epoch", "gate", "number", "request_id", "seat")

    def __init__(self, seat: Seat, number: int, gate: Gate, request_id: bytes) -> None:
        self.seat = seat
        self.epoch = seat.epoch
        self.number = number
        self.gate = gate
        self.request_id = request_id

    def tell(self, kind: int, at_ns: int, decision: Decision) -> None:
        """Tell its worker a decision; forget a lease that it closes."""
        seat = self.seat
        if self.epoch != seat.epoch:
            return
        if decision.action is not Action.ADMIT and decision.action is not Action.WAIT:
            seat.leases.pop(self.number, None)
        seat.tell(kind, at_ns, self, decision)


class Seat:
    """One worker's place at the keeper.

    Attributes
    ----------
    leases : dict of int to Lease
        All of its leases that are open or wait, by number.
    """

    __slots__ = (
        "_backlog",
        "_bell",
        "_is_rung",
        "_words",
        "_writer",
        "epoch",
        "leases",
        "reader",
        "row",
    )

    def __init__(self, board: Board, row: int) -> None:
        self.row = row
        self.epoch = board.workers[row][WorkerWord.EPOCH]
        self.leases: dict[int, Lease] = {}
        self.reader = RingReader(board.up[row], UP_BYTES)
        self._writer = RingWriter(board.down[row], DOWN_BYTES)
        self._bell = board.worker_bells[row]
        self._words = board.workers[row]
        self._backlog: deque[tuple[tuple[int, ...], bytes]] = deque()
        self._is_rung = False

    @property
    def is_alive(self) -> bool:
        """Whether a process is there that may hold calls."""
        return self._words[WorkerWord.LIFE] in (Life.STARTING, Life.SERVING)

    def tell(self, kind: int, at_ns: int, caller: Caller, decision: Decision | None) -> None:
        """Write what was decided about a request; the bell is rung by :meth:`wake`."""
        if caller.epoch != self.epoch:
            return  # the worker that asked is gone
        if decision is None:
            self._write((at_ns, caller.number, 0, kind, NOTHING, 0, 0, 0, 0, self.epoch))
            return
        reason = REASON_CODE[decision.reason]
        if decision.observed is not None:
            reason |= (REASON_CODE[decision.observed] + 1) << 8
        record = (
            at_ns,
            caller.number,
            0,
            kind,
            decision.action,
            decision.status,
            reason,
            decision.retry_after_ns,
            decision.lease.endpoint_idx,
            self.epoch,
        )
        self._write(record)

    def tell_switch(self, at_ns: int, name: str, value: str) -> None:
        """Write that a policy was switched."""
        text = name.encode() + value.encode()
        body = (at_ns, 0, 0, Kind.SWITCH, 0, 0, len(name), len(value), 0, self.epoch)
        self._write(body, text)

    def wake(self) -> None:
        """Ring once for all that was written."""
        if self._is_rung:
            self._is_rung = False
            self._bell.ring()

    def write_backlog(self) -> None:
        """Write what found no room."""
        backlog = self._backlog
        while backlog and (place := self._writer.place()) >= 0:
            self._put(place, *backlog.popleft())

    def forget_backlog(self) -> None:
        """Drop what was meant for a worker that is gone."""
        self._backlog.clear()

    def _write(self, record: tuple[int, ...], text: bytes = b"") -> None:
        if self._backlog:
            self.write_backlog()
        place = -1 if self._backlog else self._writer.place()
        if place < 0:
            self._backlog.append((record, text))
        else:
            self._put(place, record, text)
        self._is_rung = True

    def _put(self, place: int, record: tuple[int, ...], text: bytes) -> None:
        memory = self._writer.memory
        BODY.pack_into(memory, place, *record)
        if text:
            memory[place + TEXT_AT : place + TEXT_AT + len(text)] = text
        self._writer.publish()
        self._is_rung = True


def deliver(at_ns: int, decisions: Iterable[Decision]) -> None:
    """Tell each decision to the worker whose request waits for it."""
    for decision in decisions:
        caller: Caller = decision.lease.owner
        caller.tell(Kind.DECIDE, at_ns, decision)
