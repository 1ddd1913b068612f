"""Identical requests that share one upstream call: who shares, who leaves, what ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic_ns
from typing import Any

import pytest

from governor.proxy.coalesce import MAX_BEHIND_BYTES
from governor.proxy.stats import RequestRecord
from tests.faults.world import World, decode_chunks, get, get_once, post
from tests.proxy.rig import Peer, on_loop, status_of, until

SHARED: dict[str, Any] = {"coalesce": True}


class Gated:
    """A service that notes every head and answers when the test lets it."""

    def __init__(self, answer: bytes = b"", then: Callable[[Peer], Awaitable[None]] | None = None):
        self.heads: list[bytes] = []
        self.go = asyncio.Event()
        self.answer = answer or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.then = then

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.heads.append(await peer.head())
            await self.go.wait()
            peer.send(self.answer)
            if self.then is not None:
                await self.then(peer)
                return


def members(world: World) -> int:
    """How many share calls now."""
    return sum(len(x.members) for x in world.runtime.proxy.flights.values())


async def joined(world: World, requests: list[bytes]) -> list[Peer]:
    """Send each on a connection of its own; wait until all have reached the proxy."""
    callers = [await world.send(request) for request in requests]
    await until(lambda: world.runtime.stats.n_requests >= len(requests), "they arrive")
    return callers


@on_loop
async def test_fifty_callers_one_call() -> None:
    """All get the same bytes; one place is held, forty-nine are booked as coalesced."""
    service = Gated()
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(b"/x", b"X-Request-Id: %d" % n) for n in range(50)])
        await until(lambda: members(world) == 50)
        assert world.gate.in_flight == 1
        service.go.set()
        for caller in callers:
            head, body = await caller.answer()
            assert head + body == service.answer
        assert len(service.heads) == 1
        callers[0].send(get())
        await callers[0].answer()
        for caller in callers:
            caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2, "COALESCED": 49}
        assert not world.runtime.proxy.flights
        assert not world.runtime.proxy.watched


@pytest.mark.parametrize(
    "others",
    [
        (get(b"/x", b"Authorization: Bearer b"), get(b"/x", b"Authorization: Bearer c")),
        (get(b"/x", b"Cookie: a=1"), get(b"/x", b"Cookie: a=2")),
        (get(b"/x?a"), get(b"/x?b")),
        (get(b"/x", b"Accept: text/html"), get(b"/x", b"Accept: text/plain")),
        (get(b"/x", b"Range: bytes=0-1"), get(b"/x", b"If-None-Match: *")),
        (get(b"/x", b"X-Tenant: 1"), get(b"/x", b"X-Tenant: 2")),
        (get(b"/x").replace(b"Host: t", b"Host: u"), get(b"/x").replace(b"GET", b"HEAD")),
        (post(), post()),
        (get(b"/x", b"Accept: text/event-stream"), get(b"/x", b"Accept: text/event-stream")),
        (b"GET /x HTTP/1.0\r\nHost: t\r\n\r\n", b"GET /x HTTP/1.0\r\nHost: t\r\n\r\n"),
    ],
)
@on_loop
async def test_what_differs_never_shares(others: tuple[bytes, bytes]) -> None:
    """Credentials, cookies, query, host, method, any field; bodies, event streams, HTTP/1.0."""
    service = Gated()
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(), *others])
        await until(lambda: len(service.heads) == 3)
        service.go.set()
        for caller in callers:
            assert status_of(await caller.head()) == 200
            caller.close()
        await world.settled()
        assert "COALESCED" not in world.outcomes


@pytest.mark.parametrize(
    ("field", "n_calls"),
    [
        (b"Vary: Traceparent, X-Request-Id", 3),
        (b"Vary: Accept", 1),
        (b"vary: *", 3),
        (b"SET-COOKIE: session=1", 3),
    ],
)
@on_loop
async def test_the_answer_has_the_last_word(field: bytes, n_calls: int) -> None:
    """Who differs in a field that Vary names, or may not share at all, is sent on its own."""
    service = Gated(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nok" % field)
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(b"/x", b"X-Request-Id: %d" % n) for n in range(3)])
        await until(lambda: members(world) == 3)
        service.go.set()
        for caller in callers:
            assert (await caller.answer())[1] == b"ok"
            caller.close()
        await world.settled()
        assert len(service.heads) == n_calls
        assert world.gate.ledger.n_arrived == 3


@on_loop
async def test_a_stream_reaches_all_from_its_first_byte() -> None:
    """Chunks and trailers alike; who asks to close is closed, the others go on."""

    async def stream(peer: Peer) -> None:
        for _ in range(20):
            peer.send(b"3\r\nabc\r\n")
            await asyncio.sleep(0)
        peer.send(b"0\r\nX-Sum: 1\r\n\r\n")
        await peer.rest()

    service = Gated(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", stream)
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(), get(), get_once()])
        await until(lambda: members(world) == 3)
        service.go.set()
        for caller in callers[:2]:
            head = await caller.head()
            assert b"Connection" not in head
            wire = await caller.chunked()
            assert wire.endswith(b"0\r\nX-Sum: 1\r\n\r\n")
            assert decode_chunks(wire) == b"abc" * 20
            caller.close()
        head, _, body = (await callers[2].rest()).partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert decode_chunks(body) == b"abc" * 20
        await world.settled()
        assert len(service.heads) == 1


@on_loop
async def test_who_was_first_may_leave() -> None:
    """The call goes on for those who remain, before its answer and within it."""
    half = asyncio.Event()

    async def stream(peer: Peer) -> None:
        await half.wait()
        peer.send(b"67890")
        await peer.rest()

    service = Gated(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", stream)
    async with World(service, route=SHARED) as world:
        first, second, third = await joined(world, [get(), get(), get()])
        await until(lambda: members(world) == 3)
        first.close()
        await until(lambda: members(world) == 2)
        service.go.set()
        await second.head()
        await third.head()
        second.close()
        await until(lambda: world.runtime.stats.n_left == 2)
        half.set()
        assert await third.exactly(10) == b"1234567890"
        third.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "COALESCED": 2}


@on_loop
async def test_with_the_last_one_the_call_is_abandoned() -> None:
    """Its place is kept until the upstream answers, as for one caller."""
    service = Gated()
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(), get()])
        await until(lambda: members(world) == 2)
        for caller in callers:
            caller.close()
        await until(lambda: len(world.runtime.proxy.abandoned) == 1)
        assert world.gate.in_flight == 1
        assert not world.runtime.proxy.flights
        service.go.set()
        await world.settled()
        assert world.outcomes == {"ORPHANED": 1, "COALESCED": 1}


@on_loop
async def test_the_upstream_dies_before_its_answer() -> None:
    """Each gets its own 502, with its own request id."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        await dead.wait()
        peer.reset()

    dead = asyncio.Event()
    async with World(handle, route=SHARED) as world:
        requests = [get(b"/x", b"X-Request-Id: id-%d" % n) for n in range(5)]
        callers = await joined(world, requests)
        await until(lambda: members(world) == 5)
        dead.set()
        for n, caller in enumerate(callers):
            head, body = await caller.answer()
            assert status_of(head) == 502
            assert b"id-%d" % n in head
            assert b"upstream_closed" in body
            caller.close()
        await world.settled()
        assert world.outcomes == {"FAILED": 1, "COALESCED": 4}


