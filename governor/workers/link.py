"""A worker's end of the channel: records out, decisions in, and what to do when nobody answers.

*Rule of this file*: no socket and no loop; the worker's process calls :meth:`Link.receive` when
its bell rings and :meth:`Link.tick` a few times a second. One link serves all upstreams.

*Theory*: the keeper must learn the end of every call that it knows of, so what cannot be written
because the ring is full is kept and written first. A *new* call is not worth that: if it cannot
be told of at once it goes through untold, and is counted. When the keeper is gone, calls go
through within the share of the limit that was published last; the next keeper is told of all
that is open, and asked again for all that waits.

*Regime*: an ask blocks the worker's loop for at most ``ASK_S``. Only an upstream's refusals are
asked about so, in a storm of them or where a route absorbs them; a keeper that does not answer
in time is not asked again for a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from governor.core.arrival import Arrival
from governor.core.lease import Lease
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.records import (
    BODY,
    DOWN_BYTES,
    NO_RULE_TOLD,
    TEXT_AT,
    UP_BYTES,
    Kind,
    pack_arrival,
)
from governor.workers.ring import SLEEPING, RingReader, RingWriter

if TYPE_CHECKING:
    from governor.workers.remote_gate import RemoteGate

ASK_S = 0.02
"""A keeper that has the processor answers within 0.2 ms; a loop that stands still for longer than
this would be felt by everybody."""

BREAK_NS = 1_000_000_000
"""Who was not answered in time does not ask again for so long."""

GRACE_NS = 1_000_000_000
"""Without a keeper for so long, whoever waits is let through: another one takes 0.3 s to start."""

SILENCE_NS = 2_000_000_000
"""A keeper that has not turned for so long counts as gone; it turns twenty times a second."""

_SERVING = int(Life.SERVING)
_LIFE = int(KeeperWord.LIFE)
_pack = BODY.pack_into

Reply = tuple[int, ...]


class RemoteLease(Lease):
    """A worker's side of a lease that the keeper's gate holds.

    Attributes
    ----------
    gate : RemoteGate
    is_asked : bool
        The decision on its arrival, or on a change of place, is still to come.
    is_told : bool
        The rim has heard what was decided on its arrival.
    is_booked : bool
        The keeper knows of it, or will.
    late_ns : int
        From when it was given its place to when the rim could send it.
    rule : int
        Of the configured agent whose call it is.
    """

    __slots__ = ("gate", "is_asked", "is_booked", "is_told", "late_ns", "rule")

    gate: RemoteGate
    is_asked: bool
    is_booked: bool
    is_told: bool
    late_ns: int
    rule: int


class Link:
    """Connects one worker with the keeper.

    Parameters
    ----------
    board : Board
    row : int
        Which worker it is.
    clock_ns : callable
        Monotonic nanoseconds, the same for all processes of the machine.
    get_rule : callable
        The configured agent's number of the arrival that was read last.
    on_switch : callable
        Told of policies that were switched, by name and value.

    Attributes
    ----------
    gates : list of RemoteGate
        In the order of the configuration.
    leases : dict of int to RemoteLease
        All that are open or wait, by number.
    soon : callable
        Asked to let :meth:`receive` be called in the next turn.
    """

    def __init__(
        self,
        board: Board,
        row: int,
        clock_ns: Callable[[], int] = monotonic_ns,
        get_rule: Callable[[], int] = lambda: NO_RULE_TOLD,
        on_switch: Callable[[str, str], None] = lambda name, value: None,
    ) -> None:
        self.board = board
        self.row = row
        self.words = board.workers[row]
        self.epoch = self.words[WorkerWord.EPOCH]
        self.bell = board.worker_bells[row]
        self.gates: list[RemoteGate] = []
        self.leases: dict[int, RemoteLease] = {}
        self.soon: Callable[[], None] = lambda: None
        self.wait: Callable[[float], bool] = self.bell.wait
        self.next_number: Callable[[], int] = count(1).__next__
        self._clock_ns = clock_ns
        self._get_rule = get_rule
        self._on_switch = on_switch
        self._up = RingWriter(board.up[row], UP_BYTES)
        self._down = RingReader(board.down[row], DOWN_BYTES)
        self._down.skip_all()
        self._keeper = board.keeper
        self._keeper_bell = board.keeper_bell
        self._keeper_epoch = self._keeper[KeeperWord.EPOCH]
        self._backlog: deque[tuple[int, ...]] = deque()
        self._inbox: deque[Reply] = deque()
        self._replies: dict[int, Reply] = {}
        self._quiet_until_ns = 0
        self._gone_since_ns = 0
        opens = board.opens[row]
        for place in range(board.n_places):
            opens[place] = 0
        self.send(Kind.HELLO, 0, clock_ns(), 0, a=self.epoch)

    @property
    def now_ns(self) -> int:
        """The instant."""
        return self._clock_ns()

    @property
    def has_keeper(self) -> bool:
        """Whether somebody is there to ask."""
        return self._keeper[_LIFE] == _SERVING and not self._gone_since_ns

    # -- out ------------------------------------------------------------------

    def send(
        self,
        kind: int,
        upstream: int,
        at_ns: int,
        number: int,
        flag: int = 0,
        small: int = 0,
        a: int = 0,
        b: int = 0,
        c: int = 0,
        d: int = 0,
        is_urgent: bool = True,
    ) -> None:
        """Write a record; one that finds no room is written later, in its turn."""
        record = (at_ns, number, upstream, kind, flag, small, a, b, c, d)
        if self._backlog:
            self._write_backlog()
        place = -1 if self._backlog else self._up.place()
        if place < 0:
            if self._keeper[_LIFE] == _SERVING:  # a dead one's successor is told of everything
                self._backlog.append(record)
            return
        _pack(self._up.memory, place, *record)
        depth = self._up.publish()
        if depth and (is_urgent or depth == SLEEPING):
            self._keeper_bell.ring()

    def send_arrival(
        self,
        kind: int,
        upstream: int,
        at_ns: int,
        number: int,
        arrival: Arrival,
        owner: Any,
        rule: int,
        small: int = 0,
        more: int = 0,
        is_urgent: bool = True,
    ) -> bool:
        """Write an arrival's record; return whether there was room."""
        place = -1 if self._backlog else self._up.place()
        if place < 0:
            self._write_backlog()
            return False
        request_id = getattr(owner, "request_id", b"")
        pack_arrival(
            self._up.memory,
            place,
            at_ns,
            number,
            upstream,
            kind,
            small,
            arrival,
            rule,
            request_id,
            more,
        )
        depth = self._up.publish()
        if depth and (is_urgent or depth == SLEEPING):
            self._keeper_bell.ring()
        return True

    def latest_rule(self) -> int:
        """Return the configured agent's number of the arrival that was read last."""
        return self._get_rule()

    def count_unasked(self) -> None:
        """Count a call that was let through because the keeper could not be asked."""
        self.words[WorkerWord.N_UNASKED] += 1

    def _write_backlog(self) -> None:
        backlog = self._backlog
        while backlog and (place := self._up.place()) >= 0:
            _pack(self._up.memory, place, *backlog.popleft())
            if self._up.publish():
                self._keeper_bell.ring()

    # -- in -------------------------------------------------------------------

    def receive(self) -> None:
        """Hear what the keeper has decided, and let the rim do it."""
        self.bell.hush()
        is_new = self._keeper[KeeperWord.EPOCH] != self._keeper_epoch
        self._hear_all()
        if is_new:  # what the one before has still decided holds
            self._begin_anew()

    def _hear_all(self) -> None:
        self._take_in()
        inbox = self._inbox
        while inbox:
            record = inbox.popleft()
            lease = self.leases.get(record[1])
            if lease is not None:
                lease.gate.hear(lease, record)

    def ask(self, number: int) -> Reply | None:
        """Wait for the reply to what was just sent; None if it does not come in time."""
        until_ns = self._clock_ns() + int(ASK_S * 1e9)
        while True:
            self._take_in()
            reply = self._replies.pop(number, None)
            left_ns = until_ns - self._clock_ns()
            if reply is None and left_ns > 0:
                if self.wait(left_ns * 1e-9):
                    self.bell.hush()
                continue
            if self._inbox:
                self.soon()
            if reply is None:
                self._quiet_until_ns = until_ns + BREAK_NS
            return reply

    def may_ask(self, now_ns: int) -> bool:
        """Whether a reply can be hoped for in time."""
        return self.has_keeper and now_ns >= self._quiet_until_ns and not self._backlog

    def _take_in(self) -> None:
        """Move what has come out of the ring: replies to whoever waits for them."""
        down = self._down
        while (place := down.peek()) >= 0:
            record = BODY.unpack_from(down.memory, place)
            kind = record[3]
            if kind == Kind.SWITCH:
                text = bytes(down.memory[place + TEXT_AT : place + DOWN_BYTES])
                down.step()
                n_name, n_value = record[6], record[7]
                name, value = text[:n_name], text[n_name : n_name + n_value]
                self._on_switch(name.decode(), value.decode())
                continue
            down.step()
            if record[9] != self.epoch:
                continue  # meant for who was here before
            if kind == Kind.REPLY:
                if len(self._replies) > 64:
                    self._replies.clear()  # of those who did not wait so long
                self._replies[record[1]] = record
            else:
                self._inbox.append(record)

    # -- without a keeper -----------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Look whether the keeper is there; let those through who have waited for it too long."""
        self._write_backlog()
        if self._keeper[KeeperWord.EPOCH] != self._keeper_epoch:
            self.receive()
        is_there = self._keeper[_LIFE] == _SERVING
        if is_there and now_ns - self._keeper[KeeperWord.BEAT_NS] < SILENCE_NS:
            self._gone_since_ns = 0
            return
        if not self._gone_since_ns:
            self._gone_since_ns = now_ns
        is_long = now_ns - self._gone_since_ns >= GRACE_NS
        for lease in [x for x in self.leases.values() if x.endpoint_idx < 0]:
            lease.gate.go_without(now_ns, lease, is_long)

    def _begin_anew(self) -> None:
        """Tell a new keeper of all that is open, and ask again for all that waits."""
        self._keeper_epoch = self._keeper[KeeperWord.EPOCH]
        self._replies.clear()
        self._backlog.clear()
        self._gone_since_ns = 0
        self.send(Kind.HELLO, 0, self._clock_ns(), 0, a=self.epoch)
        for lease in list(self.leases.values()):
            lease.gate.announce(lease)
