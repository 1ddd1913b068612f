"""Discrete events on a virtual clock: callers, the project's real gate, a modelled service.

*Theory*: one heap of (instant, order, kind, who). The gate is the real one,
with its dispatcher, reservations and signals; only clock, callers and service
are modelled. Callers wait ``PATIENCE_S`` for a first byte, repeat up to
``N_RETRIES`` times as the OpenAI SDK does, and obey ``Retry-After`` to the
letter. A request whose caller has left goes on in the service and keeps its
lease until it is answered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from bench.limit.scenarios import Scenario
from bench.limit.services import Service
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease
from policies.decision import Action, Outcome
from policies.limit import Limit

PATIENCE_S = 2.0
N_RETRIES = 2
BACKOFF_S = 0.5
BACKOFF_MAX_S = 8.0
BACKOFF_JITTER = (0.75, 1.0)
TICK_S = 0.05
SAMPLE_S = 0.25
N_FLOWS = 4096

_ARRIVE, _LEAVE, _TICK, _CHANGE, _HERD, _SAMPLE, _RETURN = range(7)


class Task:
    """One intent of one caller: up to ``1 + N_RETRIES`` attempts."""

    __slots__ = ("attempt", "flow", "is_done", "is_waiting", "lease", "sent_at_s")

    def __init__(self, flow: int) -> None:
        self.flow = flow
        self.attempt = 0
        self.lease: Lease | None = None
        self.is_done = False
        self.is_waiting = False
        self.sent_at_s = 0.0


class Tally:
    """What happened within one measured window."""

    def __init__(self, name: str, start_s: float, stop_s: float) -> None:
        self.name = name
        self.start_s, self.stop_s = start_s, stop_s
        self.n_good = 0
        self.n_attempts = 0
        self.n_tasks = 0
        self.n_failed = 0
        self.n_held = 0
        self.n_held_free = 0
        self.n_orphaned = 0
        self.n_finished = 0
        self.waits: list[float] = []
        self.limit_sum = 0.0
        self.queue_sum = 0.0
        self.n_samples = 0

    def summary(self) -> dict[str, float]:
        """Return the window's figures."""
        n_served = max(1, self.n_finished)
        ranked = sorted(self.waits)
        return {
            "goodput_hz": self.n_good / (self.stop_s - self.start_s),
            "attempts": self.n_attempts / max(1, self.n_tasks),
            "failed": self.n_failed / max(1, self.n_tasks),
            "orphaned": self.n_orphaned / n_served,
            "held": self.n_held / max(1, self.n_attempts),
            "held_free": self.n_held_free / max(1, self.n_attempts),
            "n_held_free": float(self.n_held_free),
            "limit": self.limit_sum / max(1, self.n_samples),
            "queue": self.queue_sum / max(1, self.n_samples),
            "p50_s": ranked[len(ranked) // 2] if ranked else 0.0,
            "p99_s": ranked[int(0.99 * len(ranked))] if ranked else 0.0,
        }


class Simulation:
    """One run of one scenario with one limit."""

    def __init__(
        self,
        scenario: Scenario,
        service: Service,
        limit: Limit,
        gate: Gate,
        seed: int,
        *,
        patience_s: float = PATIENCE_S,
        is_oracle: bool = False,
    ) -> None:
        self.scenario = scenario
        self.service = service
        self.limit = limit
        self.gate = gate
        self.patience_s = patience_s
        self.is_oracle = is_oracle
        self.rng = random.Random(seed * 7919 + 17)
        self.slots = service.slots
        mean_s = 0.5 * sum(STREAM_MEAN) if service.is_stream else service.law.mean_s
        self.capacity_hz = service.slots / mean_s
        self.events: list[tuple[float, int, int, Any]] = []
        self.n_events = 0
        self.n_tasks = 0
        self.tallies = [Tally(k, *w) for k, w in scenario.windows.items()]
        self.tally: list[Tally] = []
        self.trace: list[tuple[float, float]] = []
        self.good_per_s: list[int] = [0] * (int(scenario.duration_s) + 1)

    # -- events ---------------------------------------------------------------

    def push(self, at_s: float, kind: int, who: Any = None) -> None:
        """Schedule one event."""
        self.n_events += 1
        heappush(self.events, (at_s, self.n_events, kind, who))

    def run(self) -> dict[str, dict[str, float]]:
        """Play the scenario; return the figures by window."""
        scenario, service, events = self.scenario, self.service, self.events
        self.push(TICK_S, _TICK)
        self.push(SAMPLE_S, _SAMPLE)
        self._next_arrival(0.0)
        for change in scenario.changes:
            self.push(change.at_s, _CHANGE, change)
        if scenario.herd_at_s >= 0.0:
            self.push(scenario.herd_at_s, _HERD)
        for tally in self.tallies:
            self.push(tally.start_s, _SAMPLE, tally)
            self.push(tally.stop_s, _SAMPLE, tally)
        duration_s = scenario.duration_s
        while True:
            service_at_s = service.next_at()
            at_s = events[0][0]
            if service_at_s <= at_s:
                if service_at_s > duration_s:
                    break
                self._on_service(service_at_s)
                continue
            if at_s > duration_s:
                break
            _, _, kind, who = heappop(events)
            if kind == _ARRIVE:
                self._next_arrival(at_s)
                self._fresh(at_s)
            elif kind == _LEAVE:
                self._on_leave(at_s, who)
            elif kind == _RETURN:
                self._send(at_s, who)
            elif kind == _TICK:
                self.push(at_s + TICK_S, _TICK)
                self._apply_all(at_s, self.gate.tick(int(at_s * 1e9)))
            else:
                self._on_rare(at_s, kind, who)
        return {tally.name: tally.summary() for tally in self.tallies}

    def _on_rare(self, now_s: float, kind: int, who: Any) -> None:
        service = self.service
        if kind == _HERD:
            for _ in range(self.scenario.n_herd):
                self._fresh(now_s)
        elif kind == _CHANGE:
            if who.speed is not None:
                service.set_speed(now_s, who.speed)
            if who.slots_share is not None:
                slots = max(1, round(self.slots * who.slots_share))
                service.set_slots(now_s, slots)
                if self.is_oracle:
                    self.limit.limit = slots
        elif who is not None:
            self.tally = [x for x in self.tallies if x.start_s <= now_s < x.stop_s]
        else:
            self.push(now_s + SAMPLE_S, _SAMPLE)
            self.trace.append((now_s, float(self.limit.limit)))
            for tally in self.tally:
                tally.limit_sum += self.limit.limit
                tally.queue_sum += max(0, service.n - service.slots) / service.slots
                tally.n_samples += 1

    def _next_arrival(self, now_s: float) -> None:
        """Draw the next organic arrival (thinning for a load that changes)."""
        scenario = self.scenario
        top = scenario.load_max
        while True:
            now_s += self.rng.expovariate(top * self.capacity_hz)
            if self.rng.random() * top < scenario.load(now_s):
                break
            if now_s > scenario.duration_s:
                break
        self.push(now_s, _ARRIVE)

    # -- callers --------------------------------------------------------------

    def _fresh(self, now_s: float) -> None:
        self.n_tasks += 1
        for tally in self.tally:
            tally.n_tasks += 1
        self._send(now_s, Task(1 + self.n_tasks % (N_FLOWS - 1)))

    def _send(self, now_s: float, task: Task) -> None:
        task.sent_at_s = now_s
        task.is_waiting = True
        for tally in self.tally:
            tally.n_attempts += 1
        self.push(now_s + self.patience_s, _LEAVE, (task, task.attempt))
        decision = self.gate.arrive(int(now_s * 1e9), self._arrival_of(task), task)
        task.lease = decision.lease
        if decision.action is Action.ADMIT:
            self._start(now_s, decision.lease)
            return
        service = self.service
        for tally in self.tally:
            tally.n_held += 1
            if service.n < service.slots:
                tally.n_held_free += 1
        if decision.action is Action.ANSWER:
            self._on_refusal(now_s, decision)

    def _arrival_of(self, task: Task) -> Arrival:
        return Arrival(
            flow=task.flow,
            tree=task.flow,
            fingerprint=task.flow,
            attempt=task.attempt,
            is_identified=True,
        )

    def _on_leave(self, now_s: float, who: tuple[Task, int]) -> None:
        task, attempt = who
        if not task.is_waiting or task.attempt != attempt:
            return
        assert task.lease is not None
        task.is_waiting = False
        decisions = self.gate.leave(int(now_s * 1e9), task.lease)
        self._apply_all(now_s, decisions)
        low, high = BACKOFF_JITTER
        backoff_s = min(BACKOFF_MAX_S, BACKOFF_S * 2.0**task.attempt)
        self._again(now_s, backoff_s * (low + (high - low) * self.rng.random()), task)

    def _on_refusal(self, now_s: float, decision: Decision) -> None:
        task = decision.lease.owner
        task.is_waiting = False
        self._again(now_s, decision.retry_after_ns * 1e-9, task)

    def _on_end(self, now_s: float, task: Task) -> None:
        """Take note that a task has ended, well or not."""

    def _again(self, now_s: float, wait_s: float, task: Task) -> None:
        if task.attempt >= N_RETRIES:
            task.is_done = True
            for tally in self.tally:
                tally.n_failed += 1
            self._on_end(now_s, task)
            return
        task.attempt += 1
        self.push(now_s + wait_s, _RETURN, task)

    def _apply_all(self, now_s: float, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if decision.action is Action.ADMIT:
                self._start(now_s, decision.lease)
            else:
                self._on_refusal(now_s, decision)

    # -- service ---------------------------------------------------------------

    def _start(self, now_s: float, lease: Lease) -> None:
        self.service.start(now_s, lease)

    def _on_service(self, now_s: float) -> None:
        lease, is_first_byte = self.service.finish(now_s)
        task = lease.owner
        is_present = task.lease is lease and (task.is_waiting or not lease.has_left)
        if is_first_byte:
            if is_present:
                task.is_waiting = False
            self.gate.answered(int(now_s * 1e9), lease, 200)
            return
        if is_present:
            task.is_waiting = False
            if not task.is_done:
                task.is_done = True
                self.good_per_s[int(now_s)] += 1
                for tally in self.tally:
                    tally.n_good += 1
                    tally.waits.append(now_s - task.sent_at_s)
                self._on_end(now_s, task)
        for tally in self.tally:
            tally.n_finished += 1
            tally.n_orphaned += lease.has_left
        outcome = Outcome.ORPHANED if lease.has_left else Outcome.COMPLETED
        self._apply_all(now_s, self.gate.depart(int(now_s * 1e9), lease, outcome, 200))


STREAM_MEAN = (5.0 + 0.57, 60.0 + 0.57)
