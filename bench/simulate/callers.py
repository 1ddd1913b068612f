"""The socket benchmark's callers on the virtual clock: patience, laws, connections, shapes.

*Rule of this file*: who calls when. Laws are :mod:`governor.load.laws`', instants and draws
:mod:`governor.load.schedule`'s with the same lanes of the same seed, and what happened goes into
the same :class:`~governor.load.record.Recorder`; so a run here and one on sockets begin with
the same tasks, and one function measures both.

*Regime*: closed and open models, ramps and herds. Fan-outs are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random

from bench.simulate.clock import Agenda
from bench.simulate.front import Front
from bench.simulate.service import Headers, NotSimulated
from governor.core.lease import Lease
from governor.load.calls import KEEPALIVE_S
from governor.load.laws import LAWS, TRANSPORT, Failure, RetryQuota, retry_after_s
from governor.load.plan import Closed, Fanout, Group, Herd, Plan
from governor.load.record import ANSWERED, TIMED_OUT, Recorder
from governor.load.schedule import (
    arrivals_s,
    draw_demand_s,
    herd_starts_s,
    points_of,
    rng_for,
)

OnEnd = Callable[[float], None]


class Agent:
    """A client of its own with its own connections."""

    __slots__ = ("front", "idle", "index", "key", "number", "quota")

    def __init__(self, index: int, number: int, group: Group, front: Front) -> None:
        self.index = index
        self.number = number
        self.front = front
        self.key = group.key.replace("{agent}", str(index))
        self.idle: list[tuple[int, float]] = []
        self.quota = RetryQuota() if group.client == "boto3" else None

    def take_connection(self, now_s: float, fresh: Iterator[int]) -> int:
        """Return the number of an idle connection that is still good, else of a new one."""
        while self.idle:
            connection, since_s = self.idle.pop()
            if now_s - since_s <= KEEPALIVE_S:
                return connection
        return next(fresh)


class Call:
    """One task, and its attempt under way: up to 1 + retries of them."""

    __slots__ = (
        "_fleet",
        "_is_open",
        "_on_end",
        "_owner",
        "_taken",
        "agent",
        "connection",
        "demand_s",
        "group_idx",
        "key",
        "lease",
        "number",
        "retries",
        "task",
    )

    def __init__(
        self, fleet: Fleet, group_idx: int, owner: Agent, due_s: float, demand_s: float, end: OnEnd
    ) -> None:
        self._fleet = fleet
        self._owner = owner
        self._on_end = end
        self._taken = 0
        self._is_open = False
        self.agent = owner.number
        self.connection = -1
        self.demand_s = demand_s
        self.group_idx = group_idx
        self.key = owner.key
        self.lease: Lease | None = None
        self.number = -1
        self.retries = 0
        self.task = fleet.record.begin_task(group_idx, 0, owner.index, -1, 0, due_s, demand_s)
        fleet.n_open += 1

    def attempt(self, now_s: float, _: object = None) -> None:
        """Call, on an idle connection if there is one."""
        fleet = self._fleet
        attempt = Attempt(self, fleet.record.begin_attempt(self.task, now_s))
        attempt.connection = self._owner.take_connection(now_s, fleet.connections)
        fleet.agenda.at(
            now_s + fleet.plan.groups[self.group_idx].timeout_s, self._on_timeout, attempt
        )
        self._owner.front.send(now_s, attempt)

    def _on_timeout(self, now_s: float, attempt: Attempt) -> None:
        if attempt.is_open:
            attempt.is_open = False
            self._owner.front.leave(now_s, attempt)
            self._end(now_s, attempt, TRANSPORT, {}, TIMED_OUT)

    def on_reply(self, now_s: float, attempt: Attempt, status: int, headers: Headers) -> None:
        """Take the reply of an attempt that somebody waits for."""
        attempt.is_open = False
        self._owner.idle.append((attempt.connection, now_s))
        self._end(now_s, attempt, status, headers, ANSWERED)

    def _end(
        self, now_s: float, attempt: Attempt, status: int, headers: Headers, loss: int
    ) -> None:
        fleet = self._fleet
        is_done = 200 <= status < 300
        delay_s = hint_s = None
        if not is_done:
            failure = Failure(status, headers)
            hint_s = retry_after_s(failure) if headers else None
            delay_s = self._next_delay_s(failure, now_s)
        elif self._owner.quota is not None:
            self._owner.quota.give_back(self._taken)
        told_s = -1.0 if hint_s is None else hint_s
        fleet.record.end_attempt(attempt.number, now_s, -1.0, status, loss, told_s)
        if delay_s is not None:
            self.retries += 1
            fleet.agenda.at(now_s + delay_s, self.attempt)
            return
        fleet.record.end_task(self.task, now_s, is_done)
        fleet.n_open -= 1
        self._on_end(now_s)

    def _next_delay_s(self, failure: Failure, now_s: float) -> float | None:
        fleet = self._fleet
        group = fleet.plan.groups[self.group_idx]
        law = LAWS[group.client]
        began_s = fleet.record.tasks["began_s"][self.task]
        delay_s = law.next_delay_s(
            self.retries, fleet.rng, failure, group.max_retries, now_s - began_s
        )
        if delay_s is not None and self._owner.quota is not None:
            self._taken = self._owner.quota.take(failure)
            return delay_s if self._taken else None
        return delay_s


class Attempt:
    """One attempt of a call, as a front sees it."""

    __slots__ = (
        "_call",
        "agent",
        "connection",
        "demand_s",
        "group_idx",
        "is_open",
        "key",
        "lease",
        "number",
        "retries",
    )

    def __init__(self, call: Call, number: int) -> None:
        self._call = call
        self.number = number
        self.retries = call.retries
        self.demand_s = call.demand_s
        self.connection = -1
        self.agent = call.agent
        self.group_idx = call.group_idx
        self.key = call.key
        self.lease: Lease | None = None
        self.is_open = True

    def replied(self, now_s: float, status: int, headers: Headers) -> None:
        """Take the reply, if its caller is still there."""
        if self.is_open:
            self._call.on_reply(now_s, self, status, headers)


class Fleet:
    """All groups of a plan.

    Parameters
    ----------
    agenda : Agenda
    plan : Plan
    front_of : callable
        (group, agent) -> what stands in front of that agent.
    """

    def __init__(self, agenda: Agenda, plan: Plan, front_of: Callable[[int, int], Front]) -> None:
        self.agenda = agenda
        self.plan = plan
        self.rng = Random(f"{plan.seed}/jitter")
        self.record = Recorder()
        self.connections = count()
        self.n_open = 0
        self.began_s = agenda.now_s
        self._front_of = front_of
        self._n_agents = 0

    @property
    def is_idle(self) -> bool:
        """Whether no task is open."""
        return self.n_open == 0

    def start(self) -> None:
        """Let every group begin."""
        for group_idx, group in enumerate(self.plan.groups):
            agents = [
                Agent(index, self._n_agents + index, group, self._front_of(group_idx, index))
                for index in range(group.n_agents)
            ]
            self._n_agents += group.n_agents
            shape = group.shape
            if isinstance(shape, Fanout):
                raise NotSimulated("fan-outs are measured on sockets only")
            if isinstance(shape, Closed):
                for agent in agents:
                    Thinker(self, group_idx, agent, shape).think(self.began_s)
            elif isinstance(shape, Herd):
                for agent in agents:
                    Member(self, group_idx, agent, shape).wait()
            else:
                instants = arrivals_s(
                    points_of(shape), rng_for(self.plan.seed, group_idx, 0), self.plan.seconds
                )
                Arrivals(self, group_idx, agents, instants).wait()

    def is_open(self, now_s: float) -> bool:
        """Whether tasks still begin."""
        return now_s < self.began_s + self.plan.seconds

    def begin(
        self, group_idx: int, agent: Agent, now_s: float, demand_s: float, end: OnEnd
    ) -> None:
        """Begin a task."""
        Call(self, group_idx, agent, now_s, demand_s, end).attempt(now_s)


class Thinker:
    """One agent of a closed model."""

    __slots__ = ("_agent", "_fleet", "_group", "_group_idx", "_rng", "_think_s")

    def __init__(self, fleet: Fleet, group_idx: int, agent: Agent, shape: Closed) -> None:
        self._fleet = fleet
        self._group_idx = group_idx
        self._group = fleet.plan.groups[group_idx]
        self._agent = agent
        self._think_s = shape.think_s
        self._rng = rng_for(fleet.plan.seed, group_idx, agent.index)

    def think(self, from_s: float) -> None:
        """Think from an instant on, if tasks still begin then."""
        if self._fleet.is_open(from_s):
            delay_s = self._rng.expovariate(1.0 / self._think_s) if self._think_s else 0.0
            self._fleet.agenda.at(from_s + delay_s, self._begin)

    def _begin(self, now_s: float, _: object) -> None:
        if self._fleet.is_open(now_s):
            demand_s = draw_demand_s(self._group.demand, self._rng)
            self._fleet.begin(self._group_idx, self._agent, now_s, demand_s, self.think)


class Member:
    """One agent of a herd."""

    __slots__ = ("_agent", "_fleet", "_group", "_group_idx", "_is_busy", "_rng", "_starts_s")

    def __init__(self, fleet: Fleet, group_idx: int, agent: Agent, shape: Herd) -> None:
        plan = fleet.plan
        self._fleet = fleet
        self._group_idx = group_idx
        self._group = plan.groups[group_idx]
        self._agent = agent
        self._starts_s = herd_starts_s(
            shape, rng_for(plan.seed, group_idx, agent.index), plan.seconds
        )
        self._rng = rng_for(plan.seed, group_idx, agent.index, "demand")
        self._is_busy = False

    def wait(self) -> None:
        """Wait for the next herd."""
        start_s = next(self._starts_s, None)
        if start_s is not None:
            self._fleet.agenda.at(self._fleet.began_s + start_s, self._begin)

    def _begin(self, now_s: float, _: object) -> None:
        self.wait()
        demand_s = draw_demand_s(self._group.demand, self._rng)
        if not self._is_busy and self._fleet.is_open(now_s):
            self._is_busy = True
            self._fleet.begin(self._group_idx, self._agent, now_s, demand_s, self._end)

    def _end(self, now_s: float) -> None:
        self._is_busy = False


class Arrivals:
    """An open model: agents take the tasks in turn."""

    __slots__ = ("_agents", "_fleet", "_group", "_group_idx", "_n", "_rng", "_starts_s")

    def __init__(
        self, fleet: Fleet, group_idx: int, agents: Sequence[Agent], starts_s: Iterator[float]
    ) -> None:
        self._fleet = fleet
        self._group_idx = group_idx
        self._group = fleet.plan.groups[group_idx]
        self._agents = agents
        self._starts_s = starts_s
        self._rng = rng_for(fleet.plan.seed, group_idx, 0, "demand")
        self._n = 0

    def wait(self) -> None:
        """Wait for the next arrival."""
        start_s = next(self._starts_s, None)
        if start_s is not None:
            self._fleet.agenda.at(self._fleet.began_s + start_s, self._begin)

    def _begin(self, now_s: float, _: object) -> None:
        self.wait()
        agent = self._agents[self._n % len(self._agents)]
        self._n += 1
        demand_s = draw_demand_s(self._group.demand, self._rng)
        self._fleet.begin(self._group_idx, agent, now_s, demand_s, _ignore)


def _ignore(now_s: float) -> None:
    """Do nothing: an open model does not look at what became of a task."""
