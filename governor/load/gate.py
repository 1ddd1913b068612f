"""The fault gate: a small forwarder between a fleet and a service that makes trouble on request.

*Rule of this file*: bytes and timers; what a fault is, and when it is at work, is
:mod:`governor.load.faults`'. Whole requests are taken in, then sent on over a
connection of its own; a reply is handed on as it comes.

*Theory*: a service that stalls keeps working on what its callers have given up,
for it cannot know. So does the gate: a request that it has taken in is sent on
when its turn comes, whether its caller is there or not, and holds its place
until the service has answered. What came back for nobody is the waste, told by
:meth:`Gate.log`: (number that the request carries, seconds at the service).

*Regime*: a service on the same machine; bodies up to 16 MiB; some thousand
requests a second.

*Considered and rejected*: a gate on bytes alone (cannot refuse, limit or count);
one connection per caller to the service (callers that leave would cancel work).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from random import Random

from governor.load.faults import Bucket, Schedule
from governor.load.gate_connections import CallerSide, ServiceConnection
from governor.load.http1 import take_idle
from governor.load.targets import Target

MAX_HELD = 50_000
"""Requests in line or under way; beyond it the gate refuses by itself."""

IDLE_MAX_S = 2.0
"""Connections to the service idle longer are not used again: it may be closing them."""

LOOP_STEP_S = 0.001
"""The loop's timers count in these: an alarm set so much later never comes too early."""

_HOST_LINE = re.compile(rb"\r\nhost:[^\r\n]*", re.IGNORECASE)
_NUMBER_LINE = re.compile(rb"\r\nx-bench-id: *([0-9]+)", re.IGNORECASE)

