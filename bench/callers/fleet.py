"""Thousands of agents in one process: think, call, time out, retry, think again.

Each agent is an SDK client of its own with one kept-alive connection, which it
drops after 5 s of idleness as httpx does. It thinks for an exponential time
(closed loop: a slow service lowers the offered load, but nothing waits for a
schedule), calls with a time limit, closes the connection when that has passed,
and calls again as its retry law says.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import orjson
import uvloop

from bench.children import HOST
from bench.control import call_json
from governor.load.http1 import CallerConnection
from governor.load.laws import LAWS, Failure
from governor.load.wire import openai_request

KEEPALIVE_S = 5.0
"""httpx's default: an idle connection older than this is closed when next looked at."""


@dataclass(frozen=True)
class Plan:
    """What the fleet does."""

    port: int
    service_port: int
    agents: int
    think_s: float
    timeout_s: float
    retries: int
    law: str
    seconds: float
    drain_s: float
    seed: int


@dataclass
class Attempt:
    """One call on the wire. ``ended_s`` is -1 while under way; status 0: it timed out or broke."""

    began_s: float
    ended_s: float = -1.0
    status: int = -1


@dataclass
class Task:
    """One intent of an agent: up to 1 + retries attempts."""

    began_s: float
    ended_s: float = -1.0
    is_done: bool = False
    attempts: int = 0


class Fleet:
    """All agents, and the record of their tasks and attempts."""

    def __init__(self, plan: Plan, group: asyncio.TaskGroup) -> None:
        self.plan = plan
        self.rng = Random(plan.seed)
        self.law = LAWS[plan.law]
        self.group = group
        self.loop = asyncio.get_running_loop()
        self.tasks: list[Task] = []
        self.attempts: list[Attempt] = []
        self.n_busy = 0
        self.is_open = True
        self.agents = [Agent(self, index) for index in range(plan.agents)]

    async def run(self) -> None:
        """Let all agents think, call and think for the plan's time, then let them finish."""
        for agent in self.agents:
            agent.think()
        await asyncio.sleep(self.plan.seconds)
        self.is_open = False
        until_s = time.monotonic() + self.plan.drain_s
        while self.n_busy and time.monotonic() < until_s:
            await asyncio.sleep(0.05)
        for agent in self.agents:
            agent.stop()


class Agent:
    """One agent."""

    __slots__ = ("_attempt", "_connection", "_fleet", "_index", "_task", "_timer")

    def __init__(self, fleet: Fleet, index: int) -> None:
        self._fleet = fleet
        self._index = index
        self._connection: CallerConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task = Task(0.0)
        self._attempt = Attempt(0.0)

    def think(self) -> None:
        """Begin the next task after an exponential time."""
        fleet = self._fleet
        delay_s = fleet.rng.expovariate(1.0 / fleet.plan.think_s)
        self._timer = fleet.loop.call_later(delay_s, self._begin)

    def stop(self) -> None:
        """Drop everything."""
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None and self._connection.is_usable:
            self._connection.leave()

    def _begin(self) -> None:
        fleet = self._fleet
        if not fleet.is_open:
            return
        self._task = Task(time.monotonic())
        fleet.tasks.append(self._task)
        fleet.n_busy += 1
        self._call()

    def _call(self) -> None:
        fleet = self._fleet
        now_s = time.monotonic()
        self._attempt = Attempt(now_s)
        self._task.attempts += 1
        fleet.attempts.append(self._attempt)
        self._timer = fleet.loop.call_later(fleet.plan.timeout_s, self._on_timeout)
        connection = self._connection
        if connection is not None and connection.is_usable:
            if now_s - connection.idle_since_s <= KEEPALIVE_S:
                self._send(connection, len(fleet.attempts) - 1)
                return
            connection.leave()
        self._connection = None
        fleet.group.create_task(self._connect(self._attempt, len(fleet.attempts) - 1))

    async def _connect(self, attempt: Attempt, attempt_id: int) -> None:
        try:
            _, connection = await self._fleet.loop.create_connection(
                CallerConnection, HOST, self._fleet.plan.port
            )
        except OSError:
            if attempt is self._attempt and attempt.ended_s < 0:
                self._on_reply(0, {})
            return
        if attempt is not self._attempt or attempt.ended_s >= 0:
            connection.leave()
            return
        self._connection = connection
        self._send(connection, attempt_id)

    def _send(self, connection: CallerConnection, attempt_id: int) -> None:
        request = openai_request(
            self._fleet.plan.port,
            attempt_id,
            self._task.attempts - 1,
            self._fleet.plan.timeout_s,
        )
        connection.send(request, self._on_reply)

    def _on_timeout(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()
        self._on_reply(0, {})

    def _on_reply(self, status: int, headers: dict[str, str]) -> None:
        fleet, task, attempt = self._fleet, self._task, self._attempt
        if self._timer is not None:
            self._timer.cancel()
        now_s = time.monotonic()
        attempt.ended_s, attempt.status = now_s, status
        if self._connection is not None:
            self._connection.idle_since_s = now_s
        delay_s: float | None = None
        if 200 <= status < 300:
            task.is_done = True
        else:
            failure = Failure(status, headers, time.time())
            delay_s = fleet.law.next_delay_s(
                task.attempts - 1, fleet.rng, failure, fleet.plan.retries, now_s - task.began_s
            )
        if delay_s is None:
            task.ended_s = now_s
            fleet.n_busy -= 1
            self.think()
        else:
            self._timer = fleet.loop.call_later(delay_s, self._call)


async def run(plan: Plan) -> bytes:
    """Run the fleet; return its record, and the service's, as JSON."""
    began = await call_json(plan.service_port, "/-/begin")
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(plan, group)
        await fleet.run()
    return orjson.dumps(
        {
            "plan": asdict(plan),
            "began_s": began["began_s"],
            "ended_s": time.monotonic(),
            "tasks": [(t.began_s, t.ended_s, t.is_done, t.attempts) for t in fleet.tasks],
            "attempts": [(a.began_s, a.ended_s, a.status) for a in fleet.attempts],
            "cpu_s": time.process_time(),
            "jobs": await call_json(plan.service_port, "/-/log"),
            "service": await call_json(plan.service_port, "/-/stats"),
        }
    )


def main(argv: list[str]) -> None:
    """Run a fleet as a process of its own; writes the record to a file."""
    parser = argparse.ArgumentParser(prog="bench.callers.fleet", description=__doc__)
    for name, kind in Plan.__annotations__.items():
        cast = {"int": int, "float": float, "str": str}[kind]
        parser.add_argument(f"--{name.replace('_', '-')}", type=cast, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = vars(parser.parse_args(argv))
    out = options.pop("out")
    gc.disable()
    out.write_bytes(uvloop.run(run(Plan(**options))))


if __name__ == "__main__":
    main(sys.argv[1:])
