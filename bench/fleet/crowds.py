"""The noisy tenant and the herd of ``bench storm``, before several gates on a virtual clock.

*Rule of this file*: whose calls they are and when they begin. Numbers are those of
:mod:`bench.storm.noisy` and :mod:`bench.storm.herd`; the service refuses beyond its line as there.
An agent always calls the same governor, as over a connection that it keeps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bench.fleet.simulation import Crew, FleetSimulation, Weather, make_gates
from bench.limit.scenarios import Scenario, constant
from bench.limit.services import Law, Service
from bench.limit.simulator import BACKOFF_S, Task
from bench.storm import herd, noisy
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Lease
from policies.decision import Outcome

_BEGIN, _ROUND, _SETTLED, _REFUSED = 110, 111, 112, 113
SETTLE_S = 2.0
PACE_S = 0.000_15
"""Between two calls of a herd, at least: on one machine callers and governors take their time, and
400 calls are before three governors within 60 ms, not within the 20 in which they were due."""

WINDOW_S = 0.02
"""A herd's first instant lies anywhere in the window in which arrivals are counted."""
REFUSED_STATUS = 503
REFUSAL_S = 0.001
"""Until a refusal is there: a round trip on one machine."""

N_TENANTS = 16


@dataclass(frozen=True)
class Group:
    """Agents that are alike.

    Attributes
    ----------
    rate_hz : float
        Of an open group's calls; 0 for others.
    think_s : float
        Mean pause of a closed group's agent; 0 for others.
    every_s, spread_s : float
        Between two rounds of a herd, and within one; 0 for others.
    """

    name: str
    tenant: int
    n: int
    rate_hz: float = 0.0
    think_s: float = 0.0
    every_s: float = 0.0
    spread_s: float = 0.0


@dataclass(frozen=True)
class Crowd:
    """Groups before a service; who is watched."""

    name: str
    groups: tuple[Group, ...]
    watched: tuple[str, ...]
    slots: int
    seconds: float
    patience_s: float
    queue_bound: int = 1 << 30
    is_named: bool = False


NOISY = Crowd(
    "noisy",
    (
        *(Group(x, 1 + i, 20, rate_hz=noisy.VICTIM_HZ) for i, x in enumerate(noisy.VICTIMS)),
        Group(noisy.NOISY, noisy.N_TENANTS, 20, rate_hz=noisy.NOISY_HZ),
    ),
    noisy.VICTIMS,
    noisy.N_SLOTS,
    noisy.SECONDS,
    5.0,
)
HERD = Crowd(
    "herd beside callers",
    (
        Group("callers", 1, herd.N_CALLERS, think_s=herd.N_CALLERS / herd.CALLERS_HZ - 0.11),
        Group("herd", 1, herd.N_HERD, every_s=herd.EVERY_S, spread_s=herd.SPREAD_S),
    ),
    ("callers",),
    herd.N_SLOTS,
    herd.SECONDS,
    10.0,
    queue_bound=herd.QUEUE_BOUND,
    is_named=True,
)
CROWDS = {"noisy": NOISY, "crowd": HERD}
"""By the name under which ``bench fleet simulated`` plays them."""

COLUMNS = (
    *("goodput_hz", "busy", "watched_p50_s", "watched_p99_s", "p99_s"),
    *("attempts", "failed", "refused", "limit", "herd_over_work"),
)
WORST = ("watched_p99_s", "herd_over_work")
"""Of these the worst seed is told beside the mean: a caller meets one run, not the mean of them."""


class Intent(Task):
    """One task of one agent of a group."""

    __slots__ = ("began_s", "group", "work_s")

    def __init__(self, flow: int, group: Group, began_s: float) -> None:
        super().__init__(flow)
        self.group = group
        self.began_s = began_s
        self.work_s = 0.0


class LoyalCrew(Crew):
    """Gates whose callers stay with them."""

    def _draw(self, arrival: Arrival) -> Gate:
        return self.gates[arrival.flow % len(self.gates)]


