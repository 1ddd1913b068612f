"""Failures and leavers: exactly one outcome, no leaked lease, no half answer taken for whole."""

from __future__ import annotations

import asyncio
import socket

import pytest

from policies.decision import Action, Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of, until


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


@on_loop
async def test_bytes_on_an_idle_connection_close_it() -> None:
    """An answer to no request is never the answer to the next one."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok())
        await peer.writer.drain()
        await again.wait()
        peer.send(ok(b"evil"))
        await peer.rest()

    async with Rig(handle) as rig:
        again = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        again.set()
        await until(lambda: rig.pools[0].n_open == 0)
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"


def closing_once_idle(n_kept: int) -> tuple[Rig, asyncio.Event]:
    """A service whose first connections die unseen after one answer, when told."""
    die = asyncio.Event()

    async def handle(peer: Peer) -> None:
        is_first = len(rig.service.peers) <= n_kept
        while True:
            _, body = await peer.answer()
            if is_first and die.is_set():
                peer.reset()  # dies on its second request, before a byte of its answer
                return
            peer.send(ok(b"fresh" if not is_first else body or b"old"))

    rig = Rig(handle)
    return rig, die


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
@on_loop
async def test_a_kept_connection_found_dead_is_replaced_once(method: bytes) -> None:
    """An idempotent request goes again on a fresh connection, in one lease, unseen."""
    rig, die = closing_once_idle(1)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        die.set()
        length = b"Content-Length: 2\r\n\r\nhi" if method == b"PUT" else b"\r\n"
        peer.send(method + b" / HTTP/1.1\r\nHost: t\r\n" + length)
        head = await peer.head()
        assert status_of(head) == 200
        if method != b"HEAD":
            assert await peer.exactly(5) == b"fresh"
        assert await rig.settled(2) == [(Outcome.COMPLETED, 200)] * 2
        assert rig.stats.n_retried_on_dead == 1


@on_loop
async def test_a_post_is_never_sent_twice() -> None:
    """A POST on a connection that dies under it is 502: it may have been acted on."""
    rig, die = closing_once_idle(1)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        die.set()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
        head, _ = await peer.answer()
        assert status_of(head) == 502
        assert len(rig.service.peers) == 1
        assert rig.stats.n_retried_on_dead == 0


@on_loop
async def test_a_connection_that_died_while_idle_is_never_used() -> None:
    """An upstream's close of an idle connection is noticed at once."""

    async def handle(peer: Peer) -> None:
        await peer.answer()
        peer.send(ok())

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for n in range(1, 4):
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
            assert (await peer.answer())[1] == b"ok"
            await until(lambda: rig.pools[0].n_open == 0)
            assert len(rig.service.peers) == n


@on_loop
async def test_a_replay_is_tried_once_only() -> None:
    """Two dead connections in a row are 502."""

    async def handle(peer: Peer) -> None:
        if len(rig.service.peers) == 1:
            await peer.head()
            peer.send(ok())
        await peer.head()
        peer.reset()

    rig = Rig(handle)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        peer.send(GET)
        assert status_of((await peer.answer())[0]) == 502
        assert len(rig.service.peers) == 2
        assert len(await rig.settled(2)) == 2


# -- callers that leave ------------------------------------------------------


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


def holding_back() -> tuple[Rig, asyncio.Event]:
    """A service that answers when told."""
    go = asyncio.Event()

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            await go.wait()
            peer.send(ok(b"x" * 200_000))

    return Rig(handle), go


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
        assert rig.stats.n_abandoned == 1


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


@on_loop
async def test_the_connections_of_an_upstream_are_bounded() -> None:
    """Above max_connections a request is answered 503 and nothing more is opened."""
    rig, go = holding_back()
    rig._upstream["max_connections"] = 1
    async with rig:
        first, second = await rig.connect(), await rig.connect()
        first.send(GET)
        await until(lambda: rig.service.peers)
        second.send(GET)
        head, body = await second.answer()
        assert status_of(head) == 503
        assert b"upstream_connections_exhausted" in body
        go.set()
        await first.answer()
        assert len(rig.service.peers) == 1


@on_loop
async def test_an_idle_upstream_connection_is_closed_in_time() -> None:
    """keepalive_timeout closes it from this side, before the service does."""
    async with Rig(upstream={"keepalive_timeout_s": 0.1}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        assert rig.pools[0].n_idle == 1
        await until(lambda: rig.pools[0].n_open == 0)
