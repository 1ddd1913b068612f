"""Identical requests that share one upstream call: who shares, and what the gate says to all."""

from __future__ import annotations

import asyncio
from time import monotonic_ns

import pytest

from governor.proxy.stats import RequestRecord
from tests.faults.sharing import SHARED, Gated, joined, members
from tests.faults.world import World, decode_chunks, get, get_once, post
from tests.proxy.rig import Peer, on_loop, status_of, until


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
