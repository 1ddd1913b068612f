"""One run of one scenario: who comes, against what, and what came of it."""

from __future__ import annotations

from collections import Counter
from random import Random

from bench.workers_storm.callers import Agent
from bench.workers_storm.service import Service
from bench.workers_storm.world import MS, S, World
from governor.core.lease import LeaseState

CROWD_EVERY_NS, CROWD_WITHIN_NS = 4 * S, 20 * MS


class Storm:
    """One run of one scenario."""

    def __init__(self, name: str, n_workers: int, seed: int, seconds: int) -> None:
        self.seed = seed
        self.decided: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.n_attempts = self.n_failed = self.n_refused = 0
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