REFUSAL = (
    b"HTTP/1.1 %d Refused\r\nretry-after: 1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)
REFUSAL_BODY = b'{"error":{"message":"refused by the fault gate"}}'


def refusal(status: int) -> bytes:
    """Return a whole refusal."""
    return REFUSAL % (status, len(REFUSAL_BODY), REFUSAL_BODY)


class Gate:
    """The faults over time, the line before the service, and the log.

    Parameters
    ----------
    target : Target
        Resolved.
    schedule : Schedule
    seed : int
        Of the faults that meet a share of requests.
    """

    def __init__(self, target: Target, schedule: Schedule, seed: int = 1) -> None:
        self.target = target
        self.schedule = schedule
        self.loop = asyncio.get_running_loop()
        self.began_s = time.monotonic()
        self.log: list[tuple[int, float]] = []
        self.n_in_service = 0
        self.exchanges: set[Exchange] = set()
        self._line: deque[Exchange] = deque()
        self._idle: list[ServiceConnection] = []
        self._rng = Random(seed)
        self._bucket: Bucket | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._is_closed = False

    def begin(self, began_s: float) -> None:
        """Set the start of the run on the monotonic clock, and the faults' alarms."""
        self.began_s = began_s
        self._bucket = None
        for timer in self._timers:
            timer.cancel()
        now_s = time.monotonic()
        self._timers = [
            self.loop.call_later(max(0.0, began_s + edge_s - now_s) + LOOP_STEP_S, self.on_edge)
            for edge_s in self.schedule.edges_s()
        ]
        self.on_edge()

    def close(self) -> None:
        """Drop everything."""
        self._is_closed = True
        for timer in self._timers:
            timer.cancel()
        for exchange in list(self.exchanges):
            exchange.abort()
        for connection in self._idle:
            connection.leave()

    def at_s(self) -> float:
        """Return the time of the run."""
        return time.monotonic() - self.began_s

    def is_stalled(self) -> bool:
        """Return whether nothing gets through now."""
        return self.schedule.active("stall", self.at_s()) is not None

    def accept(self, caller: CallerSide, request: bytes) -> None:
        """Take a request in: refuse it, or see it through."""
        at_s = self.at_s()
        reset = self.schedule.active("reset", at_s)
        if reset is not None and self._rng.random() < reset.share:
            caller.abort()
            return
        status = self._refused(at_s)
        if status:
            caller.write(refusal(status))
            caller.finish()
            return
        exchange = Exchange(self, caller, request)
        self.exchanges.add(exchange)
        caller.exchange = exchange
        latency = self.schedule.active("latency", at_s)
        if latency is not None:
            self.loop.call_later(latency.value, self._queue, exchange)
        else:
            self._queue(exchange)

    def _refused(self, at_s: float) -> int:
        """Return the status to refuse with; 0 for none."""
        refuse = self.schedule.active("refuse", at_s)
        if refuse is not None and self._rng.random() < refuse.share:
            return int(refuse.value)
        rate = self.schedule.active("rate", at_s)
        if rate is not None:
            if self._bucket is None or self._bucket.rate_hz != rate.value:
                self._bucket = Bucket(rate.value, at_s)
            if not self._bucket.take(at_s):
                return 429
        return 503 if len(self.exchanges) >= MAX_HELD else 0

    def _queue(self, exchange: Exchange) -> None:
        self._line.append(exchange)
        self.pump()

    def pump(self) -> None:
        """Send on what may go: nothing during a stall, no more than the limit at once."""
        if not self._line or self._is_closed or self.is_stalled():
            return
        limit = self.schedule.active("limit", self.at_s())
        while self._line and (limit is None or self.n_in_service < limit.value):
            self.n_in_service += 1
            self._line.popleft().go()

    def on_edge(self) -> None:
        """Let a fault that begins or ends take hold of what is under way."""
        reset = self.schedule.active("reset", self.at_s())
        for exchange in list(self.exchanges):
            if reset is not None and self._rng.random() < reset.share:
                exchange.leave()
            exchange.release()
        self.pump()

    def take_connection(self) -> ServiceConnection | None:
        """Return an idle connection to the service."""
        return take_idle(self._idle, time.monotonic(), IDLE_MAX_S)

    def finished(self, exchange: Exchange, connection: ServiceConnection | None) -> None:
        """Free the place of an exchange whose last byte is handed on."""
        self.exchanges.discard(exchange)
        self.n_in_service -= 1
        self.log.append((exchange.number, time.monotonic() - exchange.sent_s))
        if connection is not None and connection.is_usable:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        self.pump()


class Exchange:
    """One request: in line, at the service, its reply on the way back."""

    def __init__(self, gate: Gate, caller: CallerSide, request: bytes) -> None:
        self._gate = gate
        self._caller: CallerSide | None = caller
        self._request = _HOST_LINE.sub(
            b"\r\nHost: " + gate.target.host_header.encode(), request, count=1
        )
        number = _NUMBER_LINE.search(request)
        self.number = int(number[1]) if number else -1
        self.sent_s = 0.0
        self._connection: ServiceConnection | None = None
        self._is_reused = False
        self._has_bytes = False
        self._is_over = False
        self._ends_with_connection = False
        self._pending: asyncio.Task[None] | None = None
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def go(self) -> None:
        """Send it on."""
        self.sent_s = self.sent_s or time.monotonic()
        connection = self._gate.take_connection()
        self._is_reused = connection is not None
        if connection is not None:
            self._send(connection)
        else:
            self._pending = self._gate.loop.create_task(self._connect())

    async def _connect(self) -> None:
        target = self._gate.target
        try:
            connection = await target.connect(ServiceConnection)
        except OSError:
            self._break()
            return
        self._pending = None
        if self._is_over:
            connection.leave()
        else:
            self._send(connection)

    def _send(self, connection: ServiceConnection) -> None:
        self._connection = connection
        connection.send(self._request, self)

    def on_bytes(self, data: bytes) -> None:
        """Take bytes of the reply."""
        self._has_bytes = True
        self._hold(data)

    def on_end(self, is_whole: bool, has_length: bool) -> None:
        """Take the end of the reply: whole or not, told by itself or by its connection's end."""
        self._ends_with_connection = is_whole and not has_length
        if is_whole:
            self._hold(None)
        elif self._is_reused and not self._has_bytes and not self._is_over:
            self._connection = None
            self.go()  # the service closed an idle connection just then
        else:
            self._break()

    def _hold(self, data: bytes | None) -> None:
        """Hand on now or later: a slow service dilates time since the request was sent."""
        now_s = time.monotonic()
        slow = self._gate.schedule.active("slow", self._gate.at_s())
        factor = slow.value if slow is not None else 1.0
        due_s = self.sent_s + (now_s - self.sent_s) * factor
        if self._held:
            due_s = max(due_s, self._held[-1][0])
        self._held.append((due_s, data))
        self.release()

    def release(self) -> None:
        """Hand on what is due and not stalled."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = time.monotonic()
        while self._held and not self._is_over and not self._gate.is_stalled():
            due_s, data = self._held[0]
            if due_s > now_s + 0.0005:
                self._timer = self._gate.loop.call_later(due_s - now_s, self.release)
                return
            self._held.popleft()
            if data is not None:
                if self._caller is not None:
                    self._caller.write(data)
                continue
            caller, self._caller = self._caller, None
            self._finish()
            if caller is not None:
                caller.finish(must_close=self._ends_with_connection)

    def leave(self) -> None:
        """Break the caller's connection; the service works on."""
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.abort()

    def caller_left(self) -> None:
        """Note that nobody waits for the reply any more."""
        self._caller = None

    def abort(self) -> None:
        """Drop both sides (the gate is closing)."""
        self._is_over = True
        self.leave()
        if self._pending is not None:
            self._pending.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.leave()

    def _break(self) -> None:
        """End without a whole reply."""
        if not self._is_over:
            self._connection = None
            self._finish()
            self.leave()

    def _finish(self) -> None:
        self._is_over = True
        connection, self._connection = self._connection, None
        self._gate.finished(self, connection)
