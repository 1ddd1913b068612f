"""One request's way through the proxy, on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Action, Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of


@on_loop
async def test_a_request_and_its_answer_pass_byte_for_byte() -> None:
    """Names, values, order and multiplicity of headers pass as sent, both ways."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(ok(b"hello", b"X-aBc: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx-ABC:  2 \r\n"))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(
            b"GET /a%2Fb//c?q=%41#".rstrip(b"#")
            + b" HTTP/1.1\r\nHost: t\r\nX-a: 1\r\nx-A:2\r\nX-a: 3\r\n\r\n"
        )
        head, body = await peer.answer()
        assert body == b"hello"
        assert (
            head
            == ok(b"hello", b"X-aBc: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx-ABC:  2 \r\n")[:-5]
        )
        assert seen[0].startswith(
            b"GET /a%2Fb//c?q=%41 HTTP/1.1\r\nHost: t\r\nX-a: 1\r\nx-A:2\r\nX-a: 3\r\n"
        )
        assert await rig.settled() == [(Outcome.COMPLETED, 200)]


@on_loop
async def test_connections_are_kept_on_both_sides() -> None:
    """Two requests of one caller use one upstream connection, two answers come in order."""
    async with Rig() as rig:
        peer = await rig.connect()
        for _ in range(3):
            peer.send(GET)
            assert (await peer.answer())[1] == b"ok"
        assert len(rig.service.peers) == 1
        assert (rig.stats.n_upstream_fresh, rig.stats.n_upstream_reused) == (1, 2)


@on_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    """A caller may send the next requests before the first answer; bodies do not confuse it."""

    async def handle(peer: Peer) -> None:
        while True:
            head, body = await peer.answer()
            peer.send(ok(head.split(b" ")[1] + body))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(
            b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\n"
            b"POST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
            b"GET /3 HTTP/1.1\r\nHost: t\r\n\r\nGET /4 HTTP/1.1\r\nHo"
        )
        for body in (b"/1", b"/2abc", b"/3"):
            assert (await peer.answer())[1] == body
        peer.send(b"st: t\r\n\r\n")
        assert (await peer.answer())[1] == b"/4"


@on_loop
async def test_a_thousand_pipelined_requests_do_not_recurse() -> None:
    """Answers given at once are given in a loop."""
    async with Rig() as rig:
        rig.gate.next_action = Action.ANSWER
        peer = await rig.connect()
        peer.send(GET * 1500)
        for _ in range(1500):
            head, _ = await peer.answer()
            assert status_of(head) == 429


@pytest.mark.parametrize("length", [0, 1, 70_000, 3_000_000])
@on_loop
async def test_counted_bodies_pass_both_ways(length: int) -> None:
    """Bodies of any size pass unchanged, both ways."""
    body = bytes(i * 7 % 251 for i in range(1000)) * (length // 1000 + 1)
    body = body[:length]

    async def handle(peer: Peer) -> None:
        while True:
            _, data = await peer.answer()
            peer.send(ok(data))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(
                b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (length, body)
            )
            assert (await peer.answer())[1] == body
        assert len(rig.service.peers) == 1


@on_loop
async def test_chunked_bodies_pass_with_their_trailers() -> None:
    """Chunks pass as they come, trailers too, and the connection goes on."""

    async def handle(peer: Peer) -> None:
        while True:
            assert b"Transfer-Encoding: chunked" in await peer.head()
            wire = await peer.chunked()
            peer.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" + wire
            )

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(
                b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
            )
            await peer.head()
            assert await peer.chunked() == b"5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n"
        assert len(rig.service.peers) == 1


@on_loop
async def test_a_stream_arrives_event_by_event() -> None:
    """Each event is sent on when it comes, not when the next one does."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for n in range(3):
            await go.get()
            peer.send(b"9\r\ndata: %d\n\n\r\n" % n)
        await go.get()
        peer.send(b"0\r\n\r\n")

    go: asyncio.Queue[None] = asyncio.Queue()
    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.head()
        for n in range(3):
            go.put_nowait(None)
            assert await peer.exactly(14) == b"9\r\ndata: %d\n\n\r\n" % n
        assert rig.gate.events == [("answered", 200)]
        go.put_nowait(None)
        assert await peer.exactly(5) == b"0\r\n\r\n"
        assert await rig.settled() == [(Outcome.COMPLETED, 200)]


@on_loop
async def test_a_body_that_ends_at_close_is_chunked_for_http_1_1() -> None:
    """HTTP/1.1 callers get a body of unknown length chunked, so that its end is certain."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.0 200 OK\r\nX: 1\r\n\r\nabc")

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(GET)
        assert await peer.head() == b"HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert await peer.chunked() == b"3\r\nabc\r\n0\r\n\r\n"
        peer.send(GET)
        await peer.head()


