"""``python -m bench workers-storm``: one storm before one process, and before several.

The real gate with its real signals and adaptive limit on a made-up time axis; between workers and
keeper real rings, whose records take ``LAG_NS`` where a bell is rung and up to ``LOOK_NS`` where
none is. Services and callers are modelled: slots and a queue, OpenAI's law of retries, patience of
two seconds. The same seeds for every number of workers; what differs between seeds is the noise
that a difference between numbers of workers must be held against.
"""

from __future__ import annotations

import argparse
from collections import Counter, deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import exp
from random import Random
from statistics import median
from typing import Any

from bench.report import save, table
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Asked, Decision, Lease, LeaseState
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.link import Link
from governor.workers.remote_gate import RemoteGate
from governor.workers.ring import DOZING
from policies.decision import Action, Outcome, Reason
from policies.limit import AdaptiveLimit
from signals import Shared, SignalBank

MS = 1_000_000
S = 1_000 * MS
TICK_NS = 50 * MS
LAG_NS = 200_000
"""From a bell to the other side's turn, one way: what eventfd and a loop take."""
LOOK_NS = 2 * MS
TIMEOUT_NS = 2 * S
MAX_RETRIES = 6
MEAN_S, SIGMA = 0.1, 0.5
CROWD_EVERY_NS, CROWD_WITHIN_NS = 4 * S, 20 * MS

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
        self.worst_excess = 0
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


class Service:
    """Slots, a queue, and a time in which it is slow.

    Parameters
    ----------
    queue : int
        Calls that may wait inside; one beyond is refused.
    slow : tuple of int
        From, to, and at which share of its speed in percent.
    """

    def __init__(self, world: World, n_slots: int, queue: int, slow: tuple[int, int, int]) -> None:
        self._world, self._n_free, self._queue, self._slow = world, n_slots, queue, slow
        self._line: deque[Call] = deque()
        self.served_s = self.wasted_s = 0.0

    def enter(self, call: Call) -> None:
        """Serve a call, or let it wait, or refuse it."""
        if self._n_free:
            self._n_free -= 1
            self._serve(call)
        elif len(self._line) < self._queue:
            self._line.append(call)
        else:
            call.refused()

    def _serve(self, call: Call) -> None:
        self._world.at(self._ends_ns(self._world.now_ns, call.work_ns), self._done, call)

    def _done(self, call: Call) -> None:
        self.served_s += call.work_ns / S
        self.wasted_s += call.has_left * call.work_ns / S
        call.done()
        if self._line:
            self._serve(self._line.popleft())
        else:
            self._n_free += 1

    def _ends_ns(self, now_ns: int, work_ns: int) -> int:
        begins_ns, ends_ns, percent = self._slow
        before_ns = max(0, begins_ns - now_ns)
        if now_ns >= ends_ns or work_ns <= before_ns:
            return now_ns + work_ns
        left_ns = work_ns - before_ns
        from_ns = now_ns + before_ns
        slowly_ns = left_ns * 100 // percent
        if from_ns + slowly_ns <= ends_ns:
            return from_ns + slowly_ns
        return ends_ns + left_ns - (ends_ns - from_ns) * percent // 100


