"""A keeper and its workers in one process, on a made-up time axis; rings, but no sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Asked, Decision, Lease, LeaseState
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.link import Link
from governor.workers.remote_gate import RemoteGate
from policies.decision import Action, Outcome
from policies.limit import FixedLimit
from signals.calls import ATTEMPT_BITS

MS = 1_000_000
S = 1_000_000_000


class SilentSignals:
    """Signals that see nothing."""

    boundary_ns = 1 << 62
    root = 0
    is_settled = True

    def arrive(self, root: int, now_ns: int, tenant: int, flow: int, *more: int) -> int:
        """Believe the marks."""
        return flow << ATTEMPT_BITS | max(more[2], 0)

    def note(self, *_: int) -> int:
        """Remember nothing."""
        return 1

    note_quota = note

    def tick(self, now_ns: int) -> None:
        """Look across no window."""

    def __getattr__(self, name: str) -> Any:
        """Nothing is expected."""
        if name in ("organic_hz", "retry_ratio", "synchrony_nats"):
            return lambda: 0.0
        if name == "forecast_hz":
            return lambda: [0.0]
        raise AttributeError(name)


class Request:
    """A request at the rim of a worker, or of the only process: hears what is decided.

    Attributes
    ----------
    said : list of (Action, Reason)
        All decisions, in order.
    """

    def __init__(self, gate: Gate | RemoteGate, number: int = 0) -> None:
        self.gate = gate
        self.request_id = b"r%d" % number
        self.lease: Lease | None = None
        self.said: list[tuple[str, str, int, int]] = []
        self.is_waiting = False
        self.is_stuck = False
        self.n_ends = 0

    def start(self, now_ns: int, arrival: Arrival) -> Request:
        """Ask the gate."""
        decision = self.gate.arrive(now_ns, arrival, self)
        self.lease = decision.lease
        self.lease.owner = self
        if type(decision) is Asked:
            self.is_waiting = True
        else:
            self.take(decision)
        return self

    def take(self, decision: Decision) -> None:
        """Do what was decided."""
        self.said.append(
            (
                decision.action.name,
                decision.reason.value,
                decision.retry_after_ns,
                decision.lease.endpoint_idx if decision.action is Action.ADMIT else -1,
            )
        )
        self.is_waiting = decision.action is Action.WAIT
        if decision.action in (Action.ANSWER, Action.DIVERT):
            self.end()

    told = apply = take

    def nowhere_to_go(self) -> None:
        """Hear that there is no other place."""
        self.is_waiting = False
        self.is_stuck = True

    def depart(self, now_ns: int, outcome: Outcome, status: int) -> Sequence[Decision]:
        """End an open call."""
        assert self.lease is not None
        lease = self.lease
        self.end()
        return self.gate.depart(now_ns, lease, outcome, status)

    def leave(self, now_ns: int) -> Sequence[Decision]:
        """The caller goes; who waits is gone at once."""
        assert self.lease is not None
        lease = self.lease
        if self.is_waiting:
            self.end()
        return self.gate.leave(now_ns, lease)

    def end(self) -> None:
        """It has its outcome; nobody has two."""
        self.n_ends += 1
        assert self.n_ends == 1
        self.is_waiting = False
        self.lease = None

    @property
    def is_open(self) -> bool:
        """Whether it holds a place."""
        return self.lease is not None and self.lease.state is LeaseState.OPEN


class Fleet:
    """One keeper, several workers."""

    def __init__(
        self, n_workers: int, gates: Sequence[Gate] = (), identities: Identities | None = None
    ) -> None:
        self.identities = identities or Identities(64, 64, 64)
        self.gates = tuple(gates) or (make_gate(4, self.identities),)
        n_places = sum(len(gate.endpoints) for gate in self.gates)
        self.board = Board(n_workers, n_places, len(self.gates))
        self.now_ns = S
        self.board.keeper[KeeperWord.EPOCH] = 1
        self.board.keeper[KeeperWord.LIFE] = Life.SERVING
        self.board.keeper[KeeperWord.BEAT_NS] = self.now_ns
        self.host = Host(self.board, self.gates, self.identities)
        self.switched: Counter[tuple[int, str, str]] = Counter()
        self.links: list[Link] = []
        self.remote: list[list[RemoteGate]] = []
        for row in range(n_workers):
            self.links.append(None)  # type: ignore[arg-type]
            self.remote.append([])
            self.hire(row)
        self.turn()
        self.host.tick(self.now_ns)

    def hire(self, row: int) -> None:
        """Begin a worker in a row, whatever was there before."""
        words = self.board.workers[row]
        words[WorkerWord.EPOCH] += 1
        words[WorkerWord.LIFE] = Life.SERVING
        link = self.links[row] = Link(
            self.board,
            row,
            clock_ns=lambda: self.now_ns,
            on_switch=lambda name, value: self.switched.update([(row, name, value)]),
        )

        def wait(_: float) -> bool:
            self.host.drain()
            self.now_ns += 20 * MS
            return True

        link.wait = wait
        place = 0
        self.remote[row] = []
        for idx, gate in enumerate(self.gates):
            n = len(gate.endpoints)
            has_choice = gate.fallback is not None
            self.remote[row].append(RemoteGate(link, idx, gate.name, place, n, has_choice))
            place += n
        for idx, gate in enumerate(self.gates):
            if gate.fallback is not None:
                fallback = self.remote[row][self.gates.index(gate.fallback)]
                self.remote[row][idx].fallback = fallback

    def turn(self) -> None:
        """Deliver everything, both ways, until nothing is left to deliver."""
        n_quiet = 0
        for _ in range(50):
            n_quiet = 0 if self.host.drain() else n_quiet + 1
            for link in self.links:
                link.receive()
            if n_quiet == 2:
                return
        raise AssertionError("records without end")

    def close(self) -> None:
        """Let the bells go."""
        self.board.close()


def make_gate(limit: int, identities: Identities, name: str = "up", **options: Any) -> Gate:
    """Return a gate of one endpoint with a fixed limit."""
    signals: Any = SilentSignals()
    options.setdefault("max_wait_ns", 30 * S)
    return Gate(name, [FixedLimit(limit)], signals, identities, **options)


def arrival(who: int, **more: Any) -> Arrival:
    """Return an arrival of somebody, as keys."""
    return Arrival(1_000 + who % 3, 2_000 + who, 3_000 + who, fingerprint=who, **more)


def ask(fleet: Fleet, row: int, who: int = 1, idx: int = 0, **more: object) -> Request:
    """Let a request come to a worker."""
    request = Request(fleet.remote[row][idx], who)
    return request.start(fleet.now_ns, arrival(who, **more))