@on_loop
async def test_http_1_0_callers_get_no_chunks() -> None:
    """A chunked answer is decoded for HTTP/1.0 and ends at close."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n"
        )

    async with Rig(handle) as rig:
        for line in (b"", b"Connection: keep-alive\r\n"):
            answer = await rig.ask(b"GET / HTTP/1.0\r\n" + line + b"\r\n")
            assert answer == b"HTTP/1.1 200 OK\r\n\r\nabc"


@on_loop
async def test_http_1_0_callers_keep_their_connection_only_when_they_ask() -> None:
    """keep-alive is said to HTTP/1.0 and only where it asked."""
    async with Rig() as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head, _ = await peer.answer()
            assert b"Connection: keep-alive" in head
        assert await rig.ask(b"GET / HTTP/1.0\r\n\r\n") == ok()


@pytest.mark.parametrize(
    ("method", "response"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\nETag: x\r\n\r\n"),
    ],
)
@on_loop
async def test_answers_without_a_body(method: bytes, response: bytes) -> None:
    """HEAD, 204 and 304 end with their head whatever it says, and both connections go on."""
    async with Rig(answering(response)) as rig:
        peer = await rig.connect()
        for _ in range(3):
            peer.send(method + b" / HTTP/1.1\r\nHost: t\r\n\r\n")
            assert await peer.head() == response
        assert len(rig.service.peers) == 1


@on_loop
async def test_expect_continue_goes_end_to_end() -> None:
    """The upstream decides: its 100 and 103 are relayed, then the body is sent, then the answer."""

    async def handle(peer: Peer) -> None:
        head = await peer.head()
        assert b"Expect: 100-continue\r\n" in head
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        peer.send(ok(await peer.exactly(4)))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert await peer.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert await peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"body")
        assert (await peer.answer())[1] == b"body"


@on_loop
async def test_http_1_0_callers_get_no_interim_answers() -> None:
    """A 100 that the upstream sends unasked is kept from HTTP/1.0."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + ok())

    async with Rig(handle) as rig:
        assert await rig.ask(b"GET / HTTP/1.0\r\n\r\n") == ok()


@on_loop
async def test_a_final_answer_instead_of_100_ends_the_connection() -> None:
    """Refused before its body was sent, a caller gets the answer and a close."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    async with Rig(handle) as rig:
        answer = await rig.ask(
            b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert status_of(answer) == 413
        assert b"Connection: close\r\n" in answer
        assert answer.endswith(b"no")


@on_loop
async def test_an_early_answer_reaches_a_caller_that_is_still_sending() -> None:
    """An answer before the end of an upload is relayed whole, then the connection closes."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nbad")
        await peer.rest()

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        head, body = await peer.answer()
        assert status_of(head) == 403
        assert body == b"bad"
        peer.send(b"x" * 100_000)  # still read, and dropped
        assert await peer.rest() == b""
        assert await rig.settled() == [(Outcome.COMPLETED, 403)]


@on_loop
async def test_hop_by_hop_fields_end_here() -> None:
    """Connection, what it names, and the fields of one hop pass neither way."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(
                ok(
                    b"",
                    b"Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\n"
                    b"Keep-Alive: timeout=5\r\nX-End: 1\r\n",
                )
            )

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(
            b"GET / HTTP/1.1\r\nHost: t\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
            b"Proxy-Connection: x\r\nTE: gzip\r\nX-End: 2\r\n\r\n"
        )
        assert await peer.head() == b"HTTP/1.1 200 OK\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n"
        for name in (b"connection", b"x-mine", b"keep-alive", b"te:"):
            assert name not in seen[0].lower()
        assert b"X-End: 2" in seen[0]


@on_loop
async def test_close_is_honoured_on_both_sides() -> None:
    """A caller's close ends its connection after the answer; an upstream's only its own."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok(b"1", b"Connection: close\r\n"))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(GET)
            head, _ = await peer.answer()
            assert b"close" not in head
        peer.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        answer = await peer.rest()
        assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1"
        assert len(rig.service.peers) == 3
