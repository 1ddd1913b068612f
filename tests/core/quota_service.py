"""A provider with a quota, its callers and the real gate, on a made-up time axis.

*Rule of this file*: discrete events, no sleeping. Callers follow the OpenAI SDK's
law; the provider takes tokens from a bucket and refuses at once where there is none.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from bench.service.bucket import TokenBucket
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision, Lease
from governor.load.laws import LAWS, Failure
from policies.decision import Action, Outcome
from policies.limit.adaptive import AdaptiveLimit

N_FLOWS = 2048
TICK_S = 0.05


@dataclass(frozen=True)
class Provider:
    """The scenario's numbers: a quota, organic demand, and a herd that begins within 100 ms."""

    quota_hz: float = 80.0
    depth: float = 40.0
    retry_after_s: int = 3
    organic_share: float = 0.5
    herd_s: float = 3.75
    """Of the quota."""
    at_s: float = 10.0
    again_at_s: float = 0.0
    mean_s: float = 0.3
    sigma: float = 0.3
    reply_s: float = 0.002
    """What a refusal takes."""
    patience_s: float = 30.0
    stop_s: float = 20.0

    @property
    def n_herd(self) -> int:
        """Agents that begin at once."""
        return round(self.herd_s * self.quota_hz)

    @property
    def busy_s(self) -> float:
        """How long there is surely more to do than the quota lets through, from the return on."""
        n_left = self.n_herd - self.depth
        return 0.9 * n_left / (self.quota_hz * (1.0 - self.organic_share))


@dataclass(eq=False)
class Task:
    """One intent of one caller."""

    flow: int
    is_herd: bool
    began_s: float
    attempt: int = 0
    lease: Lease | None = None
    ended_s: float = -1.0
    is_done: bool = False