class KeptLaw(Law):
    """A law that remembers what it drew last."""

    last_s = 0.0

    def draw(self) -> float:
        """Return the next service time."""
        self.last_s = super().draw()
        return self.last_s


class CountedService(Service):
    """A service that knows how much of its slots was used, and what for."""

    def _serve(self, job: Lease) -> None:
        super()._serve(job)
        assert isinstance(self.law, KeptLaw)
        job.owner.work_s += self.law.last_s

    def advance(self, now_s: float) -> None:
        """Move virtual time, and count."""
        self.busy_s += (now_s - self.at_s) * len(self.heap)
        super().advance(now_s)


class CrowdSimulation(FleetSimulation):
    """One run of one crowd."""

    def __init__(
        self, crowd: Crowd, crew: Crew, seed: int, tick_s: float, weather: Weather
    ) -> None:
        service = CountedService("slots", crowd.slots, KeptLaw("lognormal 0.5", seed * 101 + 7))
        seconds = crowd.seconds
        scenario = Scenario(
            name=crowd.name,
            duration_s=seconds,
            load=constant(0.0),
            windows={"all": (SETTLE_S, seconds)},
        )
        super().__init__(scenario, service, crew, seed, tick_s=tick_s, weather=weather)
        self.crowd = crowd
        self.patience_s = crowd.patience_s
        self.took_s: list[float] = []
        self.n_refused = 0
        self.work_s = 0.0
        """Of all but herds."""
        self.phase_s = WINDOW_S * random.Random(seed * 13 + 1).random()
        self.rounds: dict[int, list[tuple[float, Intent]]] = {}
        """Of herds: when each task ended, by its round."""
        self.busy_before_s = 0.0
        self.push(SETTLE_S, _SETTLED)
        self._next_flow = {
            group.name: sum(x.n for x in crowd.groups[:idx])
            for idx, group in enumerate(crowd.groups)
        }
        self._first_flow = dict(self._next_flow)
        for group in crowd.groups:
            if group.rate_hz:
                self.push(self.rng.expovariate(group.rate_hz), _BEGIN, (group, -1))
            elif group.every_s:
                self.push(group.every_s + self.phase_s, _ROUND, group)
            else:
                for agent in range(group.n):
                    at_s = self.rng.expovariate(1.0 / group.think_s)
                    self.push(at_s, _BEGIN, (group, agent))

    def _next_arrival(self, now_s: float) -> None:
        """Groups draw theirs."""

    def _on_rare(self, now_s: float, kind: int, who: Any) -> None:
        if kind == _BEGIN:
            group, agent = who
            if group.rate_hz:
                self.push(now_s + self.rng.expovariate(group.rate_hz), _BEGIN, (group, -1))
                agent = self._next_flow[group.name]
                self._next_flow[group.name] = (agent + 1) % group.n
            self._begin(now_s, group, agent)
        elif kind == _ROUND:
            self.push(now_s + who.every_s, _ROUND, who)
            due_s = sorted(who.spread_s * self.rng.random() for _ in range(who.n))
            agents = self.rng.sample(range(who.n), who.n)
            at_s = 0.0
            for agent, after_s in zip(agents, due_s, strict=True):
                at_s = max(at_s + PACE_S, after_s)
                self.push(now_s + at_s, _BEGIN, (who, agent))
        elif kind == _REFUSED:
            self._refuse(now_s, who)
        elif kind == _SETTLED:
            self.service.advance(now_s)
            self.busy_before_s = self.service.busy_s
        else:
            super()._on_rare(now_s, kind, who)

    def _begin(self, now_s: float, group: Group, agent: int) -> None:
        for tally in self.tally:
            tally.n_tasks += 1
        flow = 1 + self._first_flow[group.name] + agent
        self._send(now_s, Intent(flow, group, now_s))

    def _arrival_of(self, task: Task) -> Arrival:
        assert isinstance(task, Intent)
        return Arrival(
            tenant=task.group.tenant,
            flow=task.flow,
            tree=task.flow,
            fingerprint=task.flow,
            attempt=task.attempt,
            is_identified=self.crowd.is_named,
        )

    # -- service: it refuses beyond its line --------------------------------------

    def _start(self, now_s: float, lease: Lease) -> None:
        service = self.service
        if len(service.queue) < self.crowd.queue_bound or len(service.heap) < service.slots:
            service.start(now_s, lease)
            return
        self.push(now_s + REFUSAL_S, _REFUSED, lease)

    def _refuse(self, now_s: float, lease: Lease) -> None:
        self.n_refused += 1
        now_ns = int(now_s * 1e9)
        gate, task = self.crew.gate_of(lease), lease.owner
        gate.refused.note(now_ns)
        slot = gate.refused.answer(now_ns, lease, REFUSED_STATUS, 0)
        decisions = self.crew.depart(now_ns, lease, Outcome.REFUSED, REFUSED_STATUS)
        if task.lease is lease and task.is_waiting:
            task.is_waiting = False
            wait_s = slot.retry_after_ns * 1e-9 if slot is not None else 0.0
            self._again(now_s, wait_s or BACKOFF_S * 2.0**task.attempt, task)
        self._apply_all(now_s, decisions)

    def _on_end(self, now_s: float, task: Task) -> None:
        assert isinstance(task, Intent)
        group = task.group
        if group.name in self.crowd.watched and task.began_s >= SETTLE_S:
            self.took_s.append(now_s - task.began_s)
        if group.every_s:
            self.rounds.setdefault(int(task.began_s / group.every_s), []).append((now_s, task))
        else:
            self.work_s += task.work_s
        if group.think_s:
            agent = task.flow - 1 - self._first_flow[group.name]
            at_s = now_s + self.rng.expovariate(1.0 / group.think_s)
            self.push(at_s, _BEGIN, (group, agent))

    def herd_over_work(self) -> float:
        """Return the worst round's time over its work on the slots that the others leave."""
        left = self.crowd.slots - self.work_s / self.crowd.seconds
        n_whole = sum(x.n for x in self.crowd.groups if x.every_s)
        spans = [0.0]
        for ended in self.rounds.values():
            work_s = sum(task.work_s for _, task in ended)
            began_s = min(task.began_s for _, task in ended)
            last_s = max(x for x, _ in ended) if len(ended) >= n_whole else self.crowd.seconds
            spans.append((last_s - began_s) * left / work_s)
        return max(spans)


