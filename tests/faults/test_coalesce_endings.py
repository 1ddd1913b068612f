"""Callers that share one upstream call leave, read slowly, or lose their upstream."""

from __future__ import annotations

import asyncio

from governor.proxy.carrier import MAX_BEHIND_BYTES
from tests.faults.sharing import SHARED, Gated, joined, members
from tests.faults.world import World, get
from tests.proxy.rig import Peer, on_loop, status_of, until


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