@dataclass
class World:
    """One run; ``accepted_s`` and ``refused_s`` are the instants at which calls reached it."""

    provider: Provider
    gate: Gate
    seed: int
    tasks: list[Task] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)

    def run(self) -> World:
        """Play until all tasks have ended."""
        provider = self.provider
        self.rng = rng = random.Random(self.seed)
        self.bucket = TokenBucket(provider.quota_hz, provider.depth, 0.0)
        self.events: list[tuple[float, int, str, Any]] = []
        self.n_events = 0
        now_s = 0.0
        while now_s < provider.stop_s:
            now_s += rng.expovariate(provider.organic_share * provider.quota_hz)
            self.push(now_s, "fresh", False)
        for at_s in (provider.at_s, provider.again_at_s):
            for _ in range(provider.n_herd if at_s else 0):
                self.push(at_s + 0.1 * rng.random(), "fresh", True)
        self.push(TICK_S, "tick", None)
        while self.events:
            now_s, _, kind, who = heappop(self.events)
            if now_s > provider.stop_s + 30.0:
                break
            getattr(self, f"on_{kind}")(now_s, who)
        return self

    def push(self, at_s: float, kind: str, who: Any) -> None:
        """Schedule one event."""
        self.n_events += 1
        heappush(self.events, (at_s, self.n_events, kind, who))

    def on_tick(self, now_s: float, _: None) -> None:
        """Let the gate look at the time."""
        self.push(now_s + TICK_S, "tick", None)
        self.do(now_s, self.gate.tick(int(now_s * 1e9)))

    def on_fresh(self, now_s: float, is_herd: bool) -> None:
        """Begin a task."""
        task = Task(1 + len(self.tasks) % (N_FLOWS - 2), is_herd, now_s)
        self.tasks.append(task)
        self.on_send(now_s, task)

    def on_send(self, now_s: float, task: Task) -> None:
        """Send one attempt."""
        arrival = Arrival(
            tenant=1,
            flow=task.flow,
            tree=task.flow,
            fingerprint=1,
            attempt=task.attempt,
            is_identified=True,
            patience_ns=int(self.provider.patience_s * 1e9),
        )
        decision = self.gate.arrive(int(now_s * 1e9), arrival, task)
        if decision.action is not Action.WAIT:
            self.do(now_s, [decision])

    def do(self, now_s: float, decisions: Sequence[Decision]) -> None:
        """Send what is admitted; turn away what is answered."""
        for decision in decisions:
            if decision.action is Action.ADMIT:
                reached_s = now_s + 0.0002 + 0.001 * self.rng.random()
                self.push(reached_s, "reach", decision.lease)
            else:
                self.fail(now_s, decision.lease.owner, decision.retry_after_ns)

    def on_reach(self, now_s: float, lease: Lease) -> None:
        """Take a token or refuse."""
        provider = self.provider
        if self.bucket.take(now_s):
            self.accepted_s.append(now_s)
            service_s = provider.mean_s * self.rng.lognormvariate(0.0, provider.sigma)
            self.push(now_s + service_s, "answer", lease)
        else:
            self.refused_s.append(now_s)
            self.push(now_s + provider.reply_s * (1.0 + self.rng.random()), "refuse", lease)

    def on_answer(self, now_s: float, lease: Lease) -> None:
        """Complete a task."""
        task = lease.owner
        task.is_done, task.ended_s = True, now_s
        self.do(now_s, self.gate.depart(int(now_s * 1e9), lease, Outcome.COMPLETED, 200))

    def on_refuse(self, now_s: float, lease: Lease) -> None:
        """Hand a refusal on, with the slot that the gate gives."""
        now_ns = int(now_s * 1e9)
        asked_ns = self.provider.retry_after_s * 1_000_000_000
        refused = self.gate.refused
        refused.note(now_ns)
        decision = refused.answer(now_ns, lease, 429, asked_ns)
        wait_ns = asked_ns if decision is None else decision.retry_after_ns
        decisions = self.gate.depart(now_ns, lease, Outcome.REFUSED, 429, wait_ns)
        self.fail(now_s, lease.owner, wait_ns)
        self.do(now_s, decisions)

    def fail(self, now_s: float, task: Task, wait_ns: int) -> None:
        """Let the caller do what its SDK does after a 429."""
        headers = {"retry-after-ms": str(wait_ns / 1e6)} if wait_ns else {}
        delay_s = LAWS["openai"].next_delay_s(task.attempt, self.rng, Failure(429, headers))
        if delay_s is None:
            task.ended_s = now_s
            return
        task.attempt += 1
        self.push(now_s + delay_s, "send", task)

    # -- what came of it ------------------------------------------------------------

    def figures(self, from_s: float, herd_s: float) -> dict[str, float]:
        """Return goodput over the quota while there is enough to do, and the wave's shape."""
        provider = self.provider
        to_s = from_s + provider.busy_s
        n_good = sum(from_s <= x < to_s for x in self.accepted_s)
        herd = [x for x in self.tasks if x.is_herd and herd_s <= x.began_s < herd_s + 1.0]
        done_s = [x.ended_s for x in herd if x.is_done]
        end_s = max(from_s + 1.0, *done_s) if done_s else provider.stop_s
        wave = sorted(x for x in self.accepted_s + self.refused_s if from_s <= x < end_s)
        peak = max((sum(a <= x < a + 1.0 for x in wave) for a in wave), default=0)
        mean_hz = len(wave) / (end_s - from_s)
        took_s = sorted(x.ended_s - x.began_s for x in self.tasks if x.is_done and not x.is_herd)
        return {
            "goodput": n_good / (provider.quota_hz * provider.busy_s),
            "used": sum(herd_s <= x < end_s for x in self.accepted_s)
            / (provider.depth + provider.quota_hz * (end_s - herd_s)),
            "wave": peak / mean_hz if mean_hz else 0.0,
            "refused": float(len(self.refused_s)),
            "after": sum(x >= from_s for x in self.refused_s),
            "herd_ok": sum(x.is_done for x in herd) / len(herd),
            "ok": sum(x.is_done for x in self.tasks) / len(self.tasks),
            "herd_s": end_s - herd_s,
            "organic_p99_s": took_s[int(0.99 * len(took_s))],
        }


def make_world(provider: Provider, seed: int, signals: Any) -> World:
    """Return a run that is ready to start, with an adaptive limit as configured by default."""
    identities = Identities(n_tenants=4, n_flows=N_FLOWS, n_trees=N_FLOWS)
    identities.tenants.index(1, 0)
    for key in range(1, N_FLOWS):
        identities.flows.index(key, 0)
        identities.trees.index(key, 0)
    gate = Gate("provider", [AdaptiveLimit(rng_seed=1)], signals, identities)
    return World(provider, gate, seed)
