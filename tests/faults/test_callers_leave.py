"""A caller that leaves is gone at once, wherever its request is, and frees what it held."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.world import POST_CHUNKED, World, get, get_once, post
from tests.proxy.rig import Handler, Peer, ok, on_loop, status_of, until

WAYS = pytest.mark.parametrize("way", ["fin", "rst", "half"])
"""Closed; reset; its sending half closed, which cannot be told from closed until it reads."""


def leave(caller: Peer, way: str) -> None:
    """End the caller's connection."""
    if way == "rst":
        caller.reset()
    elif way == "half":
        caller.writer.write_eof()
    else:
        caller.close()


class Held:
    """A service that answers when told to; `/quick` at once."""

    def __init__(self, answer: bytes = ok()) -> None:
        self.answer = answer
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.heads: list[bytes] = []
        self.n_ended = 0

    async def __call__(self, peer: Peer) -> None:
        try:
            while True:
                head = await peer.head()
                self.heads.append(head)
                if b"/quick" not in head:
                    self.is_asked.set()
                    await self.may_answer.wait()
                peer.send(self.answer)
        finally:
            self.n_ended += 1


@WAYS
@on_loop
async def test_in_the_line(way: str) -> None:
    """Gone from the line in the same turn; the service never hears of it."""
    held = Held()
    async with World(held, upstream={"limit": 1}) as world:
        first = await world.send(get(b"/first"))
        await held.is_asked.wait()
        second = await world.send(get(b"/second"))
        third = await world.send(get(b"/third"))
        await until(lambda: world.gate.line_length == 2)
        leave(second, way)
        await until(lambda: world.gate.line_length == 1)
        assert world.gate.in_flight == 1
        held.may_answer.set()
        for caller in (first, third):
            assert status_of((await caller.answer())[0]) == 200
            caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2, "LEFT_WAITING": 1}
        assert not any(b"/second" in head for head in held.heads)


@on_loop
async def test_all_of_the_line() -> None:
    """A whole herd that leaves at once leaves an empty line and an unharmed service."""
    n_callers = 100
    held = Held()
    async with World(held, upstream={"limit": 2}) as world:
        callers = [await world.send(get(b"/%d" % n)) for n in range(n_callers)]
        await until(lambda: world.gate.line_length == n_callers - 2)
        for caller in callers[2:]:
            caller.reset()
        await until(lambda: world.gate.line_length == 0)
        held.may_answer.set()
        for caller in callers[:2]:
            assert status_of((await caller.answer())[0]) == 200
            caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2, "LEFT_WAITING": n_callers - 2}
        assert len(held.heads) == 2


@contextmanager
def full_listener() -> Iterator[str]:
    """An address where connecting hangs: nobody accepts, and the backlog is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        try:
            yield f"http://127.0.0.1:{full.getsockname()[1]}"
        finally:
            for filler in fillers:
                filler.close()


@WAYS
@on_loop
async def test_in_connect(way: str) -> None:
    """The lease closes at once; the connecting is bounded and leaves nothing."""
    with full_listener() as url:
        upstream = {"connect_timeout": 0.3, "limit": 1}
        async with World(url=url, upstream=upstream) as world:
            first = await world.send(get())
            await until(lambda: world.pool.n_connecting == 1)
            second = await world.send(get())
            await until(lambda: world.gate.line_length == 1)
            leave(first, way)
            await until(lambda: world.gate.line_length == 0, "the next one is sent")
            assert status_of((await second.answer())[0]) == 504
            second.close()
            await world.settled()
            assert world.outcomes == {"UNSENT": 2}


@WAYS
@on_loop
async def test_before_the_answer(way: str) -> None:
    """Its place stays taken until the service has answered; the connection serves the next."""
    held = Held()
    async with World(held, upstream={"limit": 1}) as world:
        first = await world.send(get(b"/first"))
        await held.is_asked.wait()
        leave(first, way)
        await until(lambda: world.runtime.proxy.abandoned)
        second = await world.send(get_once(b"/second"))
        await until(lambda: world.gate.line_length == 1)
        assert world.gate.in_flight == 1
        held.may_answer.set()
        assert status_of(await second.rest()) == 200
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "ORPHANED": 1}
        assert len(world.service.peers) == 1


@WAYS
@on_loop
async def test_before_the_answer_where_the_route_cancels(way: str) -> None:
    """on_leave: cancel ends the service's connection and frees the place at once."""
    held = Held()
    async with World(held, upstream={"limit": 1}, route={"on_leave": "cancel"}) as world:
        first = await world.send(get(b"/first"))
        await held.is_asked.wait()
        leave(first, way)
        second = await world.send(get_once(b"/quick"))
        assert status_of(await second.rest()) == 200
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "CANCELLED": 1}
        held.may_answer.set()


