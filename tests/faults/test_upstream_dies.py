"""A service that dies gives its caller one certain outcome, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.world import POST_CHUNKED, World, get, get_once, post
from tests.proxy.rig import Handler, Peer, answering, ok, on_loop, status_of

ENDS = pytest.mark.parametrize("end", ["fin", "rst"])


def dying(answer: bytes, end: str, *, reads: int = 1) -> Handler:
    """Read `reads` heads, answer all but the last, write `answer`, die."""

    async def handle(peer: Peer) -> None:
        for _ in range(reads - 1):
            await peer.answer()
            peer.send(ok())
        await peer.answer()
        if answer:
            peer.send(answer)
            await peer.writer.drain()
        if end == "rst":
            peer.reset()

    return handle


@ENDS
@pytest.mark.parametrize("request_bytes", [get(), post()], ids=["get", "post"])
@on_loop
async def test_before_the_head(request_bytes: bytes, end: str) -> None:
    """502 with whose fault it is; the request was sent once, and the connection goes on."""
    async with World(dying(b"", end)) as world:
        caller = await world.send(request_bytes)
        head, body = await caller.answer()
        assert status_of(head) == 502
        assert b'"upstream_closed"' in body
        assert b'"fault":"upstream"' in body
        assert b"connection: close" not in head.lower()
        assert len(world.service.peers) == 1
        caller.send(request_bytes)
        assert status_of((await caller.answer())[0]) == 502
        caller.close()
        await world.settled()
        assert world.outcomes == {"FAILED": 2}
        assert len(world.service.peers) == 2


@ENDS
@pytest.mark.parametrize(
    "part", [b"H", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1."]
)
@on_loop
async def test_during_the_head(part: bytes, end: str) -> None:
    """A head that never became whole is never shown; the caller gets 502."""
    async with World(dying(part, end)) as world:
        answer = await world.ask(get_once())
        final = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert status_of(final) == 502
        assert b'"upstream_closed"' in final
        await world.settled()
        assert world.outcomes == {"FAILED": 1}


@ENDS
@pytest.mark.parametrize(
    ("framing", "part"),
    [
        (b"Content-Length: 10", b"12345"),
        (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n"),
        (b"Transfer-Encoding: chunked", b"5\r\n123"),
        (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n0\r\n"),
    ],
)
@on_loop
async def test_during_the_body(framing: bytes, part: bytes, end: str) -> None:
    """The caller's connection ends before the body does: no half answer is taken for whole."""
    answer = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, part)
    async with World(dying(answer, end)) as world:
        got = await world.ask(get())
        assert status_of(got) == 200
        head, _, body = got.partition(b"\r\n\r\n")
        assert framing in head
        if framing.startswith(b"Content"):
            assert b"12345".startswith(body)
        else:
            assert not body.endswith(b"0\r\n\r\n")
        await world.settled()
        assert world.outcomes == {"FAILED": 1}


@on_loop
async def test_a_body_until_close_is_whole_only_at_a_clean_end() -> None:
    """The end of such a body is the end of the connection: FIN completes it."""
    async with World(dying(b"HTTP/1.1 200 OK\r\n\r\nall of it", "fin")) as world:
        got = await world.ask(get_once())
        assert got.endswith(b"all of it\r\n0\r\n\r\n")
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}


@on_loop
async def test_a_body_until_close_that_is_reset_is_cut_short() -> None:
    """RST instead of FIN is no end: the caller gets no last chunk."""
    has_arrived = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome of it")
        await has_arrived.wait()
        peer.reset()

    async with World(handle) as world:
        caller = await world.send(get_once())
        await caller.head()
        assert await caller.exactly(15) == b"a\r\nsome of it\r\n"
        has_arrived.set()
        assert await caller.rest() == b""
        await world.settled()
        assert world.outcomes == {"FAILED": 1}


