"""The shapes at work: who begins a task when, on the running loop.

*Rule of this file*: timers and the next fresh task; instants and draws come from
:mod:`governor.load.schedule`, calls are made by :mod:`governor.load.calls`. Every
timer's lateness is noted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from governor.load.plan import Closed, Fanout, Herd, Open, Ramp
from governor.load.schedule import (
    arrivals_s,
    draw_demand_s,
    herd_starts_s,
    points_of,
    rng_for,
    share,
)
from governor.load.wire import Names, make_name

if TYPE_CHECKING:
    from governor.load.calls import Agent
    from governor.load.fleet import GroupRun

SLACK_S = 0.0005
"""The loop's timers count whole milliseconds: what is due within half of one begins now."""


class Driver(Protocol):
    """A shape at work."""

    @property
    def n_pending(self) -> int:
        """Calls that belong to tasks under way and have not begun yet."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Begin nothing more, at once."""


def driver(run: GroupRun) -> Driver:
    """Return the driver of a group's shape."""
    shape = run.group.shape
    if isinstance(shape, Closed):
        return Each([Thinker(run, agent, shape) for agent in run.agents])
    if isinstance(shape, Herd):
        return Each([Member(run, agent, shape) for agent in run.agents])
    if isinstance(shape, Fanout):
        return Each([Planner(run, agent, shape) for agent in run.agents])
    return Arrivals(run, shape)


def lane_of(run: GroupRun, agent: Agent) -> int:
    """Return the number that an agent's draws come from: shared by the pairs of paired targets."""
    plan = run.fleet.plan
    return agent.index // len(plan.targets) if plan.is_paired else agent.index


class Alarm:
    """One timer at a time for an instant of the run, which knows how late it was."""

    __slots__ = ("_due_s", "_handle", "_on_due", "_run")

    def __init__(self, run: GroupRun, on_due: Callable[[float], None]) -> None:
        self._run = run
        self._on_due = on_due
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def set(self, due_s: float) -> None:
        """Call back with ``due_s`` at that instant of the monotonic clock."""
        self._due_s = due_s
        delay_s = max(0.0, due_s - time.monotonic())
        self._handle = self._run.fleet.loop.call_later(delay_s, self._fire)

    def set_next(self, starts_s: Iterator[float]) -> None:
        """Call back at the next of some instants, counted from the run's begin, if there is one."""
        start_s = next(starts_s, None)
        if start_s is not None:
            self.set(self._run.fleet.began_s + start_s)

    def cancel(self) -> None:
        """Forget it."""
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        fleet = self._run.fleet
        if fleet.is_open:
            fleet.record.note_late(time.monotonic() - self._due_s)
            self._on_due(self._due_s)


class Each:
    """A driver whose agents each have their own timers."""

    def __init__(self, parts: Sequence[Driver]) -> None:
        self._parts = parts

    @property
    def n_pending(self) -> int:
        """Calls of trees under way that have not begun yet."""
        return sum(part.n_pending for part in self._parts)

    def start(self) -> None:
        """Begin with every agent."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Stop every agent."""
        for part in self._parts:
            part.stop()


class Thinker:
    """One agent of a closed model."""

    n_pending = 0

    __slots__ = ("_agent", "_alarm", "_rng", "_run", "_think_s")

    def __init__(self, run: GroupRun, agent: Agent, shape: Closed) -> None:
        self._run = run
        self._agent = agent
        self._think_s = shape.think_s
        self._rng = rng_for(run.fleet.plan.seed, run.index, lane_of(run, agent))
        self._alarm = Alarm(run, self._begin)

    def start(self) -> None:
        """Think first: the fleet does not begin in step."""
        self._think(self._run.fleet.began_s)

    def stop(self) -> None:
        """Think no more."""
        self._alarm.cancel()

    def _think(self, from_s: float) -> None:
        delay_s = self._rng.expovariate(1.0 / self._think_s) if self._think_s else 0.0
        self._alarm.set(from_s + delay_s)

    def _begin(self, due_s: float) -> None:
        demand_s = draw_demand_s(self._run.group.demand, self._rng)
        self._run.begin(self._agent, due_s, demand_s, self._on_end)

    def _on_end(self, is_done: bool) -> None:
        if self._run.fleet.is_open:
            self._think(time.monotonic())


class Member:
    """One agent of a herd."""

    n_pending = 0

    __slots__ = ("_agent", "_alarm", "_is_busy", "_rng", "_run", "_starts_s")

    def __init__(self, run: GroupRun, agent: Agent, shape: Herd) -> None:
        plan = run.fleet.plan
        lane = lane_of(run, agent)
        self._run = run
        self._agent = agent
        self._starts_s: Iterator[float] = herd_starts_s(
            shape, rng_for(plan.seed, run.index, lane), plan.seconds
        )
        self._rng = rng_for(plan.seed, run.index, lane, "demand")
        self._alarm = Alarm(run, self._begin)
        self._is_busy = False

    def start(self) -> None:
        """Wait for the first herd."""
        self._alarm.set_next(self._starts_s)

    def stop(self) -> None:
        """Join no herd any more."""
        self._alarm.cancel()

    def _begin(self, due_s: float) -> None:
        self.start()
        demand_s = draw_demand_s(self._run.group.demand, self._rng)
        if not self._is_busy:
            self._is_busy = True
            self._run.begin(self._agent, due_s, demand_s, self._on_end)

    def _on_end(self, is_done: bool) -> None:
        self._is_busy = False


