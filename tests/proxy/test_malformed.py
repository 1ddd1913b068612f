"""Bytes that are no request: refused with a reason, and nothing of them is a request upstream."""

from __future__ import annotations

import pytest

from policies.decision import Outcome
from tests.proxy.rig import GET, Rig, on_loop, status_of, until
from tests.proxy.services import POST, H, recording

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
