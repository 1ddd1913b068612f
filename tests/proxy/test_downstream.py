"""What a caller may send: refused with a reason, or forwarded whole, however it is cut."""

from __future__ import annotations

import asyncio

import h11
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.decision import Outcome
from tests.proxy.rig import GET, Peer, Rig, ok, on_loop, status_of, until

H = b"Host: t\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, tuple[bytes, int]] = {
    "bare LF after the request line": (b"GET / HTTP/1.1\n" + H + b"\r\n", 400),
    "bare LF after a header": (b"GET / HTTP/1.1\r\nHost: t\nX: 1\r\n\r\n", 400),
    "bare LF at the end": (b"GET / HTTP/1.1\r\n" + H + b"\n", 400),
    "LF only": (b"GET / HTTP/1.1\nHost: t\n\n", 400),
    "bare LF in front": (b"\nGET / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "bare CR in the request line": (b"GET /\r HTTP/1.1\r\n" + H + b"\r\n", 400),
    "bare CR in a value": (b"GET / HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n", 400),
    "bare CR before CRLF": (b"GET / HTTP/1.1\r\n" + H + b"X: a\r\r\n\r\n", 400),
    "obs-fold": (b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n b\r\n\r\n", 400),
    "obs-fold by tab": (b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n\tb\r\n\r\n", 400),
    "obs-fold first": (b"GET / HTTP/1.1\r\n Host: t\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\n" + H + b"X : a\r\n\r\n", 400),
    "tab before colon": (b"GET / HTTP/1.1\r\n" + H + b"X\t: a\r\n\r\n", 400),
    "empty name": (b"GET / HTTP/1.1\r\n" + H + b": a\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\n" + H + b"Xa\r\n\r\n", 400),
    "name with a bracket": (b"GET / HTTP/1.1\r\n" + H + b"X(: a\r\n\r\n", 400),
    "name in UTF-8": (b"GET / HTTP/1.1\r\n" + H + "Xé: a\r\n\r\n".encode(), 400),
    "NUL in a value": (b"GET / HTTP/1.1\r\n" + H + b"X: a\0b\r\n\r\n", 400),
    "control character in a value": (b"GET / HTTP/1.1\r\n" + H + b"X: a\x0bb\r\n\r\n", 400),
    "DEL in a value": (b"GET / HTTP/1.1\r\n" + H + b"X: a\x7fb\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\n" + H + H + b"\r\n", 400),
    "bad Host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "repeated length": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "conflicting lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "length with _": (POST + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
    "length in hex": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "empty length": (POST + b"Content-Length: \r\n\r\n", 400),
    "huge length": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "length then coding": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "coding then length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "chunked, gzip": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "quoted coding": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n', 400),
    "coding behind VT": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "coding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "two spaces before the version": (b"GET /  HTTP/1.1\r\n" + H + b"\r\n", 400),
    "space behind the version": (b"GET / HTTP/1.1 \r\n" + H + b"\r\n", 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "tab as separator": (b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\n" + H + b"\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "lower-case version": (b"GET / http/1.1\r\n" + H + b"\r\n", 400),
    "HTTPS": (b"GET / HTTPS/1.1\r\n" + H + b"\r\n", 400),
    "RTSP": (b"DESCRIBE / RTSP/1.0\r\n" + H + b"\r\n", 400),
    "ICE": (b"SOURCE / ICE/1.0\r\n" + H + b"\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + H + b"\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", 400),
    "lower-case method": (b"get / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "unknown method": (b"BREW / HTTP/1.1\r\n" + H + b"\r\n", 501),
    "CONNECT": (b"CONNECT t:80 HTTP/1.1\r\n" + H + b"\r\n", 501),
    "no slash": (b"GET x HTTP/1.1\r\n" + H + b"\r\n", 400),
    "GET *": (b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "control character in the target": (b"GET /a\x01 HTTP/1.1\r\n" + H + b"\r\n", 400),
    "NUL in the target": (b"GET /a\0 HTTP/1.1\r\n" + H + b"\r\n", 400),
    "control character in a UTF-8 target": ("GET /é\x01 HTTP/1.1\r\n".encode() + H + b"\r\n", 400),
    "a head above the bound": (
        b"GET / HTTP/1.1\r\n" + H + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        431,
    ),
    "an endless request line": (b"GET /" + b"x" * 70_000, 431),
    "too many headers": (b"GET / HTTP/1.1\r\n" + H + b"X: 1\r\n" * 300 + b"\r\n", 431),
}

BAD_CHUNKS = [
    b"-1\r\na\r\n",
    b"+1\r\na\r\n",
    b"0x1\r\na\r\n",
    b"1_0\r\n",
    b" 1\r\na\r\n",
    b"1 \r\na\r\n",
    b"1 ;x\r\na\r\n",
    b"\r\n",
    b"g\r\n",
    b"1\na\r\n",
    b"1\r\na\n",
    b"1\r\nab\r\n",
    b"1\r\naX\r\n",
    b"1;x\ry\r\na\r\n",
    b"1;x\0\r\na\r\n",
    b"ffffffffffffffff\r\n",
    b"1000000000000000000000\r\n",
    b"1;" + b"x" * 5000 + b"\r\na\r\n",
    b"0\r\nX\r\n\r\n",
    b"0\r\nX : 1\r\n\r\n",
    b"0\r\n X: 1\r\n\r\n",
    b"0\r\nX: 1\n\r\n",
    b"0\r\nX: a\0\r\n\r\n",
    b"0\r\n" + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    b"0\n\r\n",
]


def recording() -> tuple[Rig, list[bytes]]:
    """A service that answers and notes every byte it gets."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.rest())

    return Rig(handle), seen


@pytest.mark.parametrize("name", REFUSED)
@on_loop
async def test_a_malformed_head_is_refused_and_never_forwarded(name: str) -> None:
    """Answered with its status, the connection closes, the upstream sees no connection at all."""
    data, status = REFUSED[name]
    async with Rig() as rig:
        answer = await rig.ask(data + b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n")
        assert status_of(answer) == status
        assert b"Connection: close\r\n" in answer
        assert answer.count(b"\r\n\r\n") == 1
        assert b'"caller"' in answer
        assert rig.service.peers == []
        assert rig.gate.events == []


@pytest.mark.parametrize("name", REFUSED)
@on_loop
async def test_a_malformed_head_is_refused_byte_by_byte(name: str) -> None:
    """The same, when each byte comes alone."""
    data, status = REFUSED[name]
    if len(data) > 2_000:
        return
    async with Rig() as rig:
        peer = await rig.connect()
        await until(lambda: rig.server.connections)
        connection = next(iter(rig.server.connections))
        for idx in range(len(data)):
            if not connection.is_reading_requests:
                break
            connection.data_received(data[idx : idx + 1])
        answer = await peer.rest()
        assert status_of(answer) == status
        assert rig.service.peers == []


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
@on_loop
async def test_a_malformed_chunk_is_refused(chunk: bytes) -> None:
    """400 and close; what went upstream before it never becomes a whole request."""
    rig, seen = recording()
    async with rig:
        answer = await rig.ask(CHUNKED + b"2\r\nab\r\n" + chunk + b"0\r\n\r\n" + GET)
        assert status_of(answer) == 400
        assert b"bad_chunk" in answer
        await rig.settled(0)
        await until(lambda: not rig.gate.open)
        assert b"0\r\n\r\n" not in b"".join(seen)


@on_loop
async def test_a_malformed_chunk_behind_a_forwarded_head_cuts_the_upstream_off() -> None:
    """A body that turns bad on its way ends the upstream connection before its end."""
    rig, seen = recording()
    async with rig:
        peer = await rig.connect()
        peer.send(CHUNKED + b"2\r\nab\r\n")
        await until(lambda: rig.service.peers)
        peer.send(b"-5\r\n")
        answer = await peer.rest()
        assert status_of(answer) == 400
        assert (await rig.settled())[0][0] is Outcome.CANCELLED
        await until(lambda: seen)
        assert seen[0].endswith(b"2\r\nab\r\n")


VALID = (
    b"\r\nGET /1?q HTTP/1.1\r\nHost: t\r\nX-A: 1\r\nx-a:  2\t\r\n\r\n"
    b"POST /2 HTTP/1.1\r\nhost: t\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /3 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\nTrailer: T\r\n\r\n"
    b"3;e=1\r\nabc\r\n0A\r\n0123456789\r\n000\r\nT: 1\r\n\r\n"
    b"HEAD http://t/4 HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"
)


async def forwarded(cuts: list[int]) -> tuple[list[bytes], bytes]:
    """What the upstream and the caller get of VALID, sent in these pieces."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            head = await peer.head()
            body = b""
            if b"chunked" in head:
                while not body.endswith(b"0\r\nT: 1\r\n\r\n"):
                    body += await peer.some()
                body = dechunk(body)
            elif b"Content-Length: 5" in head:
                body = await peer.exactly(5)
            lines = [x for x in head.split(b"\r\n") if not x.startswith(b"X-Request-Id")]
            seen.append(b"\r\n".join(lines) + body)
            peer.send(ok(b"" if head.startswith(b"HEAD") else b"ok"))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        start = 0
        for cut in [*cuts, len(VALID)]:
            peer.send(VALID[start:cut])
            start = cut
            await peer.writer.drain()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        answers = await peer.rest()
    return seen, answers


def dechunk(wire: bytes) -> bytes:
    """Body and trailers of a chunked body."""
    body = b""
    while True:
        size, _, wire = wire.partition(b"\r\n")
        if not int(size, 16):
            return body + wire
        body += wire[: int(size, 16)]
        wire = wire[int(size, 16) + 2 :]


EXPECTED_BODIES = [b"", b"hello", b"abc0123456789T: 1\r\n\r\n", b""]


@on_loop
async def test_a_stream_of_requests_split_anywhere_is_the_same_upstream() -> None:
    """Cutting at each byte position changes nothing of what the upstream or the caller gets."""
    whole, answers = await forwarded([])
    assert [x.partition(b"\r\n\r\n")[2] for x in whole] == EXPECTED_BODIES
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    for cut in range(1, len(VALID), 5):
        assert await forwarded([cut]) == (whole, answers), cut


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, len(VALID) - 1), max_size=60, unique=True).map(sorted))
def test_any_cutting_is_the_same_upstream(cuts: list[int]) -> None:
    """Hypothesis cuts a valid stream as it likes."""
    whole, answers = uvloop.run(forwarded([]))
    assert uvloop.run(forwarded(cuts)) == (whole, answers)


@on_loop
async def test_every_byte_alone_is_the_same_upstream() -> None:
    """The finest cutting of all."""
    assert await forwarded(list(range(1, len(VALID)))) == await forwarded([])


async def poked(data: bytes) -> list[bytes]:
    """What the upstream gets of a caller that sends this and leaves."""
    rig, seen = recording()
    async with rig:
        peer = await rig.connect()
        peer.send(data)
        await asyncio.sleep(0.01)
        if rig.service.peers:
            await asyncio.sleep(0.01)
        peer.close()
        await until(lambda: not rig.gate.open or rig.server.abandoned)
        for exchange in list(rig.server.abandoned):
            exchange.left_at_ns = 0
        rig.server.sweep(10**18)
        await until(lambda: not rig.gate.open)
    await asyncio.sleep(0)
    return seen


SCRAPS = [
    b"GET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Host: t\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"X: \r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=6), min_size=1, max_size=12))
def test_the_upstream_never_sees_a_byte_of_garbage(scraps: list[bytes]) -> None:
    """Whatever is sent, an independent reader finds only well-formed requests upstream."""
    seen = uvloop.run(poked(b"".join(scraps)))
    for data in seen:
        assert is_well_formed_prefix(data), data


def is_well_formed_prefix(data: bytes) -> bool:
    """Read requests with h11, the strictest reader at hand; nothing may be left that is none."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return True
    except h11.RemoteProtocolError:
        return False


# -- forms of requests --------------------------------------------------------


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


# -- time ---------------------------------------------------------------------


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