class Arrivals:
    """An open model: Poisson, at a rate that may vary; agents take the tasks in turn."""

    n_pending = 0

    def __init__(self, run: GroupRun, shape: Open | Ramp) -> None:
        plan = run.fleet.plan
        self._run = run
        self._width = len(plan.targets) if plan.is_paired else 1
        points = tuple((at_s, hz / self._width) for at_s, hz in points_of(shape))
        rng = rng_for(plan.seed, run.index, 0)
        self._starts_s = arrivals_s(points, rng, plan.seconds)
        self._rng = rng_for(plan.seed, run.index, 0, "demand")
        self._alarm = Alarm(run, self._begin)
        self._next = 0

    def start(self) -> None:
        """Wait for the first arrival."""
        self._alarm.set_next(self._starts_s)

    def stop(self) -> None:
        """Begin no more."""
        self._alarm.cancel()

    def _begin(self, due_s: float) -> None:
        fleet = self._run.fleet
        while True:
            self._begin_one(due_s)
            start_s = next(self._starts_s, None)
            if start_s is None:
                return
            due_s = fleet.began_s + start_s
            late_s = time.monotonic() - due_s
            if late_s < -SLACK_S:
                self._alarm.set(due_s)
                return
            fleet.record.note_late(late_s)

    def _begin_one(self, due_s: float) -> None:
        """Begin one task, or one on each of the paired targets."""
        run = self._run
        demand_s = draw_demand_s(run.group.demand, self._rng)
        for _ in range(self._width):
            agent = run.agents[self._next % len(run.agents)]
            self._next += 1
            run.begin(agent, due_s, demand_s, _ignore)


def _ignore(is_done: bool) -> None:
    """Do nothing: an open model does not look at what became of a task."""


class Planner:
    """One planner of a fan-out: a tree of calls each round."""

    __slots__ = ("_agent", "_alarm", "_next_s", "_rng", "_run", "_shape", "_tree")

    def __init__(self, run: GroupRun, agent: Agent, shape: Fanout) -> None:
        self._run = run
        self._agent = agent
        self._shape = shape
        self._rng = rng_for(run.fleet.plan.seed, run.index, lane_of(run, agent))
        self._next_s = self._rng.uniform(0.0, shape.every_s)
        self._alarm = Alarm(run, self._begin)
        self._tree: Tree | None = None

    @property
    def n_pending(self) -> int:
        """Calls of the round under way that have not begun yet."""
        return 0 if self._tree is None else self._tree.n_pending

    def start(self) -> None:
        """Wait for the next round."""
        self._alarm.set(self._run.fleet.began_s + self._next_s)
        self._next_s += self._shape.every_s

    def stop(self) -> None:
        """Begin no round and no branch any more."""
        self._alarm.cancel()
        if self._tree is not None:
            self._tree.stop()

    def _begin(self, due_s: float) -> None:
        self.start()
        rng = Random(self._rng.getrandbits(64))
        if self._tree is None or self._tree.is_over:
            self._tree = Tree(self._run, self._agent, self._shape, rng)
            self._tree.start(due_s)


class Tree:
    """One round: who calls whom, until nothing is left to begin or to await."""

    def __init__(self, run: GroupRun, root: Agent, shape: Fanout, rng: Random) -> None:
        self._run = run
        self._root = root
        self._shape = shape
        self._rng = rng
        self._demands_s = [
            [draw_demand_s(run.group.demand, rng) for _ in range(width)] for width in shape.widths
        ]
        self._trace = f"{rng.getrandbits(128) | 1:032x}"
        self._number = run.fleet.next_tree()
        self._timers: set[asyncio.TimerHandle] = set()
        self._n_open = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open or pending."""
        return self._n_open == 0 and not self._timers

    @property
    def n_pending(self) -> int:
        """Calls whose turn is set and has not come."""
        return len(self._timers)

    def start(self, due_s: float) -> None:
        """Make the root call."""
        names = self._root.names
        root = self._spawn(names.agent, names.session, "", 0)
        root.idle = self._root.idle  # the planner itself: its own connections
        self._call(root, 0, 0, due_s)

    def stop(self) -> None:
        """Begin no branch any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _spawn(self, name: str, session: str, parent: str, level: int) -> Agent:
        names = Names(name, session, parent, self._trace, level)
        return self._run.make_agent(self._root.index, self._root.target, names)

    def _call(self, agent: Agent, level: int, number: int, due_s: float) -> None:
        def on_end(is_done: bool) -> None:
            self._n_open -= 1
            if level:
                for connection in agent.idle:
                    connection.leave()
            if is_done and level + 1 < len(self._shape.widths):
                self._branch(agent, level, number)

        self._n_open += 1
        demand_s = self._demands_s[level][number]
        self._run.begin(agent, due_s, demand_s, on_end, tree=self._number, level=level)

    def _branch(self, parent: Agent, level: int, number: int) -> None:
        """Let a call that was answered begin its share of the next level."""
        widths = self._shape.widths
        first = widths[level + 1] * number // widths[level]
        now_s = time.monotonic()
        for step in range(share(widths[level + 1], widths[level], number)):
            due_s = now_s + step * self._shape.step_s
            self._set(due_s, parent.names.agent, level + 1, first + step)

    def _set(self, due_s: float, parent: str, level: int, number: int) -> None:
        fleet = self._run.fleet

        def begin() -> None:
            self._timers.discard(timer)
            fleet.record.note_late(time.monotonic() - due_s)
            name = make_name(self._rng)
            child = self._spawn(name, self._root.names.session, parent, level)
            self._call(child, level, number, due_s)

        timer = fleet.loop.call_later(max(0.0, due_s - time.monotonic()), begin)
        self._timers.add(timer)
