"""What belongs to all connections together: caps, drain, the end."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Action, Outcome
from tests.proxy.rig import GET, Peer, Rig, ok, on_loop, status_of, until


@on_loop
async def test_connections_above_the_cap_are_answered_and_closed() -> None:
    """503 and close, counted; a place that comes free is given again."""
    async with Rig(listener={"max_connections": 2}) as rig:
        first, second = await rig.connect(), await rig.connect()
        await until(lambda: len(rig.server.connections) == 2)
        third = await rig.connect()
        answer = await third.rest()
        assert status_of(answer) == 503
        assert b"too_many_connections" in answer
        assert rig.stats.n_connections_refused == 1
        third.close()
        first.close()
        await until(lambda: len(rig.server.connections) == 1)
        fourth = await rig.connect()
        for peer in (second, fourth):
            peer.send(GET)
            assert (await peer.answer())[1] == b"ok"


@on_loop
async def test_drain_finishes_what_is_in_flight() -> None:
    """Idle connections close, answers in flight end with a close, the line is served."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            await go.wait()
            peer.send(ok())

    async with Rig(handle) as rig:
        go = asyncio.Event()
        idle, busy, waiting = [await rig.connect() for _ in range(3)]
        busy.send(GET)
        await until(lambda: rig.service.peers)
        rig.gate.next_action = Action.WAIT
        waiting.send(GET)
        await until(lambda: rig.gate.line)
        drained = asyncio.get_running_loop().create_task(rig.server.drain(5.0))
        assert await idle.rest() == b""
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset
            await rig.connect()
        rig.gate.release()
        go.set()
        for peer in (busy, waiting):
            answer = await peer.rest()
            assert b"Connection: close\r\n" in answer
            assert answer.endswith(b"ok")
        assert await drained


@on_loop
async def test_drain_is_bounded() -> None:
    """What does not finish in time is cut off, each with its outcome."""

    async def handle(peer: Peer) -> None:
        await peer.rest()

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await until(lambda: rig.service.peers)
        assert not await rig.server.drain(0.1)
        assert await peer.rest() == b""
        assert (await rig.settled())[0][0] in (Outcome.CANCELLED, Outcome.ORPHANED)


@on_loop
async def test_everything_is_counted() -> None:
    """Counters add up to what happened."""
    async with Rig() as rig:
        peer = await rig.connect()
        for _ in range(3):
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody")
            await peer.answer()
        rig.gate.next_action = Action.ANSWER
        peer.send(GET)
        await peer.answer()
        stats = rig.stats
        assert (stats.n_requests, stats.n_own_answers) == (4, {"line_too_long": 1})
        assert stats.bytes_from_callers == 12
        assert stats.first_byte.count == stats.overhead.count == 3
        assert stats.bytes_to_callers >= 3 * len(ok())
        assert [record.status for record in rig.records] == [200, 200, 200, 429]
        assert rig.records[3].reason == "line_too_long"
        assert rig.records[0].bytes_in == 4


@on_loop
async def test_a_hook_that_raises_harms_no_request() -> None:
    """The access log's fault is counted, the answer is already gone."""
    async with Rig() as rig:
        rig.gate.is_broken = True  # a fault is expected

        def fail(record: object) -> None:
            raise ZeroDivisionError

        rig.server.on_done = fail
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"
        await until(lambda: rig.stats.n_faults == 2)


@on_loop
async def test_an_upstream_on_ipv6() -> None:
    """IPv6 endpoints are reached by address."""
    async with Rig(service={"host": "::1"}) as rig:
        assert "[::1]" in rig.service.url
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"


@on_loop
async def test_a_listener_on_ipv6() -> None:
    """Callers on IPv6 are served and named."""
    async with Rig(listener={"address": "[::1]:0"}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"
