"""Streams: nothing is held back, nothing is kept, and a slow side slows the other.

No test here measures time. Where order is the point, the origin sends the next piece only after
the caller has acknowledged the last; where memory is, the kernel's own count is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.conftest import Site
from tests.support.governed import Governor
from tests.support.origin_answers import BLOCK
from tests.support.wire import WireClient

LARGE_BYTES = 64 << 20
MEMORY_GROWTH_BYTES = 16 << 20
UNREAD_BYTES = 128 << 20  # more than the kernel's buffers of both legs ever grow to


def pattern_digest(n_bytes: int) -> str:
    """The digest of what the origin's `/download` sends."""
    digest = hashlib.sha256()
    for start in range(0, n_bytes, len(BLOCK)):
        digest.update(BLOCK[: n_bytes - start])
    return digest.hexdigest()


def blocks(n_bytes: int) -> Iterator[bytes]:
    """The same pattern in blocks, to upload."""
    for start in range(0, n_bytes, len(BLOCK)):
        yield BLOCK[: n_bytes - start]


def test_hundred_events_arrive_one_by_one(origin: Site) -> None:
    """Event n + 1 is sent only after event n was acknowledged by another request."""
    for name, base in (("direct", origin.direct), ("governed", origin.governed)):
        got = []
        with WireClient(base) as stream, WireClient(base) as side:
            stream.send(stream.head("GET", b"/events?n=100&name=" + name.encode()))
            head = stream.read_head()
            assert head.get(b"content-type") == b"text/event-stream"
            buffered = b""
            for number in range(100):
                while b"\n\n" not in buffered:
                    buffered += stream.read_chunk()
                event, _, buffered = buffered.partition(b"\n\n")
                got.append(event)
                target = f"/ack?name={name}&number={number}".encode()
                assert side.request("POST", target).status == 204
            assert stream.read_chunk() == b""
        assert got == [b"id: %d\ndata: event %d" % (n, n) for n in range(100)]


async def test_many_event_streams_side_by_side(origin: Site) -> None:
    """Thirty streams in lock-step with their callers do not hold one another back.

    They say that they are event streams, as browsers and SDKs do, so they take no place of the
    limit: one that fell below thirty would keep from them what their next event waits for.
    """
    limits = httpx.Limits(max_connections=None)
    accepts = {"accept": "text/event-stream"}
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(base_url=origin.governed, timeout=20, limits=limits) as client,
    ):

        async def one(name: str) -> int:
            n_events = 0
            target = f"/events?n=4&name={name}"
            async with client.stream("GET", target, headers=accepts) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        await client.get(f"/ack?name={name}&number={n_events}")
                        n_events += 1
            return n_events

        assert await asyncio.gather(*(one(f"many-{idx}") for idx in range(30))) == [4] * 30


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_download_in_constant_memory(origin: Site, framing: str) -> None:
    """64 MiB come down byte for byte while Governor's memory stays where it was."""
    with WireClient(origin.governed, 30) as client:
        client.request("GET", b"/download?n=65536")
        before = _watch_memory(origin)
        client.send(client.head("GET", f"/download?n={LARGE_BYTES}&framing={framing}".encode()))
        head = client.read_head()
        digest, left = hashlib.sha256(), LARGE_BYTES
        while left:
            chunk = client.read_chunk() if framing == "chunked" else _some(client, left)
            digest.update(chunk)
            left -= len(chunk)
        if framing == "length":
            assert head.get(b"content-length") == b"%d" % LARGE_BYTES
        else:
            assert client.read_chunk() == b""
        assert digest.hexdigest() == pattern_digest(LARGE_BYTES)
        assert _peak_memory(origin) - before < MEMORY_GROWTH_BYTES


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_upload_in_constant_memory(origin: Site, framing: str) -> None:
    """64 MiB go up byte for byte while Governor's memory stays where it was."""
    with httpx.Client(base_url=origin.governed, timeout=30) as client:
        client.post("/upload", content=b"warm")
        before = _watch_memory(origin)
        headers = {"content-length": str(LARGE_BYTES)} if framing == "length" else {}
        answer = client.post("/upload", content=blocks(LARGE_BYTES), headers=headers)
        assert _peak_memory(origin) - before < MEMORY_GROWTH_BYTES
    n_bytes, digest = answer.text.split()
    assert int(n_bytes) == LARGE_BYTES
    assert digest == pattern_digest(LARGE_BYTES)
    assert origin.server.take()[-1].framing == framing


