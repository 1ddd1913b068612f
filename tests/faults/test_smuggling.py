"""Whatever is sent, the service gets nothing, or requests that every reader reads the same way.

Each case is sent whole and byte by byte. Its number says how many requests may reach the service:
0 stands for a refusal (or a connection that ends), never for half a request that goes on.
"""

from __future__ import annotations

import asyncio

import h11
import pytest

from tests.faults.readers import Read, read_all_ways
from tests.faults.world import World
from tests.proxy.rig import Peer, on_loop, status_of, until

EVIL = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: t\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: t\r\n\r\n"


def _both(coding_line: bytes) -> bytes:
    """A body whose end the length and the coding put at different places."""
    body = b"0\r\n\r\n" + EVIL
    return POST + b"Content-Length: %d\r\n%b\r\n\r\n%b" % (len(body), coding_line, body)


def _length(value: bytes) -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + EVIL


def _head(line: bytes) -> bytes:
    return b"GET /p HTTP/1.1\r\nHost: t\r\n" + line + b"\r\n\r\n" + EVIL


# What the service may see of these: nothing at all.
NEVER = {
    "CL.TE": _both(b"Transfer-Encoding: chunked"),
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + EVIL,
    **{
        f"TE obfuscated as {line!r}": _both(line)
        for line in (
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding\t: chunked",
            b" Transfer-Encoding: chunked",
            b"\tTransfer-Encoding: chunked",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: chunkedx",
            b"Transfer-Encoding: chunk",
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: identity, chunked",
            b"Transfer-Encoding: chunked, identity",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: ,chunked",
            b"Transfer-Encoding: chunked,",
            b"Transfer-Encoding: chunked;q=1",
            b'Transfer-Encoding: "chunked"',
            b"Transfer-Encoding: 'chunked'",
            b"Transfer-Encoding: \x0bchunked",
            b"Transfer-Encoding: chunked\x0c",
            b"Transfer-Encoding: chunked\0",
            b"Transfer-Encoding: chu\0nked",
            b"Transfer-Encoding:\xa0chunked",
            b"Transfer-Encoding:",
            b"Transfer-Encoding\r\n : chunked",
            b"Transfer-Encoding:\r\n chunked",
            b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            b"X: y\nTransfer-Encoding: chunked",
            b"X: y\rTransfer-Encoding: chunked",
            b"\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r",
            b"Transfer\xadEncoding: chunked",
            b"Transfer-Encoding\0: chunked",
            b"Transfer-Encoding\xff: chunked",
            b"(Transfer-Encoding: chunked",
            b"Content-Length: 0",
            b"content-length: 5",
            b"Content-Length : 5",
            b" Content-Length: 5",
            b"Content-Length\0: 5",
        )
    },
    **{
        f"length {value!r}": _length(value)
        for value in (
            b"",
            b"+38",
            b"-38",
            b"-0",
            b"0x26",
            b"3_8",
            b"38.0",
            b"38e0",
            b"3 8",
            b"38, 38",
            b"38,38",
            b"38;38",
            b"38 \r\n 0",
            b"\x0b38",
            b"38\0",
            b"0\n38",
            "\u0663\u0668".encode(),
            b"\xb238",
            b"9223372036854775808",
            b"18446744073709551654",
            b"340282366920938463463374607431768211494",
            b"1" * 400,
            b"NaN",
        )
    },
    **{
        f"head line {line!r}": _head(line)
        for line in (
            b"X: a\r\n folded",
            b"X: a\r\n\tfolded",
            b"X: a\nContent-Length: 38",
            b"X: a\rContent-Length: 38",
            b"X: a\0b",
            b"X: \x01",
            b"X: \x7f",
            b"X : a",
            b"X",
            b": a",
            b"",
            b"\xc3\xa9: a",
            b"X{}: a",
            b"Host: t",
            b"host: other",
            b"Host : other",
        )
        if line
    },
    "two Hosts by LF": b"GET / HTTP/1.1\r\nHost: t\nHost: u\r\n\r\n",
    "a list of hosts": b"GET / HTTP/1.1\r\nHost: t, u\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: t/../u\r\n\r\n",
    "host with user": b"GET / HTTP/1.1\r\nHost: a@t\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n" + EVIL,
    "absolute with user": b"GET http://a@t/ HTTP/1.1\r\nHost: t\r\n\r\n",
    "absolute without host": b"GET http:///smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "fragment": b"GET /#" + EVIL,
    "line ends with LF": b"GET / HTTP/1.1\nHost: t\n\n" + EVIL,
    "request line ends with LF": b"GET / HTTP/1.1\nHost: t\r\n\r\n" + EVIL,
    "head ends with LF CR LF": b"GET / HTTP/1.1\r\nHost: t\n\r\n" + EVIL,
    "head ends with CR CR": b"GET / HTTP/1.1\r\nHost: t\r\r" + EVIL,
    "CR in the request line": b"GET / HTTP/1.1\r\r\nHost: t\r\n\r\n",
    "CR in the target": b"GET /\rX HTTP/1.1\r\nHost: t\r\n\r\n",
    "LF in the target": b"GET /\nHost: t\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n",
    "NUL in the method": b"GE\0T / HTTP/1.1\r\nHost: t\r\n\r\n",
    "two targets": b"GET / /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "two versions": b"GET / HTTP/1.1 HTTP/1.1\r\nHost: t\r\n\r\n",
    "tabs": b"GET\t/\tHTTP/1.1\r\nHost: t\r\n\r\n",
    "a space in front": b" GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "a space behind": b"GET / HTTP/1.1 \r\nHost: t\r\n\r\n",
    "no version": b"GET /\r\nHost: t\r\n\r\n",
    "version 1.10": b"GET / HTTP/1.10\r\nHost: t\r\n\r\n",
    "version 01.1": b"GET / HTTP/01.1\r\nHost: t\r\n\r\n",
    "version 1,1": b"GET / HTTP/1,1\r\nHost: t\r\n\r\n",
    "http in lower case": b"GET / http/1.1\r\nHost: t\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n" + EVIL,
    "chunked in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n" + EVIL,
    "an endless head": b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 70_000,
}