@on_loop
async def test_the_upstream_dies_within_its_answer() -> None:
    """Every connection ends before the body does."""

    async def die(peer: Peer) -> None:
        await peer.writer.drain()
        await dead.wait()
        peer.reset()

    dead = asyncio.Event()
    service = Gated(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", die)
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(), get(), get()])
        await until(lambda: members(world) == 3)
        service.go.set()
        for caller in callers:
            await caller.head()
            assert await caller.exactly(5) == b"12345"
        dead.set()
        for caller in callers:
            assert await caller.rest() == b""
        await world.settled()
        assert world.outcomes == {"FAILED": 1, "COALESCED": 2}


@on_loop
async def test_a_slow_member_holds_nobody_back() -> None:
    """It is waited for a little, then cut off; the others get all of it."""
    n_bytes = 24 * MAX_BEHIND_BYTES

    async def stream(peer: Peer) -> None:
        for _ in range(n_bytes // 65_536):
            peer.send(b"x" * 65_536)
            await peer.writer.drain()
        await peer.rest()

    service = Gated(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n_bytes, stream)
    async with World(service, route=SHARED) as world:
        fast, slow = await joined(world, [get(), get()])
        await until(lambda: members(world) == 2)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        service.go.set()
        await fast.head()
        assert len(await fast.exactly(n_bytes)) == n_bytes
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        got = await slow.rest()
        assert len(got) < n_bytes
        fast.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "COALESCED": 1}


