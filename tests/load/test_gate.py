"""The fault gate on sockets: what each fault does to requests, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from governor.load.faults import Schedule, parse_fault
from governor.load.gate import Gate, refusal
from governor.load.gate_connections import CallerSide
from governor.load.http1 import CallerConnection
from governor.load.targets import resolve
from governor.load.wire import HOST
from tests.load.conftest import OK, Seen, Start

REQUEST = b"POST /x HTTP/1.1\r\nHost: gate\r\nx-bench-id: 7\r\nContent-Length: 2\r\n\r\nhi"

Open = Callable[..., Awaitable["Gated"]]


class Gated:
    """A gate in front of a service, and its callers."""

    def __init__(self, gate: Gate, port: int) -> None:
        self.gate = gate
        self.port = port
        self.replies: list[int] = []
        self.callers: list[CallerConnection] = []

    async def call(self, request: bytes = REQUEST) -> CallerConnection:
        """Send a request on a new connection."""
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(CallerConnection, HOST, self.port)
        self.callers.append(caller)
        caller.send(request, lambda status, _headers: self.replies.append(status))
        return caller

    def move_to(self, at_s: float) -> None:
        """Let the run be at that instant now."""
        self.gate.begin(time.monotonic() - at_s)

    async def until(self, n_replies: int) -> list[int]:
        """Wait for that many replies."""
        async with asyncio.timeout(10):
            while len(self.replies) < n_replies:
                await asyncio.sleep(0.001)
        return self.replies


@pytest.fixture
async def gated() -> AsyncIterator[Open]:
    """Return a function that puts a gate with faults before a URL."""
    opened: list[tuple[asyncio.Server, Gated, set[CallerSide]]] = []

    async def start(url: str, *words: str) -> Gated:
        loop = asyncio.get_running_loop()
        schedule = Schedule(tuple(parse_fault(word) for word in words))
        gate = Gate(await resolve(url, loop), schedule)
        sides: set[CallerSide] = set()

        def make() -> CallerSide:
            side = CallerSide(gate, sides.discard)
            sides.add(side)
            return side

        server = await loop.create_server(make, HOST, 0)
        made = Gated(gate, server.sockets[0].getsockname()[1])
        opened.append((server, made, sides))
        gate.begin(time.monotonic())
        return made

    yield start
    for server, made, sides in opened:
        server.close()
        made.gate.close()
        for caller in made.callers:
            caller.leave()
        while sides:
            await asyncio.sleep(0.001)


async def test_without_faults_requests_and_replies_pass(origin: Start, gated: Open) -> None:
    """The service sees the request with its own Host; the caller its reply; both are counted."""
    service = await origin(lambda _: OK)
    made = await gated(service.url)
    caller = await made.call()
    assert await made.until(1) == [200]
    caller.send(REQUEST, lambda status, _headers: made.replies.append(status))
    assert await made.until(2) == [200, 200]
    assert service.seen[0].headers["host"] == service.url.removeprefix("http://")
    assert [number for number, _ in made.gate.log] == [7, 7]
    assert len(service.connections) == 1
    assert made.gate.n_in_service == 0


async def test_latency_comes_before_the_service(origin: Start, gated: Open) -> None:
    """The request arrives later by the latency."""
    service = await origin(lambda _: OK)
    made = await gated(service.url, "latency:100ms")
    began_s = time.monotonic()
    await made.call()
    await made.until(1)
    assert time.monotonic() - began_s >= 0.099


async def test_a_stall_lets_nothing_through_and_loses_nothing(origin: Start, gated: Open) -> None:
    """Requests and replies alike wait for the stall's end; then all are served."""
    service = await origin(lambda _: None)
    made = await gated(service.url, "stall@1h+1h")
    await made.call()
    while not service.seen:
        await asyncio.sleep(0.001)
    made.move_to(3_601.0)
    service.connections[0].transport.write(OK)
    await made.call()
    while len(made.gate.exchanges) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert made.replies == []
    assert len(service.seen) == 1
    service.answer = lambda _: OK
    made.move_to(7_201.0)
    assert await made.until(2) == [200, 200]


async def test_a_stall_ends_by_itself(origin: Start, gated: Open) -> None:
    """At the end of its time what waited goes on without a further event."""
    service = await origin(lambda _: OK)
    made = await gated(service.url, "stall@0+100ms")
    await made.call()
    assert await made.until(1) == [200]


async def test_work_goes_on_when_its_caller_has_left(origin: Start, gated: Open) -> None:
    """What a caller gave up during a stall still reaches the service and holds its place."""
    service = await origin(lambda _: OK)
    made = await gated(service.url, "stall@0+1h")
    caller = await made.call()
    while not made.gate.exchanges:
        await asyncio.sleep(0.001)
    caller.leave()
    await asyncio.sleep(0.02)
    made.move_to(3_601.0)
    while not made.gate.log:
        await asyncio.sleep(0.001)
    assert len(service.seen) == 1
    assert made.replies == []