# Of these the head is whole, the body never becomes whole.
CUT = {
    f"chunks {chunks!r}": CHUNKED + chunks
    for chunks in (
        b"+5\r\nabcde\r\n0\r\n\r\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b" 5\r\nabcde\r\n0\r\n\r\n",
        b"5 \r\nabcde\r\n0\r\n\r\n",
        b"5\t\r\nabcde\r\n0\r\n\r\n",
        b"5 ;a\r\nabcde\r\n0\r\n\r\n",
        b"5_0\r\nabcde\r\n0\r\n\r\n",
        b"5\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcde\n0\r\n\r\n",
        b"5\r\nabcde0\r\n\r\n",
        b"5\r\nabcdef\r\n0\r\n\r\n",
        b"5\r\nabcde\r\n0\n\n" + EVIL,
        b"5\r\nabcde\r\n0\r\n\n" + EVIL,
        b"5;\nx\r\nabcde\r\n0\r\n\r\n",
        b"5;a\rb\r\nabcde\r\n0\r\n\r\n",
        b"5;a\0\r\nabcde\r\n0\r\n\r\n",
        b"5;" + b"a" * 5_000 + b"\r\nabcde\r\n0\r\n\r\n",
        b"\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n",
        b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
        b"0\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
        b"0\r\n X: folded\r\n\r\n" + EVIL,
        b"0\r\nX : 1\r\n\r\n" + EVIL,
        b"0\r\nX: a\nb\r\n\r\n" + EVIL,
        b"0\r\nX: a\0\r\n\r\n" + EVIL,
        b"G\r\n\r\n" + EVIL,
        b"\n",
        b";\r\n",
    )
}