@on_loop
async def test_where_all_are_slow_the_upstream_waits() -> None:
    """Nobody is cut off, nothing is buffered without bound, and all of it arrives."""
    n_bytes = 24 * MAX_BEHIND_BYTES
    sent = 0

    async def stream(peer: Peer) -> None:
        nonlocal sent
        for _ in range(n_bytes // 65_536):
            peer.send(b"x" * 65_536)
            await peer.writer.drain()
            sent += 65_536
        await peer.rest()

    service = Gated(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n_bytes, stream)
    async with World(service, route=SHARED) as world:
        callers = await joined(world, [get(), get()])
        await until(lambda: members(world) == 2)
        for caller in callers:
            caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (flight,) = world.runtime.proxy.flights.values()
        service.go.set()
        await until(lambda: flight.is_write_paused)
        assert sent < n_bytes
        for caller in callers:
            caller.writer.transport.resume_reading()  # type: ignore[attr-defined]

        async def read(caller: Peer) -> int:
            await caller.head()
            return len(await caller.exactly(n_bytes))

        assert await asyncio.gather(*map(read, callers)) == [n_bytes, n_bytes]
        for caller in callers:
            caller.close()
        await world.settled()


@on_loop
async def test_a_shared_refusal_in_a_storm_has_a_slot_for_each() -> None:
    """The call is one, the times to come back are many."""
    service = Gated(b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno")
    async with World(service, route=SHARED) as world:
        assert world.gate.reservations.invite(monotonic_ns(), -1, 1e3, 0.0, 50_000_000_000)
        callers = await joined(world, [get()] * 10)
        await until(lambda: members(world) == 10)
        service.go.set()
        slots = set()
        for caller in callers:
            head, body = await caller.answer()
            assert (status_of(head), body) == (429, b"no")
            slots.add(head.lower().partition(b"retry-after-ms: ")[2].partition(b"\r\n")[0])
            caller.close()
        assert len(slots) == 10
        assert len(service.heads) == 1
        await world.settled()


@on_loop
async def test_governors_own_refusal_is_one_callers() -> None:
    """Who shares a call that the gate turns away asks for itself; no slot is given twice."""
    service = Gated()
    upstream = {"limit": 1, "max_waiting": 0}
    async with World(service, route=SHARED, upstream=upstream) as world:
        busy = await world.send(post())
        await until(lambda: world.gate.in_flight == 1)
        callers = await joined(world, [get(), get(), get()])
        heads = [(await caller.answer())[0] for caller in callers]
        assert [status_of(head) for head in heads] == [429] * 3
        slots = {x.lower().partition(b"retry-after-ms: ")[2].partition(b"\r\n")[0] for x in heads}
        assert len(slots) == 3
        service.go.set()
        await busy.answer()
        for caller in (busy, *callers):
            caller.close()
        await world.settled()


@on_loop
async def test_a_shared_call_waits_in_the_line_as_one() -> None:
    """While no place is free its callers wait together, and leave one by one."""
    service = Gated()
    async with World(service, route=SHARED, upstream={"limit": 1}) as world:
        busy = await world.send(post())
        await until(lambda: world.gate.in_flight == 1)
        callers = [await world.send(get()) for _ in range(4)]
        await until(lambda: members(world) == 4)
        assert world.gate.line_length == 1
        callers[0].close()
        await until(lambda: members(world) == 3)
        service.go.set()
        await busy.answer()
        for caller in callers[1:]:
            assert (await caller.answer())[1] == b"ok"
            caller.close()
        busy.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2, "COALESCED": 3}


@on_loop
async def test_an_absorbed_refusal_is_absorbed_for_all() -> None:
    """Both options together: refused once, answered then, one call at a time."""
    n_heads = 0

    async def handle(peer: Peer) -> None:
        nonlocal n_heads
        while True:
            await peer.head()
            n_heads += 1
            if n_heads == 1:
                await go.wait()
                peer.send(b"HTTP/1.1 503 No\r\nRetry-After-Ms: 10\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    go = asyncio.Event()
    async with World(handle, route={**SHARED, "absorb": "1s"}) as world:
        callers = await joined(world, [get(), get()])
        await until(lambda: members(world) == 2)
        go.set()
        for caller in callers:
            assert (await caller.answer())[1] == b"ok"
            caller.close()
        await world.settled()
        assert n_heads == 2
        assert world.outcomes == {"COMPLETED": 1, "COALESCED": 1}


@on_loop
async def test_the_access_log_tells_who_shared() -> None:
    """One line for each caller: the first as it was decided, the others as coalesced."""
    service = Gated()
    records: list[RequestRecord] = []
    async with World(service, route=SHARED) as world:
        world.runtime.proxy.on_done = records.append
        world.runtime.proxy.logs_touched_only = False
        callers = await joined(world, [get(), get(), get()])
        await until(lambda: members(world) == 3)
        callers[2].close()
        await until(lambda: members(world) == 2)
        service.go.set()
        for caller in callers[:2]:
            await caller.answer()
            caller.close()
        await world.settled()
    told = [(x.status, x.reason, x.outcome) for x in records]
    assert told == [
        (499, "coalesced", "coalesced"),
        (200, "", "completed"),
        (200, "coalesced", "coalesced"),
    ]


@on_loop
async def test_a_fault_of_sharing_sends_a_request_on_its_own() -> None:
    """Fail open: counted, and answered like any other."""
    service = Gated()
    service.go.set()
    async with World(service, route=SHARED) as world:
        (route,) = world.runtime.proxy.router.routes
        flights = world.runtime.proxy.flights
        world.runtime.proxy.flights = None  # type: ignore[assignment]
        assert route.join is not None
        caller = await world.send(get())
        assert (await caller.answer())[1] == b"ok"
        world.runtime.proxy.flights = flights
        assert world.runtime.stats.n_faults == 1
        world.runtime.stats.n_faults = 0
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}
