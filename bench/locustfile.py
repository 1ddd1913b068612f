"""The fleet's agents as locust users, for those who run locust already.

One process, headless, one minute, 100 agents of the OpenAI SDK that think for 2 s::

    locust -f bench/locustfile.py SteadyAgent --headless --host http://127.0.0.1:9000 \
        --users 100 --spawn-rate 50 --run-time 1m --agent-think 2 --agent-timeout 5

Other agents: ``HerdAgent`` (all at once every ``--agent-every`` seconds of the wall clock, so that
workers on several machines are in step too) and ``PlannerAgent`` (a root call, its children, their
children: ``--agent-widths 1-4-20``). Several classes may be named at once; with none named all run.

Distributed, one master and any number of workers (the master hands the ``--agent-`` flags on)::

    locust -f bench/locustfile.py SteadyAgent --master --headless --expect-workers 2 \
        --host http://127.0.0.1:9000 --users 2000 --spawn-rate 200 --run-time 1m
    locust -f bench/locustfile.py SteadyAgent --worker --master-host 127.0.0.1    # twice

or on one machine ``--processes 2`` instead. Without ``--headless`` there is locust's web page.

In locust's tables a row named ``call`` is one attempt on the wire; a row of type ``TASK`` is one
intent of an agent, retries included, which is what its program waits for. A host that is not this
machine needs ``--agent-allow-remote``: load only what you are allowed to load.

*Rule of this file*: locust's half only; retry laws are :mod:`governor.load.laws`', headers
:mod:`governor.load.wire`'s. ``governor storm`` does more (open models, faults, comparisons, a
generator that says how late it is) and makes ten times as many calls with a core, or more.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from random import Random
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import WorkerRunner
from locust.stats import StatsEntry

from governor.load.laws import LAWS, TRANSPORT, Failure
from governor.load.plan import Closed, Group
from governor.load.schedule import share
from governor.load.targets import is_loopback
from governor.load.wire import DIALECTS, Names, Writer, make_name

LINE_HEADERS = ("host", "content-length")
"""Written by locust's client itself."""

TASK = "TASK"
"""Type of the rows, in locust's tables, that count intents rather than attempts."""

WATCH_S = 0.1
"""How often it is looked whether enough has been done."""


@events.init_command_line_parser.add_listener
def add_flags(parser: ArgumentParser) -> None:
    """Add the agents' flags to locust's own."""
    group: Any = parser.add_argument_group("agents")
    group.add_argument("--agent-client", choices=list(LAWS), default="openai")
    group.add_argument("--agent-think", type=float, default=1.0, help="mean, s")
    group.add_argument("--agent-timeout", type=float, default=10.0, help="patience a call, s")
    group.add_argument("--agent-retries", type=int, default=-1, help="-1: the client's default")
    group.add_argument("--agent-path", default="", help="default: the client's API")
    group.add_argument("--agent-key", default="", help="{agent} in it becomes the agent's number")
    group.add_argument("--agent-every", type=float, default=4.0, help="of herds and planners, s")
    group.add_argument("--agent-widths", default="1-4-20", help="calls per level of a planner")
    group.add_argument("--agent-tasks", type=int, default=0, help="end after so many, 0: never")
    group.add_argument("--agent-allow-remote", action="store_true")


@events.test_start.add_listener
def refuse_others_services(environment: Environment, **_: Any) -> None:
    """End the run if the host is not this machine and nobody said that it may be."""
    if not may_load(environment):
        host = environment.host
        print(f"{host} is not this machine: give --agent-allow-remote if you may load it")
        environment.process_exit_code = 2
        if environment.runner is not None:
            # Not at once: locust goes on starting users after its listeners, whatever they do.
            gevent.spawn(environment.runner.quit)


def may_load(environment: Environment) -> bool:
    """Whether the host is this machine, or somebody said that it may be another."""
    options: Any = environment.parsed_options
    return bool(options.agent_allow_remote) or is_loopback(environment.host or "")


@events.test_start.add_listener
def end_after_tasks(environment: Environment, **_: Any) -> None:
    """Let the run end once enough was done; a worker leaves that to its master, who has the sum."""
    runner = environment.runner
    options: Any = environment.parsed_options
    if runner is None or isinstance(runner, WorkerRunner) or options.agent_tasks <= 0:
        return

    def watch() -> None:
        while sum(x.num_requests for x in tasks_of(environment)) < options.agent_tasks:
            gevent.sleep(WATCH_S)
        runner.quit()

    gevent.spawn(watch)


def tasks_of(environment: Environment) -> list[StatsEntry]:
    """Return the rows that count whole tasks."""
    return [row for (_, kind), row in environment.stats.entries.items() if kind == TASK]