class Call:
    """One attempt of an agent's task; the owner of its lease."""

    request_id = b""

    def __init__(self, agent: Agent, attempt: int, work_ns: int) -> None:
        self.agent, self.work_ns = agent, work_ns
        self.has_left = self.is_over = False
        self._is_sent = False
        world = agent.world
        self._gate = world.front(agent.number)
        came = Arrival(9, 10 + agent.number, 10 + agent.number, agent.number, attempt)
        came.is_identified, came.patience_ns = True, TIMEOUT_NS
        world.at(world.now_ns + TIMEOUT_NS, self._give_up)
        decision = self._gate.arrive(world.now_ns, world.take(came), self)
        self.lease: Lease = decision.lease
        self.lease.owner = self
        if type(decision) is not Asked:
            self.told(decision)

    def told(self, decision: Decision) -> None:
        """Do what was decided, first or later."""
        counts = self.agent.storm.decided
        counts[decision.action.name.lower()] += 1
        world = self.agent.world
        if decision.action is Action.ADMIT:
            self._is_sent = True
            self.agent.storm.watch_limit()
            self.agent.storm.service.enter(self)
        elif decision.action is Action.ANSWER:
            self._end()
            self.agent.failed(decision.retry_after_ns or None, world.now_ns)

    apply = told

    def done(self) -> None:
        """The service has answered."""
        outcome = Outcome.ORPHANED if self.has_left else Outcome.COMPLETED
        self._depart(outcome, 200)
        if not self.has_left:
            self._end()
            self.agent.succeeded()

    def refused(self) -> None:
        """The service has refused it."""
        world, gate = self.agent.world, self._gate
        self.agent.storm.n_refused += 1
        gate.refused.note(world.now_ns)
        decision = gate.refused.answer(world.now_ns, self.lease, 429, 0)
        self._depart(Outcome.REFUSED, 429)
        self._end()
        is_given = decision is not None and decision.reason is Reason.SLOT_GIVEN
        wait_ns = decision.retry_after_ns if decision is not None and is_given else None
        self.agent.failed(wait_ns, world.now_ns)

    def _depart(self, outcome: Outcome, status: int) -> None:
        world = self.agent.world
        world.tell(self._gate.depart(world.now_ns, self.lease, outcome, status))

    def _give_up(self) -> None:
        if self.is_over:
            return
        self.has_left = True
        world = self.agent.world
        self._gate.leave(world.now_ns, self.lease)
        self.agent.storm.n_timeouts += 1
        self._end()
        self.agent.failed(None, world.now_ns)

    def _end(self) -> None:
        self.is_over = True


class Agent:
    """Does one task after the other, each with its retries."""

    def __init__(self, storm: Storm, number: int, think_s: float, at_ns: int) -> None:
        self.storm, self.world, self.number = storm, storm.world, number
        self._rng = Random(f"{storm.seed} {number}")
        self._think_s = think_s
        self.world.at(at_ns, self.begin)

    def begin(self) -> None:
        """Begin a task."""
        self.began_ns = self.world.now_ns
        self._attempt = 0
        work_s = MEAN_S * exp(self._rng.gauss(-SIGMA * SIGMA / 2, SIGMA))
        self._work_ns = int(work_s * S)
        self._try()

    def _try(self) -> None:
        self.storm.n_attempts += 1
        Call(self, self._attempt, self._work_ns)

    def succeeded(self) -> None:
        """Think, and go on."""
        self.storm.took_s.append((self.world.now_ns - self.began_ns) / S)
        self._go_on()

    def failed(self, wait_ns: int | None, now_ns: int) -> None:
        """Come back as OpenAI's SDK does: when it is told, else after a back-off."""
        self._attempt += 1
        if self._attempt > MAX_RETRIES:
            self.storm.n_failed += 1
            self._go_on()
            return
        if wait_ns is None:
            back_s = min(0.5 * 2 ** (self._attempt - 1), 8.0) * (1 - 0.25 * self._rng.random())
            wait_ns = int(back_s * S)
        self.world.at(now_ns + wait_ns, self._try)

    def _go_on(self) -> None:
        if self._think_s and self.world.now_ns < self.storm.ends_ns:
            think_ns = int(self._rng.expovariate(1 / self._think_s) * S)
            self.world.at(self.world.now_ns + think_ns, self.begin)


