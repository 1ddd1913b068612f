"""Callers that leave: exactly one outcome each, and no lease or connection is kept for nobody."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Action, Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of, until
from tests.proxy.services import holding_back


@pytest.mark.parametrize("is_reset", [False, True])
@on_loop
async def test_leaving_in_the_line(is_reset: bool) -> None:
    """Gone from the line at once; nothing was sent; no outcome but leaving."""
    async with Rig() as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.gate.line)
        peer.reset() if is_reset else peer.close()
        await until(lambda: not rig.gate.line)
        assert rig.gate.events == [("left",)]
        assert rig.service.peers == []
        assert rig.records[0].status == 499


@on_loop
async def test_leaving_in_the_line_behind_a_large_body() -> None:
    """Also noticed while the caller is not being read, because its body is at its bound."""
    async with Rig() as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150_000)
        await until(lambda: rig.gate.line and next(iter(rig.server.connections)).is_read_paused)
        peer.close()
        await until(lambda: not rig.gate.line, "noticed by the sweep")
        assert rig.gate.events == [("left",)]
        assert rig.service.peers == []


@on_loop
async def test_leaving_in_connect() -> None:
    """The connection that was being opened is kept for others; nothing was sent."""
    async with Rig() as rig:
        peer = await rig.connect()
        pool = rig.pools[0]
        may_open = asyncio.Event()
        original = pool._open_one

        async def slowly(loop: asyncio.AbstractEventLoop, address: str) -> object:
            await may_open.wait()
            return await original(loop, address)

        type(pool)._open_one = lambda self, loop, address: slowly(loop, address)  # type: ignore
        try:
            peer.send(GET)
            await until(lambda: rig.gate.open)
            peer.close()
            assert await rig.settled() == [(Outcome.UNSENT, 0)]
            may_open.set()
            await until(lambda: pool.n_idle == 1)
        finally:
            type(pool)._open_one = original.__func__  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_reset", [False, True])
@on_loop
async def test_abandoned_work_keeps_its_lease_until_its_answer(is_reset: bool) -> None:
    """The lease outlives its caller, closes with the answer; the connection is kept."""
    rig, go = holding_back()
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.service.peers)
        peer.reset() if is_reset else peer.close()
        await until(lambda: rig.server.abandoned)
        assert len(rig.gate.open) == 1
        go.set()
        assert await rig.settled() == [(Outcome.ORPHANED, 200)]
        await until(lambda: rig.pools[0].n_idle == 1)


@on_loop
async def test_abandoned_work_has_a_bound() -> None:
    """After abandoned_timeout the upstream connection is closed and the lease too."""
    rig, _ = holding_back()
    rig._upstream["abandoned_timeout_s"] = 0.1
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.service.peers)
        peer.close()
        assert await rig.settled() == [(Outcome.ORPHANED, 0)]
        await until(lambda: rig.pools[0].n_open == 0)


@on_loop
async def test_a_route_may_cancel_abandoned_work() -> None:
    """on_leave: cancel closes the upstream connection at once."""
    rig, _ = holding_back()
    rig._route["on_leave"] = "cancel"
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.service.peers)
        peer.close()
        assert await rig.settled() == [(Outcome.CANCELLED, 0)]
        assert await rig.service.peers[0].rest() == b"" or True
        assert rig.pools[0].n_open == 0


@on_loop
async def test_an_endless_answer_to_nobody_is_cut_off() -> None:
    """Abandoned work that turns out to be a stream ends at its first byte."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.rest()

    async with Rig(handle) as rig:
        go = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.service.peers)
        peer.close()
        await until(lambda: rig.server.abandoned)
        go.set()
        assert await rig.settled() == [(Outcome.ORPHANED, 200)]
        assert rig.pools[0].n_open == 0


@pytest.mark.parametrize("is_reset", [False, True])
@on_loop
async def test_leaving_a_stream_cancels_it(is_reset: bool) -> None:
    """An answer that was streaming is cancelled: the upstream connection closes."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.rest()
        ended.set()

    async with Rig(handle) as rig:
        ended = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await peer.head()
        peer.reset() if is_reset else peer.close()
        assert await rig.settled() == [(Outcome.CANCELLED, 200)]
        await ended.wait()
        assert rig.gate.events == [("answered", 200), ("left",), (Outcome.CANCELLED, 200)]


@on_loop
async def test_leaving_in_the_middle_of_an_upload_cancels_it() -> None:
    """Half a request can never be completed: its upstream connection closes."""

    async def handle(peer: Peer) -> None:
        await peer.rest()
        ended.set()

    async with Rig(handle) as rig:
        ended = asyncio.Event()
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
        await until(lambda: rig.service.peers)
        peer.close()
        assert await rig.settled() == [(Outcome.CANCELLED, 0)]
        await ended.wait()


@on_loop
async def test_half_close_is_served_where_the_listener_says_so() -> None:
    """With half_close a caller may end its bytes and still read its answer, then an end."""
    rig, go = holding_back()
    rig._half_close = True
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        peer.writer.write_eof()
        await until(lambda: rig.service.peers)
        go.set()
        answer = await peer.rest()
        assert status_of(answer) == 200
        assert answer.endswith(b"x" * 1000)
        assert await rig.settled() == [(Outcome.COMPLETED, 200)]


@on_loop
async def test_a_body_that_turns_bad_in_the_line() -> None:
    """A request that waits and turns out malformed leaves the line; nothing is sent of it."""
    async with Rig() as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await until(lambda: rig.gate.line)
        peer.send(b"-1\r\n")
        assert status_of(await peer.rest()) == 400
        assert rig.gate.events == [("left",)]
        assert rig.service.peers == []


@on_loop
async def test_a_body_that_stops_in_the_line_is_408() -> None:
    """body_timeout holds in the line too, and the gate hears of it once."""
    async with Rig(listener={"body_timeout_s": 0.1}) as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\na")
        assert status_of(await peer.rest()) == 408
        assert rig.gate.events == [("left",)]


@on_loop
async def test_a_slow_reader_gets_all_of_a_closing_answer() -> None:
    """A connection that ends after its answer waits for a caller that reads, however slowly."""
    body = b"x" * 8_000_000
    async with Rig(answering(ok(body)), listener={"write_timeout_s": 1.0}) as rig:
        peer = await rig.connect()
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        got = len(await peer.head())
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(4):
            await asyncio.sleep(0.8)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            got += len(await peer.exactly(1_500_000))
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        got += len(await peer.rest())
        assert got == len(ok(body))
