"""The engine: tasks on the wire, with patience, retries and kept-alive connections.

*Rule of this file*: who there is, when it begins and ends. When tasks are due is
the shapes' (:mod:`governor.load.shapes`), what becomes of one
:mod:`governor.load.calls`', what is sent :mod:`governor.load.wire`'s, how long a
client waits before it repeats :mod:`governor.load.laws`'.

*Theory*: a task counts from the instant at which it was due, not from when the
generator came to it: a late generator must not hide a slow service (Tene's
"coordinated omission").

*Cost*: about 70 µs of one core a call on a kept-alive connection; no task and no
coroutine but to connect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random

from governor.load import shapes
from governor.load.calls import Agent, Call, OnEnd
from governor.load.files import allow_files
from governor.load.laws import LAWS
from governor.load.plan import Group, Plan
from governor.load.record import MAX_ATTEMPTS, Record, Recorder
from governor.load.schedule import rng_for
from governor.load.targets import Target, resolve
from governor.load.wire import Names, Writer, make_name

PROGRESS_S = 0.25


@dataclass(frozen=True)
class Progress:
    """What can be said while a run is under way; ``began_s`` is of the monotonic clock."""

    began_s: float
    elapsed_s: float
    n_tasks: int
    n_done: int
    n_failed: int
    n_open: int
    n_attempts: int
    n_refused: int
    n_lost: int


OnProgress = Callable[[Progress], None]


class GroupRun:
    """A group at work: its agents, law and writers."""

    def __init__(self, fleet: Fleet, index: int, group: Group) -> None:
        self.fleet = fleet
        self.index = index
        self.group = group
        self.law = LAWS[group.client]
        self.max_retries = self.law.max_retries if group.max_retries is None else group.max_retries
        self.writers = [
            Writer(group, target.host_header, target.prefix, self.max_retries + 1)
            for target in fleet.targets
        ]
        self.agents = [self._make_agent(number) for number in range(group.n_agents)]

    def _make_agent(self, number: int) -> Agent:
        name = make_name(rng_for(self.fleet.plan.seed, self.index, number, "name"))
        return self.make_agent(number, number % len(self.writers), Names(name, name))

    def make_agent(self, number: int, target: int, names: Names) -> Agent:
        """Return an agent, for instance one that another has started."""
        writer = self.writers[target]
        head = writer.head(number, names)
        return Agent(number, target, names, head, self.group.client, writer.has_opening)

    def begin(
        self,
        agent: Agent,
        due_s: float,
        demand_s: float,
        on_end: OnEnd,
        *,
        tree: int = -1,
        level: int = 0,
    ) -> None:
        """Begin a task that was due at an instant of the monotonic clock."""
        Call(self, agent, due_s, demand_s, on_end, tree, level).attempt()


class Fleet:
    """All groups of a plan, and the record of what they did."""

    def __init__(self, plan: Plan, targets: list[Target], task_group: asyncio.TaskGroup) -> None:
        self.plan = plan
        self.targets = targets
        self.task_group = task_group
        self.loop = asyncio.get_running_loop()
        self.rng = Random(f"{plan.seed}/jitter")
        self.record = Recorder()
        self.calls: set[Call] = set()
        self.began_s = 0.0
        self.is_open = False
        self._n_trees = 0
        self.runs = [GroupRun(self, index, group) for index, group in enumerate(plan.groups)]
        self.drivers = [shapes.driver(run) for run in self.runs]

    async def play(self, on_progress: OnProgress | None, stop: asyncio.Event) -> None:
        """Begin tasks for the plan's time, then let the open ones end."""
        self.began_s = time.monotonic()
        self.is_open = True
        for driver in self.drivers:
            driver.start()
        end_s = self.began_s + self.plan.seconds
        await self._wait(end_s, on_progress, lambda: stop.is_set() or self._is_full())
        self.is_open = False
        drain_s = 0.0 if stop.is_set() else self.plan.drain_s
        until_s = time.monotonic() + drain_s
        await self._wait(
            until_s, on_progress, lambda: stop.is_set() or not self._n_busy() or self._is_full()
        )

    def next_tree(self) -> int:
        """Return the number of a new tree."""
        self._n_trees += 1
        return self._n_trees - 1

    def close(self) -> None:
        """Leave everything that is still open."""
        for driver in self.drivers:
            driver.stop()
        for call in list(self.calls):
            call.stop()
        for run in self.runs:
            for agent in run.agents:
                for connection in agent.idle:
                    connection.leave()

    def progress(self) -> Progress:
        """Return the counts of now."""
        record = self.record
        return Progress(
            began_s=self.began_s,
            elapsed_s=time.monotonic() - self.began_s,
            n_tasks=record.n_tasks,
            n_done=record.n_done,
            n_failed=record.n_failed,
            n_open=len(self.calls),
            n_attempts=record.n_attempts,
            n_refused=record.n_refused,
            n_lost=record.n_lost,
        )

    def _n_busy(self) -> int:
        return len(self.calls) + sum(driver.n_pending for driver in self.drivers)

    def _is_full(self) -> bool:
        return self.record.n_attempts >= MAX_ATTEMPTS

    async def _wait(
        self, until_s: float, on_progress: OnProgress | None, is_over: Callable[[], bool]
    ) -> None:
        told_s = 0.0
        while (now_s := time.monotonic()) < until_s and not is_over():
            if on_progress is not None and now_s - told_s >= PROGRESS_S:
                told_s = now_s
                on_progress(self.progress())
            await asyncio.sleep(min(0.05, until_s - now_s))


async def run(
    plan: Plan, on_progress: OnProgress | None = None, stop: asyncio.Event | None = None
) -> Record:
    """Run a fleet; return its record (see :mod:`governor.load.record`).

    Parameters
    ----------
    plan : Plan
    on_progress : callable, optional
        Called a few times a second.
    stop : asyncio.Event, optional
        Set it to end the run early; what is open then stays open in the record.

    Raises
    ------
    OSError
        If a target's name cannot be resolved, or too few files may be open.
    """
    allow_files(sum(group.n_agents for group in plan.groups))
    loop = asyncio.get_running_loop()
    targets = [await resolve(url, loop) for url in plan.targets]
    cpu_s, began_unix_s = time.process_time(), time.time()
    async with asyncio.TaskGroup() as task_group:
        fleet = Fleet(plan, targets, task_group)
        try:
            await fleet.play(on_progress, stop or asyncio.Event())
        finally:
            fleet.close()
    return {
        "plan": asdict(plan),
        "targets": list(plan.targets),
        "groups": [group.name for group in plan.groups],
        "began_s": fleet.began_s,
        "ended_s": time.monotonic(),
        "began_unix_s": began_unix_s,
        "cpu_s": time.process_time() - cpu_s,
        "late_s": fleet.record.lateness(),
        "is_cut": fleet.record.n_attempts >= MAX_ATTEMPTS,
        **fleet.record.columns(),
    }
