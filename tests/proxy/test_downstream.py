"""A caller's connection: forms of requests, time limits, and back-pressure both ways."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Outcome
from tests.proxy.rig import GET, Peer, Rig, ok, on_loop, status_of, until
from tests.proxy.services import POST, recording


@on_loop
async def test_absolute_form_and_options_star() -> None:
    """An absolute target is sent in origin form with its own host; OPTIONS * passes."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(ok())

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(b"GET http://a.example:81/p?q HTTP/1.1\r\nHost: b\r\n\r\n")
        await peer.answer()
        peer.send(b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n")
        await peer.answer()
        assert seen[0].startswith(b"GET /p?q HTTP/1.1\r\nHost: a.example:81\r\n")
        assert seen[1].startswith(b"OPTIONS * HTTP/1.1\r\n")


@on_loop
async def test_forwarding_headers() -> None:
    """Who called is said to the upstream; a caller's request id is kept, else one is made."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(ok())

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(
            b"GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine\r\n\r\n"
        )
        await peer.answer()
        peer.send(GET)
        await peer.answer()
        assert b"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" in seen[0]
        assert seen[0].count(b"X-Request-Id: mine\r\n") == 1
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in seen[1]
        assert b"X-Forwarded-Proto: http\r\n" in seen[1]
        assert b"X-Request-Id: " in seen[1]


@on_loop
async def test_an_upgrade_with_a_body_is_an_ordinary_request() -> None:
    """h2c is not offered, and a body is never taken for the other protocol's bytes."""

    async def handle(peer: Peer) -> None:
        head, body = await peer.answer()
        peer.send(ok(body + (b"!" if b"pgrade" in head else b"")))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(
            b"POST / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAA\r\nContent-Length: 5\r\n\r\nhello"
        )
        assert (await peer.answer())[1] == b"hello"


@on_loop
async def test_a_slow_head_is_408() -> None:
    """head_timeout runs from the first byte, however the bytes drip."""
    async with Rig(listener={"head_timeout_s": 0.3}) as rig:
        peer = await rig.connect()
        peer.send(b"GET / HT")
        await asyncio.sleep(0.1)
        peer.send(b"TP/1.1\r\nX: ")
        answer = await peer.rest()
        assert status_of(answer) == 408
        assert b"head_timeout" in answer
        assert rig.service.peers == []


@on_loop
async def test_a_slow_body_is_408() -> None:
    """body_timeout ends an upload that stops; the upstream never gets a whole request."""
    rig, seen = recording()
    rig._listener = rig._listener.model_copy(update={"body_timeout_s": 0.2})
    async with rig:
        answer = await rig.ask(POST + b"Content-Length: 5\r\n\r\nab")
        assert status_of(answer) == 408
        assert (await rig.settled())[0][0] is Outcome.CANCELLED
        await until(lambda: seen)


@on_loop
async def test_an_idle_connection_is_closed() -> None:
    """idle_timeout closes a connection between requests, without an answer."""
    async with Rig(listener={"idle_timeout_s": 0.2}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        assert await peer.rest() == b""


@on_loop
async def test_an_answer_that_does_not_begin_is_504() -> None:
    """first_byte_timeout, from the whole request on."""

    async def handle(peer: Peer) -> None:
        await peer.rest()

    async with Rig(handle, upstream={"first_byte_timeout_s": 0.2}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        head, body = await peer.answer()
        assert status_of(head) == 504
        assert b"upstream_timeout" in body
        assert await rig.settled() == [(Outcome.FAILED, 504)]


@pytest.mark.parametrize("kind", [b"text/plain", b"text/event-stream; charset=utf-8"])
@on_loop
async def test_an_answer_that_stops_is_cut_off_unless_it_streams_events(kind: bytes) -> None:
    """idle_timeout between bytes; server-sent events may pause for as long as they like."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: 9\r\n\r\nab")
        await go.wait()
        peer.send(b"cdefghi")

    async with Rig(handle, upstream={"idle_timeout_s": 0.2}) as rig:
        go = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await peer.head()
        assert await peer.exactly(2) == b"ab"
        if kind == b"text/plain":
            assert await peer.rest() == b""
            assert await rig.settled() == [(Outcome.FAILED, 200)]
        else:
            await asyncio.sleep(0.6)
            go.set()
            assert await peer.exactly(7) == b"cdefghi"


@on_loop
async def test_back_pressure_of_a_caller_reaches_the_upstream() -> None:
    """A caller that does not read stops the upstream in bounded memory; then is cut off."""
    total = 50_000_000
    sent = 0

    async def handle(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            peer.send(b"x" * 100_000)
            await peer.writer.drain()
            sent += 100_000

    async with Rig(handle, listener={"write_timeout_s": 0.5}) as rig:
        peer = await rig.connect()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(GET)
        await until(lambda: any(x.is_write_paused for x in rig.server.connections))
        connection = next(iter(rig.server.connections))
        assert connection.transport.get_write_buffer_size() < 2_000_000
        assert (await rig.settled())[0] == (Outcome.CANCELLED, 200)
        assert sent < 40_000_000


@on_loop
async def test_back_pressure_of_the_upstream_reaches_a_caller() -> None:
    """An upstream that does not read stops the caller in bounded memory; all arrives."""
    total = 30_000_000

    async def handle(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        await peer.exactly(total)
        peer.send(ok())

    async with Rig(handle) as rig:
        go = asyncio.Event()
        peer = await rig.connect()
        peer.send(POST + b"Content-Length: %d\r\n\r\n" % total + b"x" * total)
        await until(lambda: any(x.is_write_paused for x in rig.pools[0].connections))
        assert all(x.is_read_paused for x in rig.server.connections)
        for connection in rig.pools[0].connections:
            assert connection.transport.get_write_buffer_size() < 2_000_000
        go.set()
        assert (await peer.answer())[1] == b"ok"


@on_loop
async def test_pipelined_bytes_are_bounded() -> None:
    """What a caller pipelines behind a slow answer fills its own kernel buffers, not our memory."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        peer.send(ok())
        while True:
            await peer.head()
            peer.send(ok())

    async with Rig(handle) as rig:
        go = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET * 100_000)
        await until(lambda: any(x.is_read_paused for x in rig.server.connections))
        assert next(iter(rig.server.connections)).n_held_bytes < 1_000_000
        go.set()
        for _ in range(3_000):
            assert (await peer.answer())[1] == b"ok"
        peer.reset()
        await until(lambda: not rig.gate.open or rig.server.abandoned)
        await until(lambda: not rig.gate.open)
