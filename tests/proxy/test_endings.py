"""Upstreams that fail: exactly one outcome, no leaked lease, no half answer taken for whole."""

from __future__ import annotations

import asyncio
import socket

import pytest

from policies.decision import Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@on_loop
async def test_nobody_there_is_502() -> None:
    """A refused connection is the upstream's fault, says so, and no byte was sent."""
    async with Rig(urls=[f"http://127.0.0.1:{closed_port()}"]) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(GET)
            head, body = await peer.answer()
            assert status_of(head) == 502
            assert b'"upstream_connect_failed"' in body
            assert b'"upstream"' in body
        assert await rig.settled(2) == [(Outcome.UNSENT, 502)] * 2
        assert rig.stats.n_connect_failures == 2


@on_loop
async def test_a_connection_that_never_opens_is_504() -> None:
    """connect_timeout bounds connecting."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with Rig(urls=[url], upstream={"connect_timeout_s": 0.2}) as rig:
            answer = await rig.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert status_of(answer) == 504
            assert b"upstream_connect_timeout" in answer
            assert await rig.settled() == [(Outcome.UNSENT, 504)]
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"]
)
@on_loop
async def test_broken_before_the_head_is_502(sent: bytes, is_reset: bool) -> None:
    """An upstream that ends before its answer's head broke off; the caller's connection goes on."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(sent)
        await peer.writer.drain()
        await asyncio.sleep(0.01)
        if is_reset:
            peer.reset()

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(GET)
            head, body = await peer.answer()
            assert status_of(head) == 502
            assert b"upstream_closed" in body
        assert await rig.settled(2) == [(Outcome.FAILED, 502)] * 2
        assert len(rig.service.peers) == 2, "a request that may have been seen is not sent again"


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
    ],
)
@on_loop
async def test_broken_in_the_middle_is_never_a_clean_end(sent: bytes, is_reset: bool) -> None:
    """Half an answer is cut off: no last chunk, no full length, the connection ends."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(sent)
        await seen.wait()
        if is_reset:
            peer.reset()

    async with Rig(handle) as rig:
        seen = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        head = await peer.head()
        assert status_of(head) == 200
        got = await peer.exactly(5)
        seen.set()
        got += await peer.rest()
        assert not got.endswith(b"0\r\n\r\n")
        assert len(got) <= len(b"5\r\n12345\r\n")
        assert await rig.settled() == [(Outcome.FAILED, 200)]


@on_loop
async def test_a_reset_is_no_end_of_a_body_until_close() -> None:
    """A body that ends at close ends only with FIN, never with RST."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await seen.wait()
        peer.reset()

    async with Rig(handle) as rig:
        seen = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await peer.head()
        assert await peer.exactly(8) == b"3\r\nabc\r\n"
        seen.set()
        assert await peer.rest() == b""
        assert await rig.settled() == [(Outcome.FAILED, 200)]


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

BAD_RESPONSES = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "status 099": b"HTTP/1.1 099 No\r\n\r\n",
    "status 20": b"HTTP/1.1 20 No\r\n\r\n",
    "status abc": b"HTTP/1.1 abc No\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nX: 1\r\n\r\n",
    "bare LF in a header": b"HTTP/1.1 200 OK\r\nX: 1\nY: 2\r\n\r\n",
    "bare CR in a value": b"HTTP/1.1 200 OK\r\nX: 1\rSet-Cookie: a\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: 1\x00\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    "length and coding": OK + b"Content-Length: 2\r\n" + CHUNKED + b"\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "coding twice": OK + CHUNKED + CHUNKED + b"\r\n",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "switch unasked": b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a huge head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
@on_loop
async def test_a_response_that_cannot_be_trusted_is_502(name: str) -> None:
    """Nothing of it reaches the caller; the upstream connection is closed."""
    async with Rig(answering(BAD_RESPONSES[name])) as rig:
        peer = await rig.connect()
        peer.send(GET)
        head, body = await peer.answer()
        assert status_of(head) == 502
        assert b"bad_response" in body
        assert await rig.settled() == [(Outcome.FAILED, 502)]
        assert rig.pools[0].n_idle == 0


@pytest.mark.parametrize(
    "chunk", [b"-1\r\n", b"0x5\r\n", b"5 \r\n", b"5_0\r\n", b"5\n", b"g\r\n", b"1\r\nab\r\n"]
)
@on_loop
async def test_a_chunked_answer_that_breaks_its_coding_is_cut_off(chunk: bytes) -> None:
    """Bad framing in the middle ends the caller's connection without a last chunk."""
    async with Rig(
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    ) as rig:
        answer = await rig.ask(GET)
        assert b"0\r\n\r\n" not in answer
        assert len(await rig.settled()) == 1
        assert rig.gate.outcomes[0][0] is Outcome.FAILED


@on_loop
async def test_bytes_behind_an_answer_spoil_the_connection() -> None:
    """A second answer that nobody asked for reaches nobody."""
    async with Rig(answering(ok() + ok(b"evil"))) as rig:
        peer = await rig.connect()
        for _ in range(3):
            peer.send(GET)
            assert await peer.answer() == (ok()[:-2], b"ok")
        assert len(rig.service.peers) == 3