@on_loop
async def test_abandoned_work_that_never_answers_is_bounded() -> None:
    """After abandoned_timeout the place is free again, whatever the service does."""
    held = Held()
    async with World(held, upstream={"limit": 1, "abandoned_timeout": 0.2}) as world:
        first = await world.send(get(b"/first"))
        await held.is_asked.wait()
        first.close()
        second = await world.send(get_once(b"/quick"))
        assert status_of(await second.rest()) == 200
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "ORPHANED": 1}
        held.may_answer.set()


def streaming(framing: bytes, piece: bytes, ended: asyncio.Event) -> Handler:
    """Answer with a stream that ends only with its connection."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n" % framing)
        try:
            while not (peer.reader.at_eof() or peer.writer.is_closing()):
                peer.send(piece)
                await peer.writer.drain()
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    return handle


@WAYS
@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"9\r\ndata: 1\n\n\r\n"),
        (b"Content-Length: 1000000000\r\n", b"data: 1\n\n"),
        (b"", b"data: 1\n\n"),
    ],
    ids=["chunked", "counted", "until-close"],
)
@on_loop
async def test_mid_stream(framing: bytes, piece: bytes, way: str) -> None:
    """A stream that nobody reads is cancelled: the service's connection ends, the place is free."""
    ended = asyncio.Event()
    async with World(streaming(framing, piece, ended), upstream={"limit": 1}) as world:
        caller = await world.send(get())
        await caller.head()
        assert b"data: 1" in await caller.some()
        leave(caller, way)
        await asyncio.wait_for(ended.wait(), 5)
        await world.settled()
        assert world.outcomes == {"CANCELLED": 1}
        assert world.pool.n_open == 0


@WAYS
@pytest.mark.parametrize(
    "begin",
    [post(b"half", length=1_000), POST_CHUNKED + b"4\r\nhalf\r\n", POST_CHUNKED + b"4\r\nha"],
    ids=["counted", "chunked", "in-a-chunk"],
)
@on_loop
async def test_a_body_cut_short(begin: bytes, way: str) -> None:
    """Half a request never becomes a whole one at the service: its connection ends first."""
    seen: list[bytes] = []
    has_begun = asyncio.Event()

    async def handle(peer: Peer) -> None:
        seen.append(await peer.head())
        has_begun.set()
        seen.append(await peer.rest())

    async with World(handle) as world:
        caller = await world.send(begin)
        await has_begun.wait()
        leave(caller, way)
        await world.settled()
        await until(lambda: len(seen) == 2)
        assert not seen[1].endswith(b"0\r\n\r\n")
        assert len(seen[1]) < 1_000
        assert world.outcomes == {"CANCELLED": 1}
        assert world.pool.n_open == 0


@WAYS
@on_loop
async def test_a_body_cut_short_in_the_line(way: str) -> None:
    """A request that never came whole never reaches the service."""
    held = Held()
    async with World(held, upstream={"limit": 1}) as world:
        first = await world.send(get_once(b"/first"))
        await held.is_asked.wait()
        second = await world.send(post(b"half", length=1_000))
        await until(lambda: world.gate.line_length == 1)
        leave(second, way)
        await until(lambda: world.gate.line_length == 0)
        held.may_answer.set()
        assert status_of(await first.rest()) == 200
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "LEFT_WAITING": 1}
        assert len(held.heads) == 1


@pytest.mark.parametrize("part", [b"G", b"GET /x HTTP/1.1\r\nHost:", get()[:-2]])
@WAYS
@on_loop
async def test_in_the_head(part: bytes, way: str) -> None:
    """Half a head is nothing: no arrival, no answer, no trace."""
    async with World() as world:
        caller = await world.send(part)
        await until(lambda: world.runtime.proxy.connections)
        leave(caller, way)
        await world.settled()
        assert world.outcomes == {}
        assert world.gate.ledger.n_arrived == 0
        assert not world.service.peers


@on_loop
async def test_with_more_requests_in_the_pipe() -> None:
    """Of what a caller pipelined before it left, nothing is sent after."""
    held = Held()
    async with World(held) as world:
        caller = await world.send(get(b"/first") + get(b"/second") + get(b"/third"))
        await held.is_asked.wait()
        caller.reset()
        await until(lambda: not world.runtime.proxy.connections)
        held.may_answer.set()
        await world.settled()
        assert world.outcomes == {"ORPHANED": 1}
        assert len(held.heads) == 1