@ENDS
@on_loop
async def test_a_kept_connection_found_dead_is_replaced_for_idempotent_requests(end: str) -> None:
    """Before the first byte, once, and the caller notices nothing."""
    async with World(dying(b"", end, reads=2)) as world:
        caller = await world.send(get())
        assert status_of((await caller.answer())[0]) == 200
        caller.send(get())
        assert status_of((await caller.answer())[0]) == 200
        assert len(world.service.peers) == 2
        assert world.runtime.stats.n_retried_on_dead == 1
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2}


@ENDS
@on_loop
async def test_a_post_is_never_sent_twice(end: str) -> None:
    """What may have been acted on is not repeated: 502, and the caller decides."""
    async with World(dying(b"", end, reads=2)) as world:
        caller = await world.send(post())
        assert status_of((await caller.answer())[0]) == 200
        caller.send(post())
        assert status_of((await caller.answer())[0]) == 502
        assert len(world.service.peers) == 1
        assert world.runtime.stats.n_retried_on_dead == 0
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "FAILED": 1}


@ENDS
@on_loop
async def test_after_the_first_byte_nothing_is_repeated(end: str) -> None:
    """Half a head is an answer that broke off, not a dead connection."""
    async with World(dying(b"HTTP/1.1 2", end, reads=2)) as world:
        caller = await world.send(get())
        assert status_of((await caller.answer())[0]) == 200
        caller.send(get())
        assert status_of((await caller.answer())[0]) == 502
        assert len(world.service.peers) == 1
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "FAILED": 1}


@ENDS
@pytest.mark.parametrize("begin", [post(b"half", length=1_000), POST_CHUNKED + b"4\r\nhalf\r\n"])
@on_loop
async def test_in_the_middle_of_an_upload(begin: bytes, end: str) -> None:
    """The caller gets its 502 although it is still sending; its connection ends after it."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        await peer.some()
        if end == "rst":
            peer.reset()

    async with World(handle) as world:
        caller = await world.send(begin)
        head, body = await caller.answer()
        assert status_of(head) == 502
        assert b"connection: close" in head.lower()
        assert b'"upstream_closed"' in body
        caller.close()
        await world.settled()
        assert world.outcomes == {"FAILED": 1}


@on_loop
async def test_an_early_answer_to_an_upload_then_death() -> None:
    """An answer that came before the upload's end reaches the caller whole."""
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(early)

    async with World(handle) as world:
        caller = await world.send(post(b"half", length=1_000_000))
        head, body = await caller.answer()
        assert (status_of(head), body) == (413, b"big")
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}


@on_loop
async def test_those_who_wait_are_served_after_a_death() -> None:
    """A place that a death frees is given on at once, in the same turn."""
    n_waiting = 5

    async def handle(peer: Peer) -> None:
        head = await peer.head()
        if b"/first" in head:
            await is_full.wait()
            peer.reset()
            return
        peer.send(ok())
        await answering()(peer)

    is_full = asyncio.Event()
    async with World(handle, upstream={"limit": 1}) as world:
        first = await world.send(get(b"/first"))
        others = [await world.send(get()) for _ in range(n_waiting)]
        while world.gate.line_length < n_waiting:
            await asyncio.sleep(0)
        is_full.set()
        assert status_of((await first.answer())[0]) == 502
        for other in others:
            assert status_of((await other.answer())[0]) == 200
        for caller in (first, *others):
            caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": n_waiting, "FAILED": 1}


@on_loop
async def test_a_service_that_is_gone_and_comes_back() -> None:
    """While nobody listens each request gets its own 502 at once; after that all is well."""
    async with World() as world:
        host, _, port = world.service.url.removeprefix("http://").rpartition(":")
        caller = await world.send(get())
        assert status_of((await caller.answer())[0]) == 200
        await world.service.stop()
        for _ in range(3):
            caller.send(get())
            head, body = await caller.answer()
            assert status_of(head) == 502
            assert b'"upstream_connect_failed"' in body
        await world.service.start(host, int(port))
        caller.send(get())
        assert status_of((await caller.answer())[0]) == 200
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 2, "UNSENT": 3}
