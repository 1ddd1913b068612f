"""However the bytes are cut, both sides get the same messages and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.world import POST_CHUNKED, World, decode_chunks, get, get_once, post, write_now
from tests.proxy.rig import Peer, ok, on_loop, status_of, until

ANSWERS = {
    "counted": ok(b"hello world", b"X-A: 1\r\n"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
    ),
    "interim": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"hello world")
    ),
    "empty": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
}


async def drip(peer: Peer, data: bytes) -> None:
    """Send each byte by itself."""
    for n in range(len(data)):
        peer.send(data[n : n + 1])
        await asyncio.sleep(0)


async def read_answer(caller: Peer) -> tuple[bytes, bytes]:
    """Return the final head and the decoded body."""
    head = await caller.head()
    while status_of(head) < 200:
        head = await caller.head()
    if b"chunked" in head:
        wire = await caller.chunked()
        assert wire.endswith(b"0\r\nX-T: 1\r\n\r\n")
        return head, decode_chunks(wire)
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, await caller.exactly(int(length or 0))


@pytest.mark.parametrize("name", ANSWERS)
@on_loop
async def test_an_answer_byte_by_byte(name: str) -> None:
    """Each byte of the service's answer comes alone; two in a row on one connection."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            await drip(peer, ANSWERS[name])

    async with World(handle) as world:
        caller = await world.connect()
        for _ in range(2):
            caller.send(get())
            head, body = await read_answer(caller)
            assert status_of(head) == (204 if name == "empty" else 200)
            assert body == (b"" if name == "empty" else b"hello world")
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2}
        assert len(world.service.peers) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [get(), post(b"hello"), POST_CHUNKED + b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"],
    ids=["get", "counted", "chunked"],
)
@on_loop
async def test_a_request_byte_by_byte(request_bytes: bytes) -> None:
    """Each byte of the caller's requests comes alone; two in a row on one connection."""
    bodies: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"chunked" in head:
                wire = await peer.chunked()
                assert wire.endswith(b"0\r\nX-T: 1\r\n\r\n")
                bodies.append(decode_chunks(wire))
            elif b"Content-Length" in head:
                bodies.append(await peer.exactly(5))
            else:
                bodies.append(b"hello")
            peer.send(ok())

    async with World(handle) as world:
        caller = await world.connect()
        for _ in range(2):
            await drip(caller, request_bytes)
            assert status_of((await caller.answer())[0]) == 200
        caller.close()
        await world.settled()
        assert bodies == [b"hello"] * 2
        assert world.outcomes == {"COMPLETED": 2}


@on_loop
async def test_one_byte_chunks_both_ways() -> None:
    """A body of a thousand one-byte chunks arrives whole, up and down."""
    body = bytes(n % 251 for n in range(1_000))
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"

    async def handle(peer: Peer) -> None:
        await peer.head()
        up = await peer.chunked()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(0, len(up), 5):
            peer.send(up[n : n + 5])
            await peer.writer.drain()

    async with World(handle) as world:
        caller = await world.send(POST_CHUNKED)
        await drip(caller, chunks)
        await caller.head()
        wire = await caller.chunked()
        assert decode_chunks(wire) == body
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}


@on_loop
async def test_bytes_that_nobody_asked_for() -> None:
    """A service that speaks unasked is cut off; the next request gets its own answer."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok(b"mine") + ok(b"not asked for"))

    async with World(handle) as world:
        for _ in range(3):
            assert (await world.ask(get_once())).endswith(b"mine")
        await world.settled()
        assert world.outcomes == {"COMPLETED": 3}
        assert world.pool.n_open == 0
        assert len(world.service.peers) == 3


@on_loop
async def test_an_answer_before_its_request() -> None:
    """A kept connection that speaks unasked is closed; the next request goes over a new one."""
    may_speak = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok(b"mine"))
        await may_speak.wait()
        peer.send(ok(b"poison"))

    async with World(handle) as world:
        caller = await world.send(get())
        assert (await caller.answer())[1] == b"mine"
        may_speak.set()
        await until(lambda: world.pool.n_open == 0)
        caller.send(get())
        assert (await caller.answer())[1] == b"mine"
        caller.close()


@on_loop
async def test_an_answer_that_waits_unread_before_a_post() -> None:
    """Before what must not be sent twice the kernel is asked whether the connection is quiet."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok(b"mine"))
        await peer.rest()

    async with World(handle) as world:
        caller = await world.send(get())
        assert (await caller.answer())[1] == b"mine"
        write_now(caller, post())
        write_now(world.service.peers[0], ok(b"poison"))
        assert (await caller.answer())[1] == b"mine"
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000,
    ],
    ids=range(14),
)
@on_loop
async def test_an_answer_that_cannot_be_trusted(answer: bytes) -> None:
    """502, whose fault, and the end of the service's connection; no byte of it gets through."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(answer)
        await peer.rest()

    async with World(handle) as world:
        got = await world.ask(get_once())
        assert status_of(got) == 502
        assert b'"bad_response"' in got
        assert got.count(b"\r\n\r\n") == 1
        await world.settled()
        assert world.outcomes == {"FAILED": 1}
        assert world.pool.n_open == 0