class Storm:
    """One run of one scenario."""

    def __init__(self, name: str, n_workers: int, seed: int, seconds: int) -> None:
        self.seed = seed
        self.decided: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.n_attempts = self.n_failed = self.n_timeouts = self.n_refused = 0
        self.excess = 0
        world = self.world = World(n_workers, seed)
        self.ends_ns = world.now_ns + seconds * S
        rng = Random(seed)
        if name == "stall":
            slow = (9 * S, 13 * S, 10)
            self.service = Service(world, 32, 1 << 30, slow)
            n_agents = 1_600
            think_s = n_agents / 240.0 - 0.11
            for number in range(n_agents):
                Agent(self, number, think_s, world.now_ns + int(rng.uniform(0, think_s) * S))
        else:
            self.service = Service(world, 24, 24, (0, 0, 100))
            for number in range(80):
                Agent(self, number, 80 / 60.0 - 0.11, world.now_ns + rng.randrange(S))
            for at_ns in range(world.now_ns + CROWD_EVERY_NS, self.ends_ns, CROWD_EVERY_NS):
                for number in range(400):
                    Agent(self, 80 + number, 0.0, at_ns + rng.randrange(CROWD_WITHIN_NS))

    def watch_limit(self) -> None:
        """Take note of how far the calls under way exceed the limit."""
        world = self.world
        if world.host is not None:
            held = sum(row[0] for row in world.host.board.opens)
            self.excess = max(self.excess, held - world.gate.limit)
        else:
            self.excess = max(self.excess, world.gate.in_flight - world.gate.limit)

    def run(self) -> dict[str, float]:
        """Play it; return what came of it."""
        self.world.run(self.ends_ns + 60 * S)
        done = sorted(self.took_s)
        ledger, n_tasks = self.world.gate.ledger, len(done) + self.n_failed
        opens = [x for link in self.world.links for x in link.leases.values()]
        assert len([x for x in opens if x.state is LeaseState.OPEN]) == len(opens) == 0
        assert self.world.gate.in_flight == self.world.gate.line_length == 0
        return {
            "tasks": n_tasks,
            "succeeded": len(done) / n_tasks,
            "attempts a task": self.n_attempts / n_tasks,
            "orphaned": self.service.wasted_s / self.service.served_s,
            "p50 s": done[len(done) // 2],
            "p99 s": done[int(len(done) * 0.99)],
            "waited": ledger.n_waited / ledger.n_arrived,
            "sent away": sum(ledger.n_answered.values()) / ledger.n_arrived,
            "refused": self.n_refused / ledger.n_arrived,
            "above the limit": self.excess,
            "faults": ledger.n_faults + (self.world.host.n_faults if self.world.host else 0),
        }


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench workers-storm", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=28)
    parser.add_argument("--workers", default="1,2,4")
    options = parser.parse_args(argv)
    numbers = [int(x) for x in options.workers.split(",")]
    samples: dict[str, list[dict[str, float]]] = {}
    parts = []
    for name in ("stall", "herd"):
        for n in numbers:
            for seed in range(1, options.seeds + 1):
                found = Storm(name, n, seed, options.seconds).run()
                samples.setdefault(f"{name}/{n}", []).append(found)
            print(f"  {name}, {n} workers: {samples[f'{name}/{n}'][-1]}", flush=True)
        rows = [[str(n), *map(show, zip_samples(samples[f"{name}/{n}"]))] for n in numbers]
        head = ["workers", *samples[f"{name}/{numbers[0]}"][0]]
        parts.append(f"**{name}**\n\n{table(head, rows)}")
    title = (
        f"Medians over {options.seeds} seeds, and the range; {options.seconds} s on a made-up "
        f"time axis; a record takes {LAG_NS / MS} ms where a bell is rung, else up to "
        f"{LOOK_NS // MS} ms."
    )
    data = {"options": vars(options), "samples": samples}
    text = "\n\n".join([title, *parts])
    save("workers-storm", " ".join(["workers-storm", *argv]), text, data)
    return 0


def zip_samples(samples: list[dict[str, float]]) -> list[list[float]]:
    """Return each quantity over the seeds."""
    return [[sample[key] for sample in samples] for key in samples[0]]


def show(values: list[float]) -> str:
    """Return the median and the range."""
    return f"{median(values):.4g} ({min(values):.4g}–{max(values):.4g})"