async def test_a_limit_lets_so_many_in_at_once(origin: Start, gated: Open) -> None:
    """The others wait in line, first come first served, and a place is free when answered."""
    service = await origin(lambda _: None)
    made = await gated(service.url, "limit:2")
    for _ in range(5):
        await made.call()
    for n_answered in range(5):
        while len(service.seen) < min(n_answered + 2, 5):
            await asyncio.sleep(0.001)
        assert made.gate.n_in_service == min(2, 5 - n_answered)
        service.connections[service.seen[n_answered].connection].transport.write(OK)
        await made.until(n_answered + 1)
    assert made.replies == [200] * 5


async def test_slow_is_so_many_times_the_service_time(origin: Start, gated: Open) -> None:
    """A reply after t comes after the factor times t."""
    loop = asyncio.get_running_loop()

    def answer(request: Seen) -> None:
        transport = service.connections[request.connection].transport
        loop.call_later(0.05, transport.write, OK)

    service = await origin(answer)
    made = await gated(service.url, "slow:4x")
    began_s = time.monotonic()
    await made.call()
    assert await made.until(1) == [200]
    assert time.monotonic() - began_s >= 0.19


async def test_refusals_never_reach_the_service(origin: Start, gated: Open) -> None:
    """The status is the one given, with a time to come back."""
    service = await origin(lambda _: OK)
    made = await gated(service.url, "refuse:429")
    told: list[dict[str, str]] = []
    caller = await made.call()
    await made.until(1)
    caller.send(REQUEST, lambda _status, headers: told.append(headers))
    while not told:
        await asyncio.sleep(0.001)
    assert made.replies == [429]
    assert told[0]["retry-after"] == "1"
    assert service.seen == []
    assert refusal(503).startswith(b"HTTP/1.1 503 ")


async def test_a_rate_refuses_what_is_beyond_it(origin: Start, gated: Open) -> None:
    """A second's worth passes at once, the next is refused with 429."""
    service = await origin(lambda _: OK)
    made = await gated(service.url, "limit:3/s")
    for _ in range(4):
        await made.call()
        await made.until(len(made.callers))
    assert made.replies == [200, 200, 200, 429]


async def test_a_reset_breaks_what_arrives_and_what_is_under_way(
    origin: Start, gated: Open
) -> None:
    """Connections break under their requests; the service has those it was sent."""
    service = await origin(lambda _: None)
    made = await gated(service.url, "reset@1h")
    await made.call()
    while not service.seen:
        await asyncio.sleep(0.001)
    made.move_to(3_601.0)
    assert await made.until(1) == [0]
    assert len(service.seen) == 1
    await made.call()
    assert await made.until(2) == [0, 0]
    assert len(service.seen) == 1


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
async def test_a_service_that_breaks_off_breaks_its_caller(
    origin: Start, gated: Open, reply: bytes
) -> None:
    """A reply that was cut is cut for the caller too, never made whole."""
    loop = asyncio.get_running_loop()

    def answer(request: Seen) -> bytes:
        loop.call_later(0.02, service.connections[request.connection].transport.abort)
        return reply

    service = await origin(answer)
    made = await gated(service.url)
    await made.call()
    assert await made.until(1) == [0]


async def test_a_reply_that_ends_with_its_connection_ends_so_for_the_caller(
    origin: Start, gated: Open
) -> None:
    """Without a length the connection's end is the reply's."""
    loop = asyncio.get_running_loop()

    def answer(request: Seen) -> bytes:
        loop.call_later(0.02, service.connections[request.connection].transport.close)
        return b"HTTP/1.1 200 OK\r\n\r\nuntil the end"

    service = await origin(answer)
    made = await gated(service.url)
    await made.call()
    assert await made.until(1) == [200]


async def test_an_idle_connection_that_the_service_closed_is_replaced(
    origin: Start, gated: Open
) -> None:
    """The gate never fails a request because of its own kept-alive connections."""
    service = await origin(lambda _: OK)
    made = await gated(service.url)
    await made.call()
    await made.until(1)
    service.answer = lambda request: b"" if request.connection == 0 else OK
    await made.call()
    assert await made.until(2) == [200, 200]


async def test_nobody_behind_the_gate_is_a_broken_connection(dead_url: str, gated: Open) -> None:
    """A service that is not there is told as what it is: no answer."""
    made = await gated(dead_url)
    await made.call()
    assert await made.until(1) == [0]
    assert made.gate.n_in_service == 0
