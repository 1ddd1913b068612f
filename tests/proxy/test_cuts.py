"""However a caller's bytes are cut, and with garbage among them, the upstream sees the same."""

from __future__ import annotations

import asyncio

import h11
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.rig import Peer, Rig, ok, on_loop, until
from tests.proxy.services import recording

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