def make_crowd(
    crowd: Crowd,
    seed: int,
    n: int,
    *,
    is_shared: bool = True,
    tick_s: float = 0.1,
    weather: Weather | None = None,
) -> CrowdSimulation:
    """Return a run that is ready to start."""
    gates = make_gates(n, crowd.slots, seed, is_shared=is_shared)
    for gate in gates:
        for key in range(1, N_TENANTS - 1):
            gate.identities.tenants.index(key, 0)
    crew = LoyalCrew(gates, [1.0] * n, seed)
    if is_shared:
        crew.share_view(tick_s)
    return CrowdSimulation(crowd, crew, seed, tick_s, weather or Weather())


def play(simulation: CrowdSimulation) -> dict[str, float]:
    """Play it; return goodput, how busy the service was, and the watched groups' times."""
    figures = simulation.run()["all"]
    crowd, service = simulation.crowd, simulation.service
    service.advance(crowd.seconds)
    slot_s = crowd.slots * (crowd.seconds - SETTLE_S)
    took_s = sorted(simulation.took_s) or [0.0]
    return {
        "goodput_hz": figures["goodput_hz"],
        "busy": (service.busy_s - simulation.busy_before_s) / slot_s,
        "watched_p50_s": took_s[len(took_s) // 2],
        "watched_p99_s": took_s[int(0.99 * len(took_s))],
        "p99_s": figures["p99_s"],
        "attempts": figures["attempts"],
        "failed": figures["failed"],
        "refused": float(simulation.n_refused),
        "limit": figures["limit"],
        "herd_over_work": simulation.herd_over_work(),
    }