# These are requests, and just these.
WHOLE: dict[str, tuple[bytes, list[Read]]] = {
    "a body that looks like a request": (
        _length(b"%d" % len(EVIL)),
        [Read(b"POST", b"/p", EVIL)],
    ),
    "a length with zeros in front": (
        POST + b"Content-Length: 0003\r\n\r\nabc",
        [Read(b"POST", b"/p", b"abc")],
    ),
    "white space around a length": (
        POST + b"Content-Length: \t 3 \t\r\n\r\nabc",
        [Read(b"POST", b"/p", b"abc")],
    ),
    "a coding in capitals": (
        POST + b"Transfer-Encoding:\tCHUNKED \r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        [Read(b"POST", b"/p", b"abc")],
    ),
    "a body of GET that looks like a request": (
        b"GET /p HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (len(EVIL), EVIL),
        [Read(b"GET", b"/p", EVIL)],
    ),
    "chunks with extensions, capitals and zeros": (
        CHUNKED + b"0003;a=b\r\nabc\r\nA;\r\n0123456789\r\n000\r\n\r\n",
        [Read(b"POST", b"/p", b"abc0123456789")],
    ),
    "a chunk that looks like a request": (
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL),
        [Read(b"POST", b"/p", EVIL)],
    ),
    "a trailer that frames": (
        CHUNKED + b"0\r\nContent-Length: 38\r\nTransfer-Encoding: x\r\nHost: u\r\n\r\n",
        [Read(b"POST", b"/p", b"")],
    ),
    "Connection names the framing": (
        POST + b"Connection: Content-Length, Host\r\nContent-Length: 3\r\n\r\nabc",
        [Read(b"POST", b"/p", b"abc")],
    ),
    "Connection names the coding": (
        POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        [Read(b"POST", b"/p", b"")],
    ),
    "an absolute target and another Host": (
        b"GET http://u/p HTTP/1.1\r\nHost: t\r\n\r\n",
        [Read(b"GET", b"/p", b"")],
    ),
    "requests in a row": (
        NEXT + _length(b"%d" % len(EVIL)) + CHUNKED + b"0\r\n\r\n" + NEXT,
        [
            Read(b"GET", b"/next", b""),
            Read(b"POST", b"/p", EVIL),
            Read(b"POST", b"/p", b""),
            Read(b"GET", b"/next", b""),
        ],
    ),
    "an upgrade that is refused, and a next request": (
        b"GET /p HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + NEXT,
        [Read(b"GET", b"/p", b""), Read(b"GET", b"/next", b"")],
    ),
    "h2c, and a next request": (
        b"GET /p HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + NEXT,
        [Read(b"GET", b"/p", b""), Read(b"GET", b"/next", b"")],
    ),
    "nothing after close": (
        b"GET /p HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" + EVIL,
        [Read(b"GET", b"/p", b"")],
    ),
    "an underscore is another name": (
        POST + b"Content_Length: 0\r\nContent-Length: 3\r\n\r\nabc",
        [Read(b"POST", b"/p", b"abc")],
    ),
}


class Recorder:
    """A service that answers whole requests as h11 reads them, and notes every byte."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.n_ended = 0

    async def __call__(self, peer: Peer) -> None:
        data = bytearray()
        self.received.append(data)
        connection = h11.Connection(h11.SERVER)
        try:
            while part := await peer.some():
                data += part
                connection.receive_data(part)
                while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                    if isinstance(event, h11.EndOfMessage):
                        peer.send(
                            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
                        )
                        return
        except h11.RemoteProtocolError:
            pass  # the test reads the bytes again
        finally:
            self.n_ended += 1

    async def take(self, world: World) -> list[Read]:
        """What has come since, read by all readers, once nothing is under way any more."""
        pool = world.pool
        await until(lambda: pool.n_open == pool.n_idle and not pool.n_connecting)
        await until(lambda: len(self.received) - self.n_ended == pool.n_idle)
        requests: list[Read] = []
        for data in self.received:
            requests += read_all_ways(bytes(data))
            data.clear()
        return requests


async def _send(caller: Peer, data: bytes, is_cut: bool) -> None:
    if not is_cut:
        caller.send(data)
        return
    for n in range(len(data)):
        if caller.writer.is_closing():
            return
        caller.send(data[n : n + 1])
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "bytewise"])
@on_loop
async def test_what_is_ambiguous_reaches_nobody(is_cut: bool) -> None:
    """Refused with 4xx or 5xx and the end of the connection; the service sees no byte."""
    recorder = Recorder()
    async with World(recorder) as world:
        for name, data in NEVER.items():
            caller = await world.connect()
            await _send(caller, data if len(data) < 2_000 or not is_cut else data[:2_000], is_cut)
            if is_cut and len(data) >= 2_000:
                caller.close()
            else:
                answer = await caller.rest()
                assert 400 <= status_of(answer) < 600, name
                assert answer.count(b"\r\nDate: ") == 1, name
            caller.close()
            assert await recorder.take(world) == [], name
        assert world.gate.ledger.n_arrived == 0


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "bytewise"])
@on_loop
async def test_a_body_that_turns_bad_never_becomes_whole(is_cut: bool) -> None:
    """400 and the end of both connections; the service cannot take what it has for a request."""
    recorder = Recorder()
    async with World(recorder) as world:
        for name, data in CUT.items():
            caller = await world.connect()
            await _send(caller, data, is_cut)
            answer = await caller.rest()
            assert status_of(answer) == 400, name
            assert answer.count(b"\r\nDate: ") == 1, name
            caller.close()
            assert await recorder.take(world) == [], name


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "bytewise"])
@on_loop
async def test_what_is_well_formed_reads_the_same_everywhere(is_cut: bool) -> None:
    """The service gets just these requests, whoever reads them, and each is answered."""
    recorder = Recorder()
    async with World(recorder) as world:
        for name, (data, want) in WHOLE.items():
            caller = await world.connect()
            await _send(caller, data, is_cut)
            for _ in want:
                assert status_of((await caller.answer())[0]) == 200, name
            caller.close()
            await until(lambda: not world.runtime.proxy.connections)
            assert await recorder.take(world) == want, name
