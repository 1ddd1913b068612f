"""An agent's client and its calls: patience, retries, kept-alive connections.

*Rule of this file*: what happens to one task once it has begun. An agent is a client of
its own with its own connections, as a process with an SDK is; a pool shared by
all would hide the cost of a storm. A time-out closes the connection under the
request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from governor.load.http1 import CallerConnection, take_idle
from governor.load.laws import TRANSPORT, Failure, RetryQuota, retry_after_s
from governor.load.opening import SESSION_GONE, SESSION_HEADER, STEPS, session_line, write_step
from governor.load.record import ANSWERED, BROKEN, NOT_CONNECTED, TIMED_OUT
from governor.load.wire import Names

if TYPE_CHECKING:
    from governor.load.fleet import GroupRun

KEEPALIVE_S = 5.0
"""httpx's default: an idle connection older than this is closed when next looked at."""

OnEnd = Callable[[bool], None]


class Agent:
    """A client of its own: its names, its session, its idle connections, its retry quota.

    Attributes
    ----------
    must_open : bool
        Whether a session is to be opened before its next call.
    session : str
        As the service named it; empty for none.
    """

    __slots__ = (
        "_bare_head",
        "head",
        "idle",
        "index",
        "must_open",
        "names",
        "quota",
        "session",
        "target",
    )

    def __init__(
        self,
        index: int,
        target: int,
        names: Names,
        head: bytes,
        client: str,
        must_open: bool = False,
    ) -> None:
        self.index = index
        self.target = target
        self.names = names
        self.head = self._bare_head = head
        self.must_open = must_open
        self.session = ""
        self.idle: list[CallerConnection] = []
        self.quota = RetryQuota() if client == "boto3" else None

    def write_step(self, step: int, session: str, number: int = -1) -> bytes:
        """Return one step of the opening of a session."""
        return write_step(step, self._bare_head, session, number)

    def opened(self, session: str) -> None:
        """Call with this session from now on."""
        self.must_open = False
        self.session = session
        self.head = self._bare_head
        if session:
            self.head += b"\r\n" + session_line(session)

    def take_connection(self, now_s: float) -> CallerConnection | None:
        """Return an idle connection that is still good; what is too old is closed."""
        return take_idle(self.idle, now_s, KEEPALIVE_S)


class Call:
    """One task: up to 1 + retries attempts."""

    __slots__ = (
        "_agent",
        "_attempt",
        "_connection",
        "_demand_s",
        "_due_s",
        "_is_open",
        "_n_steps",
        "_on_end",
        "_pending",
        "_retries",
        "_run",
        "_session",
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
        self._n_steps = 0
        self._session = ""
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
        self._n_steps, self._session = 0, ""
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
            connection = await target.connect(CallerConnection)
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
        if agent.must_open:
            number = self._attempt if run.fleet.plan.is_numbered else -1
            step = agent.write_step(self._n_steps, self._session, number)
            connection.send(step, self._on_step)
            return
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

    def _on_step(self, status: int, headers: dict[str, str]) -> None:
        """Go on with the opening of a session, then with the call; what fails ends the attempt."""
        connection = self._connection
        if not 200 <= status < 300 or connection is None:
            self._on_reply(status, headers)
            return
        self._session = headers.get(SESSION_HEADER, self._session)
        self._n_steps += 1
        if self._n_steps == len(STEPS):
            self._agent.opened(self._session)
        if connection.is_usable:
            self._send(connection)
            return
        self._connection = None
        self._pending = self._run.fleet.task_group.create_task(self._connect())

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
        if status == SESSION_GONE and self._agent.session:
            self._agent.must_open = True
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
