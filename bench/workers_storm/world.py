"""A gate, or a gate and its workers, on a made-up time axis, with whatever lies between them.

*Rule of this file*: instants and turns. Real gate, real signals, real rings; modelled is only
the time that a record takes: ``LAG_NS`` where a bell is rung, up to ``LOOK_NS`` where none is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.link import Link
from governor.workers.remote_gate import RemoteGate
from governor.workers.ring import DOZING
from policies.limit import AdaptiveLimit
from signals import Shared, SignalBank

MS = 1_000_000
S = 1_000 * MS
TICK_NS = 50 * MS

LAG_NS = 200_000
"""From a bell to the other side's turn, one way: what eventfd and a loop take."""

LOOK_NS = 2 * MS

Act = Callable[..., None]


class Bell:
    """Wakes the other side after a lag, on the made-up axis."""

    fd = -1

    def __init__(self, world: World, act: Act) -> None:
        self._world, self._act, self._is_rung = world, act, False

    def ring(self) -> None:
        """Let the other side turn soon, once."""
        if not self._is_rung:
            self._is_rung = True
            self._world.at(self._world.now_ns + LAG_NS, self._turn)

    def hush(self) -> None:
        """It has been heard."""

    def wait(self, timeout_s: float) -> bool:
        """Let the keeper answer at once: an ask blocks its worker."""
        self._world.turn_keeper()
        return True

    def _turn(self) -> None:
        self._is_rung = False
        self._act()


class World:
    """A clock, a gate, and whatever stands between it and the callers."""

    def __init__(self, n_workers: int, seed: int) -> None:
        self.now_ns = S
        self._events: list[tuple[int, int, Act, tuple[Any, ...]]] = []
        self._n_events = 0
        identities = self.identities = Identities(64, 4_096, 4_096)
        bank = SignalBank(4_096, Shared(16_384, 4_096, 4_096), n_tenants=64)
        self.gate = Gate("tool", [AdaptiveLimit(rng_seed=seed)], bank, identities)
        self.links: list[Link] = []
        self.fronts: list[Any] = [self.gate]
        self.host: Host | None = None
        if n_workers > 1:
            self._employ(n_workers)
        self._tick()

    def _employ(self, n_workers: int) -> None:
        board = Board(n_workers, 1)
        board.close()
        board.keeper_bell = Bell(self, self.turn_keeper)  # type: ignore[assignment]
        board.keeper[KeeperWord.LIFE] = Life.SERVING
        board.worker_bells = []
        for row in range(n_workers):
            bell: Any = Bell(self, lambda row=row: self.links[row].receive())
            board.worker_bells.append(bell)
            board.workers[row][WorkerWord.LIFE] = Life.SERVING
        self.host = Host(board, [self.gate], self.identities)
        self.fronts = []
        for row in range(n_workers):
            link = Link(board, row, clock_ns=lambda: self.now_ns)
            link.soon = lambda link=link: self.at(self.now_ns, link.receive)  # type: ignore[misc]
            self.links.append(link)
            self.fronts.append(RemoteGate(link, 0, "tool"))
        self._look()

    def at(self, at_ns: int, act: Act, *arguments: Any) -> None:
        """Let something happen."""
        self._n_events += 1
        heappush(self._events, (at_ns, self._n_events, act, arguments))

    def run(self, until_ns: int) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until_ns:
            self.now_ns, _, act, arguments = heappop(self._events)
            act(*arguments)

    def front(self, who: int) -> Any:
        """Return the gate that a caller's connection leads to."""
        return self.fronts[who % len(self.fronts)]

    def take(self, came: Arrival) -> Arrival:
        """Return an arrival as the only process reads it."""
        if self.host is None:
            tables = self.identities
            came.tenant = tables.tenants.index(came.tenant, self.now_ns)
            came.flow = tables.flows.index(came.flow, self.now_ns)
            came.tree = tables.trees.index(came.tree, self.now_ns)
        return came

    def tell(self, decisions: Iterable[Decision]) -> None:
        """Let callers hear what the only process has decided."""
        for decision in decisions:
            decision.lease.owner.apply(decision)

    def turn_keeper(self) -> None:
        """Let the keeper read what has come."""
        assert self.host is not None
        self.host.drain()
        self.host.sleep(DOZING)

    def _look(self) -> None:
        self.turn_keeper()
        self.at(self.now_ns + LOOK_NS, self._look)

    def _tick(self) -> None:
        self.at(self.now_ns + TICK_NS, self._tick)
        if self.host is None:
            self.tell(self.gate.tick(self.now_ns))
        else:
            self.host.drain()
            self.host.board.keeper[KeeperWord.BEAT_NS] = self.now_ns
            self.host.tick(self.now_ns)
