"""httpx over HTTP/1.1, unmodified, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Site
from tests.support.compare import end_to_end
from tests.support.origin import Origin
from tests.support.seen import seen

pytestmark = pytest.mark.clients


def told(answer: httpx.Response) -> Any:
    """Everything that httpx tells its caller about an answer."""
    return answer.status_code, answer.reason_phrase, end_to_end(answer.headers.raw), answer.content


def check(origin: Site[Origin], work: Callable[[httpx.Client], Any]) -> Any:
    """Run `work` directly and governed; results and received requests must be equal."""
    results, received = [], []
    for base in (origin.direct, origin.governed):
        with httpx.Client(base_url=base, timeout=10) as client:
            results.append(work(client))
        received.append(seen(origin.server.take()))
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_methods(origin: Site[Origin], method: str) -> None:
    """Every method, known or not, arrives with its body and is answered."""
    check(
        origin,
        lambda client: told(client.request(method, "/echo?x=%20&y=%C3%BC", content=b"body")),
    )


@pytest.mark.parametrize(
    "path",
    ["/gzip", "/odd-fields", "/range", "/sized", "/trailers", "/until-close", "/http10", "/hints",
     "/one-byte-chunks", "/one-byte-segments", "/not-modified", "/status?code=204"],
)  # fmt: skip
def test_answers(origin: Site[Origin], path: str) -> None:
    """Each kind of answer reads the same, gzip decoded by the client as usual."""
    check(origin, lambda client: told(client.get(path)))


def test_head(origin: Site[Origin]) -> None:
    """HEAD tells the length of a body that does not come."""
    status, _, headers, body = check(origin, lambda client: told(client.head("/sized")))
    assert (status, body) == (200, b"")
    assert ("Content-Length", "1234") in headers


def test_chunked_upload(origin: Site[Origin]) -> None:
    """A generator's body of unknown length arrives whole."""

    def parts() -> Iterator[bytes]:
        for number in range(50):
            yield b"%d," % number

    *_, body = check(origin, lambda client: told(client.post("/echo", content=parts())))
    assert body == b"".join(b"%d," % number for number in range(50))


def test_streaming_download(origin: Site[Origin]) -> None:
    """A streamed answer of 4 MiB gives the same bytes."""

    def work(client: httpx.Client) -> Any:
        with client.stream("GET", "/download?n=4194304&framing=chunked") as answer:
            return sum(len(block) for block in answer.iter_raw())

    assert check(origin, work) == 4 << 20


def test_keep_alive(origin: Site[Origin]) -> None:
    """Requests one after the other use one connection to the proxy, and one to the origin."""
    for base in (origin.direct, origin.governed):
        before = origin.server.n_connections
        with httpx.Client(base_url=base) as client:
            for _ in range(10):
                assert client.post("/echo", content=b"x").content == b"x"
        assert len({request.connection for request in origin.server.take()}) == 1
        assert origin.server.n_connections - before <= 1


async def test_concurrent_async_calls(origin: Site[Origin]) -> None:
    """Forty calls at once each get their own answer."""
    for base in (origin.direct, origin.governed):
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            answers = await asyncio.gather(
                *(client.post(f"/echo?{number}", content=b"%d" % number) for number in range(40))
            )
        assert [answer.content for answer in answers] == [b"%d" % n for n in range(40)]
    origin.server.take()


async def test_a_caller_that_gives_up(origin: Site[Origin]) -> None:
    """A call cancelled mid-stream is seen to leave by the origin, and the next call works."""
    for name, base in (("direct", origin.direct), ("governed", origin.governed)):
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            async with client.stream("GET", f"/endless?name=httpx-{name}") as answer:
                assert await anext(answer.aiter_raw()) == b"firs"
            while f"httpx-{name} left" not in origin.server.marks:
                await asyncio.sleep(0.005)
            assert (await client.get("/status?code=200")).status_code == 200