def test_a_caller_that_does_not_read_slows_the_origin(origin: Site) -> None:
    """While the caller reads nothing, the origin cannot send on; then all of it arrives."""
    sent = origin.server.counts
    for name, base in (("slow-direct", origin.direct), ("slow-governed", origin.governed)):
        before = _watch_memory(origin)
        with WireClient(base, 30) as client:
            client.send(client.head("GET", f"/download?n={UNREAD_BYTES}&name={name}".encode()))
            head = client.read_head()
            assert _settle(lambda name=name: sent.get(name, 0)) < UNREAD_BYTES  # type: ignore[misc]
            assert _peak_memory(origin) - before < MEMORY_GROWTH_BYTES
            client.read_body(head)
        assert hashlib.sha256(head.body).hexdigest() == pattern_digest(UNREAD_BYTES)


def test_an_origin_that_does_not_read_slows_the_caller(origin: Site) -> None:
    """While the origin reads nothing, the caller cannot send on; then all of it arrives."""
    for name, base in (("gate-direct", origin.direct), ("gate-governed", origin.governed)):
        before = _watch_memory(origin)
        with WireClient(base, 30) as client:
            fields = [(b"Content-Length", b"%d" % UNREAD_BYTES)]
            client.send(client.head("POST", f"/upload?gate={name}".encode(), fields))
            sent = _send_until_full(client.socket, UNREAD_BYTES)
            assert sent < UNREAD_BYTES
            assert _peak_memory(origin) - before < MEMORY_GROWTH_BYTES
            origin.server.open_gate(name)
            rest = itertools.islice(blocks(UNREAD_BYTES), sent // len(BLOCK), None)
            client.send(next(rest)[sent % len(BLOCK) :])
            for block in rest:
                client.send(block)
            n_bytes, digest = client.read_response("POST").body.split()
        assert int(n_bytes) == UNREAD_BYTES
        assert digest.decode() == pattern_digest(UNREAD_BYTES)


def test_early_answer_to_an_upload(origin: Site) -> None:
    """An answer that comes before the upload's end reaches the caller that is still sending."""
    with WireClient(origin.governed) as client:
        fields = [(b"Content-Length", b"1000000")]
        client.send(client.head("POST", b"/refuse", fields) + b"x" * 1000)
        response = client.read_response("POST")
        assert (response.status, response.body) == (413, b"too much")


def test_a_caller_that_leaves_a_stream(origin: Site) -> None:
    """When the caller closes mid-stream, the origin's connection is closed too."""
    for name, base in (("leave-direct", origin.direct), ("leave-governed", origin.governed)):
        with WireClient(base) as client:
            client.send(client.head("GET", f"/endless?name={name}".encode()))
            assert client.read_head().status == 200
            assert client.read_chunk() == b"firs"
        origin.server.wait_for_mark(f"{name} left")


def _watch_memory(origin: Site) -> int:
    """Governor's resident memory, 0 where a forwarder stands in."""
    return origin.front.watch_memory() if isinstance(origin.front, Governor) else 0


def _peak_memory(origin: Site) -> int:
    """The highest since `_watch_memory`."""
    return origin.front.peak_memory() if isinstance(origin.front, Governor) else 0


def _some(client: WireClient, at_most: int) -> bytes:
    """Whatever part of a body is there."""
    return client.read_exactly(min(at_most, 256 * 1024))


def _settle(count: Callable[[], int]) -> int:
    """Wait until `count` is above 0 and stays the same for 200 ms; too early is harmless."""
    pause, seen = threading.Event(), [0]
    while not seen[-1] or len(set(seen[-20:])) > 1 or len(seen) < 20:
        pause.wait(0.01)
        seen.append(count())
        assert len(seen) < 2000, "it never settles"
    return seen[-1]


def _send_until_full(connection: socket.socket, n_bytes: int) -> int:
    """Send the pattern until the kernel takes no more for 200 ms; how many bytes it took."""
    sent = 0
    connection.settimeout(0.2)
    try:
        for block in blocks(n_bytes):
            view = memoryview(block)
            while view:
                n_sent = connection.send(view)
                sent += n_sent
                view = view[n_sent:]
    except TimeoutError:
        pass
    finally:
        connection.settimeout(30)
    return sent
