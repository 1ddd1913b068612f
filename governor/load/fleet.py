"""The engine: tasks on the wire, with patience, retries and kept-alive connections.

*Rule of this file*: what happens to a task once it is due. When tasks are due is
the shapes' (:mod:`governor.load.shapes`), what is sent :mod:`governor.load.wire`'s,
how long a client waits before it repeats :mod:`governor.load.laws`'.

*Theory*: an agent is a client of its own with its own connections, as a process
with an SDK is; a pool shared by all agents would hide the cost of a storm. A
time-out closes the connection under the request. A task counts from the instant
at which it was due, not from when the generator came to it: a late generator
must not hide a slow service (Tene's "coordinated omission").

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
from governor.load.files import allow_files
from governor.load.http1 import CallerConnection
from governor.load.laws import LAWS, TRANSPORT, Failure, RetryQuota, retry_after_s
from governor.load.plan import Group, Plan
from governor.load.record import (
    ANSWERED,
    BROKEN,
    MAX_ATTEMPTS,
    NOT_CONNECTED,
    TIMED_OUT,
    Record,
    Recorder,
)
from governor.load.schedule import rng_for
from governor.load.targets import Target, resolve
from governor.load.wire import Names, Writer, make_name

KEEPALIVE_S = 5.0
"""httpx's default: an idle connection older than this is closed when next looked at."""

PROGRESS_S = 0.25

OnEnd = Callable[[bool], None]


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


class Agent:
    """A client of its own: its names, its idle connections, its retry quota."""

    __slots__ = ("head", "idle", "index", "names", "quota", "target")

    def __init__(self, index: int, target: int, names: Names, head: bytes, client: str) -> None:
        self.index = index
        self.target = target
        self.names = names
        self.head = head
        self.idle: list[CallerConnection] = []
        self.quota = RetryQuota() if client == "boto3" else None

    def take_connection(self, now_s: float) -> CallerConnection | None:
        """Return an idle connection that is still good; what is too old is closed."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_usable and now_s - connection.idle_since_s <= KEEPALIVE_S:
                return connection
            connection.leave()
        return None


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
        head = self.writers[target].head(number, names)
        return Agent(number, target, names, head, self.group.client)

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


class Call:
    """One task: up to 1 + retries attempts."""

    __slots__ = (
        "_agent",
        "_attempt",
        "_connection",
        "_demand_s",
        "_due_s",
        "_is_open",
        "_on_end",
        "_pending",
        "_retries",
        "_run",
        "_taken",
        "_task",
        "_timer",
    )

    def __init__(
        self,
        run: GroupRun,
        agent: Agent,
        due_s: float,
        demand_s: float,
        on_end: OnEnd,
        tree: int,
        level: int,
    ) -> None:
        fleet = run.fleet
        self._run = run
        self._agent = agent
        self._demand_s = demand_s
        self._on_end = on_end
        self._retries = 0
        self._taken = 0
        self._due_s = 0.0
        self._is_open = False
        self._connection: CallerConnection | None = None
        self._pending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attempt = -1
        self._task = fleet.record.begin_task(
            run.index, agent.target, agent.index, tree, level, due_s, demand_s
        )
        fleet.calls.add(self)

    def attempt(self) -> None:
        """Call, on an idle connection if there is one."""
        fleet = self._run.fleet
        now_s = time.monotonic()
        if self._due_s:
            fleet.record.note_late(now_s - self._due_s)
        self._attempt = fleet.record.begin_attempt(self._task, now_s)
        self._is_open = True
        self._timer = fleet.loop.call_later(self._run.group.timeout_s, self._on_timeout)
        connection = self._agent.take_connection(now_s)
        if connection is not None:
            self._send(connection)
        else:
            self._pending = fleet.task_group.create_task(self._connect())

    def stop(self) -> None:
        """Leave, with the task open in the record."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        self._leave()

    async def _connect(self) -> None:
        fleet = self._run.fleet
        target = fleet.targets[self._agent.target]
        try:
            _, connection = await fleet.loop.create_connection(
                CallerConnection,
                target.ip,
                target.port,
                ssl=target.tls,
                server_hostname=target.host if target.tls is not None else None,
            )
        except OSError:
            self._pending = None
            if self._is_open:
                self._end_attempt(TRANSPORT, {}, NOT_CONNECTED)
            return
        self._pending = None
        if self._is_open:
            self._send(connection)
        else:
            connection.leave()

    def _send(self, connection: CallerConnection) -> None:
        run = self._run
        agent = self._agent
        self._connection = connection
        request = run.writers[agent.target].request(
            agent.head,
            retries=self._retries,
            task=self._task,
            trace=agent.names.trace,
            demand_s=self._demand_s,
            number=self._attempt if run.fleet.plan.is_numbered else -1,
        )
        on_first_byte = self._on_first_byte if run.group.is_stream else None
        connection.send(request, self._on_reply, on_first_byte)

    def _on_first_byte(self) -> None:
        """End the time limit: a stream may take its time once it has begun."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_timeout(self) -> None:
        self._end_attempt(TRANSPORT, {}, TIMED_OUT)

    def _on_reply(self, status: int, headers: dict[str, str]) -> None:
        self._end_attempt(status, headers, ANSWERED if status else BROKEN)

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _end_attempt(self, status: int, headers: dict[str, str], loss: int) -> None:
        fleet = self._run.fleet
        now_s = time.monotonic()
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        first_byte_s = self._connection.first_byte_s if self._connection is not None else -1.0
        if loss:
            self._leave()
        else:
            self._keep(now_s)
        is_done = 200 <= status < 300
        delay_s = None
        hint_s: float | None = None
        if not is_done:
            failure = Failure(status, headers, time.time())
            hint_s = retry_after_s(failure) if headers else None
            delay_s = self._next_delay_s(failure, now_s)
        elif self._agent.quota is not None:
            self._agent.quota.give_back(self._taken)
        told_s = -1.0 if hint_s is None else hint_s
        fleet.record.end_attempt(self._attempt, now_s, first_byte_s, status, loss, told_s)
        if delay_s is not None:
            self._retries += 1
            self._due_s = now_s + delay_s
            self._timer = fleet.loop.call_later(delay_s, self.attempt)
            return
        fleet.record.end_task(self._task, now_s, is_done)
        fleet.calls.discard(self)
        self._on_end(is_done)

    def _next_delay_s(self, failure: Failure, now_s: float) -> float | None:
        run = self._run
        began_s = run.fleet.record.tasks["began_s"][self._task]
        delay_s = run.law.next_delay_s(
            self._retries, run.fleet.rng, failure, run.max_retries, now_s - began_s
        )
        if delay_s is not None and self._agent.quota is not None:
            self._taken = self._agent.quota.take(failure)
            return delay_s if self._taken else None
        return delay_s

    def _keep(self, now_s: float) -> None:
        """Give the connection back to the agent."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_usable:
            connection.idle_since_s = now_s
            self._agent.idle.append(connection)


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
