"""A service of workers, some of whose requests need another service.

*Rule of this file*: a worker is held from its turn until the reply, the other
service's time included: a synchronous web server (gunicorn's threads, a servlet
container). That is how the death of one service becomes the trouble of routes
that never needed it.

*Regime*: one shared pool, a FIFO line with a bound (503 beyond it), a time limit
on the call (504 after it), no retries of its own. A 429 or 503 of the other
service is handed on as 503 with its ``Retry-After``; any other failure as 502.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from bench.children import HOST
from bench.service.connection import Connection, Request
from bench.service.spec import ServiceSpec
from governor.load.http1 import CallerConnection

LOCAL_S = 0.1
"""Demand of a request that brings none."""


@dataclass
class Held:
    """One request with a worker, or waiting for one."""

    owner: Connection
    request: Request
    arrived_s: float
    started_s: float = -1.0
    connection: CallerConnection | None = None
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False


class Workers:
    """The pool, its line, its connections to the other service, and the log of what it did."""

    def __init__(self, spec: ServiceSpec) -> None:
        self.spec = spec
        self._prefix = spec.workers_call.encode()
        self._line: deque[Held] = deque()
        self._n_busy = 0
        self._called = (0, "")
        self._idle: list[CallerConnection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self.log: list[tuple[int, float, float, float, float, bool]] = []
        self.refused: list[tuple[int, float, int]] = []
        self.n_arrived = 0

    def ask(self, question: str) -> Any:
        """Answer a question; ``calls?PORT/PATH`` says where the other service is."""
        if question == "begin":
            self.log.clear()
            self.refused.clear()
            return {"began_s": time.monotonic()}
        if question == "log":
            return {"jobs": self.log, "refused": self.refused, "lost": []}
        if question.startswith("calls?"):
            port, _, path = question.removeprefix("calls?").partition("/")
            self._called = (int(port), "/" + path)
        return {"arrived": self.n_arrived, "running": self._n_busy, "waiting": len(self._line)}

    def accept(self, owner: Connection, request: Request) -> None:
        """Give the request a worker, a place in the line, or a 503."""
        held = Held(owner, request, time.monotonic())
        self.n_arrived += 1
        if self._n_busy < self.spec.n_slots:
            self._start(held)
        elif 0 <= self.spec.queue_bound <= len(self._line):
            self.refused.append((request.bench_id, held.arrived_s, 503))
            owner.answer(503, body=b"{}")
        else:
            self._line.append(held)

    def _start(self, held: Held) -> None:
        self._n_busy += 1
        held.started_s = time.monotonic()
        loop = asyncio.get_running_loop()
        if held.request.path.startswith(self._prefix) and self._called[0]:
            loop.call_later(self.spec.own_s, self._call, held)
        else:
            demand_s = held.request.demand_s or LOCAL_S
            loop.call_later(demand_s, self._finish, held, 200, {})

    def _call(self, held: Held) -> None:
        loop = asyncio.get_running_loop()
        held.timer = loop.call_later(self.spec.call_timeout_s, self._on_timeout, held)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                self._send(held, connection)
                return
        task = loop.create_task(self._connect(held))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, held: Held) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                CallerConnection, HOST, self._called[0]
            )
        except OSError:
            self._on_reply(held, 0, {})
            return
        if held.is_over:
            connection.leave()
        else:
            self._send(held, connection)

    def _send(self, held: Held, connection: CallerConnection) -> None:
        held.connection = connection
        port, path = self._called
        lines = [
            f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
            f"x-bench-id: {held.request.bench_id}\r\n".encode()
        ]
        if held.request.demand_s is not None:
            lines.append(b"x-bench-demand-s: %.6f\r\n" % held.request.demand_s)
        lines += [b"%s: %s\r\n" % pair for pair in held.request.passed_on]
        lines.append(b"Content-Length: 2\r\n\r\n{}")
        connection.send(
            b"".join(lines), lambda status, headers: self._on_reply(held, status, headers)
        )

    def _on_timeout(self, held: Held) -> None:
        if held.connection is not None:
            held.connection.leave()
            held.connection = None
        self._finish(held, 504, {})

    def _on_reply(self, held: Held, status: int, headers: dict[str, str]) -> None:
        if held.connection is not None and held.connection.is_usable:
            self._idle.append(held.connection)
        if status in (429, 503):
            hint = {name: text for name, text in headers.items() if name.startswith("retry-after")}
            self._finish(held, 503, hint)
        else:
            self._finish(held, 200 if 200 <= status < 300 else 502, {})

    def _finish(self, held: Held, status: int, headers: dict[str, str]) -> None:
        if held.is_over:
            return
        held.is_over = True
        if held.timer is not None:
            held.timer.cancel()
        is_there = held.owner.answer(status, headers)
        now_s = time.monotonic()
        self.log.append(
            (
                held.request.bench_id,
                held.arrived_s,
                held.started_s,
                now_s,
                now_s - held.started_s,
                is_there,
            )
        )
        self._n_busy -= 1
        if self._line:
            self._start(self._line.popleft())