class Agent(FastHttpUser):
    """What all agents share: one client's headers, patience and retry law."""

    abstract = True
    wait_time = constant(0)
    concurrency = 256
    n_agents = 0

    def __init__(self, environment: Environment) -> None:
        options: Any = environment.parsed_options
        self.network_timeout = self.connection_timeout = options.agent_timeout
        super().__init__(environment)
        self.options = options
        self.rng = Random()
        self.law = LAWS[options.agent_client]
        self.number = Agent.n_agents
        Agent.n_agents += 1
        dialect = DIALECTS[options.agent_client]
        group = Group(
            "agents",
            1,
            Closed(1.0),
            client=options.agent_client,
            key=options.agent_key,
            timeout_s=options.agent_timeout,
            path=options.agent_path or dialect.path,
        )
        self.max_retries = (
            self.law.max_retries if options.agent_retries < 0 else options.agent_retries
        )
        self.writer = Writer(group, "", "", self.max_retries + 1)
        name = make_name(self.rng)
        self.names = Names(name, name)

    def on_start(self) -> None:
        """Leave before the first call, if no call may be made."""
        if not may_load(self.environment):
            raise StopUser

    def do_task(self, names: Names) -> bool:
        """Call until it is done or the law gives up; tell locust of the task as a whole."""
        began_s = time.monotonic()
        task_number = self.rng.getrandbits(48)
        head = self.writer.head(self.number, names)
        retries = 0
        while True:
            request = self.writer.request(
                head, retries=retries, task=task_number, trace=names.trace
            )
            method, path, headers, body = take_apart(request)
            with self.client.request(
                method, path, headers=headers, data=body, name="call", catch_response=True
            ) as reply:
                status = reply.status_code or TRANSPORT
                told = {name.lower(): value for name, value in (reply.headers or {}).items()}
                if 200 <= status < 300:
                    reply.success()
            elapsed_s = time.monotonic() - began_s
            delay_s = None
            if not 200 <= status < 300:
                failure = Failure(status, told, time.time())
                delay_s = self.law.next_delay_s(
                    retries, self.rng, failure, self.max_retries, elapsed_s
                )
            if delay_s is None:
                break
            gevent.sleep(delay_s)
            retries += 1
        is_done = 200 <= status < 300
        self.environment.events.request.fire(
            request_type=TASK,
            name=f"level {names.level}" if names.level else "task",
            response_time=elapsed_s * 1_000.0,
            response_length=0,
            exception=None if is_done else RuntimeError(f"gave up after {retries + 1} attempts"),
            context={},
        )
        return is_done


class SteadyAgent(Agent):
    """Thinks for an exponential time, then does a task."""

    @task
    def think_and_call(self) -> None:
        """One task."""
        think_s = self.options.agent_think
        gevent.sleep(self.rng.expovariate(1.0 / think_s) if think_s > 0 else 0.0)
        self.do_task(self.names)


class HerdAgent(Agent):
    """Begins a task together with all others."""

    @task
    def call_with_all(self) -> None:
        """One task at the next multiple of the period on the wall clock."""
        every_s = self.options.agent_every
        gevent.sleep(every_s - time.time() % every_s)
        self.do_task(self.names)


class PlannerAgent(Agent):
    """Fans out: a root call, its children, their children, in one trace."""

    @task
    def plan(self) -> None:
        """One tree, then rest until the period is over."""
        until_s = time.monotonic() + self.options.agent_every
        widths = [int(part) for part in self.options.agent_widths.split("-")]
        trace = f"{self.rng.getrandbits(128) | 1:032x}"
        self.branch(Names(self.names.agent, self.names.session, "", trace), widths, 0)
        gevent.sleep(max(0.0, until_s - time.monotonic()))

    def branch(self, names: Names, widths: list[int], number: int) -> None:
        """Make a call; if it is answered, let its share of the next level begin."""
        level = names.level
        if not self.do_task(names) or level + 1 >= len(widths):
            return
        first = widths[level + 1] * number // widths[level]
        children = [
            gevent.spawn(
                self.branch,
                Names(make_name(self.rng), names.session, names.agent, names.trace, level + 1),
                widths,
                first + step,
            )
            for step in range(share(widths[level + 1], widths[level], number))
        ]
        gevent.joinall(children)


def take_apart(request: bytes) -> tuple[str, str, dict[str, str], bytes]:
    """Return method, path, headers and body of a request that was written whole."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    return (
        method,
        path,
        {name: value for name, value in pairs if name.lower() not in LINE_HEADERS},
        body,
    )
