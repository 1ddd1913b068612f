"""The aiohttp client, unmodified: HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.clients.conftest import Site
from tests.support.compare import end_to_end
from tests.support.origin import Origin
from tests.support.seen import seen
from tests.support.websocket_server import WebSocketServer

pytestmark = pytest.mark.clients


async def told(answer: aiohttp.ClientResponse) -> Any:
    """Everything that aiohttp tells its caller about an answer."""
    return answer.status, answer.reason, end_to_end(answer.raw_headers), await answer.read()


async def check(
    origin: Site[Origin], work: Callable[[aiohttp.ClientSession], Awaitable[Any]]
) -> Any:
    """Run `work` directly and governed; results and received requests must be equal."""
    results, received = [], []
    for base in (origin.direct, origin.governed):
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(base, timeout=timeout) as session:
            results.append(await work(session))
        received.append(seen(origin.server.take()))
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0]


@pytest.mark.parametrize(
    "path", ["/echo", "/gzip", "/odd-fields", "/trailers", "/until-close", "/hints", "/sized"]
)
async def test_answers(origin: Site[Origin], path: str) -> None:
    """Each kind of answer reads the same."""

    async def work(session: aiohttp.ClientSession) -> Any:
        async with session.get(path) as answer:
            return await told(answer)

    await check(origin, work)


async def test_streamed_upload_with_expectation(origin: Site[Origin]) -> None:
    """A chunked upload that waits for 100 Continue arrives whole."""

    async def parts() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"part %d;" % number

    async def work(session: aiohttp.ClientSession) -> Any:
        async with session.put("/echo", data=parts(), expect100=True) as answer:
            return await told(answer)

    result = await check(origin, work)
    assert result[3] == b"".join(b"part %d;" % number for number in range(20))


async def test_concurrent_calls(origin: Site[Origin]) -> None:
    """Fifty calls at once each get their own answer."""

    async def one(session: aiohttp.ClientSession, number: int) -> bytes:
        async with session.post("/echo", data=b"%d" % number) as answer:
            return await answer.read()

    for base in (origin.direct, origin.governed):
        async with aiohttp.ClientSession(base) as session:
            answers = await asyncio.gather(*(one(session, number) for number in range(50)))
        assert answers == [b"%d" % number for number in range(50)]


async def test_websocket(websocket: Site[WebSocketServer]) -> None:
    """Text, binary, compressed, ping and close give the same conversation."""
    results = []
    for base in (websocket.direct, websocket.governed):
        connect = {"compress": 15, "protocols": ("v1.sample",), "autoping": True}
        async with (
            aiohttp.ClientSession(base) as session,
            session.ws_connect("/chat?a=%20b", **connect) as connection,  # type: ignore[arg-type]
        ):
            said: list[Any] = [connection.protocol, connection.compress]
            await connection.send_str("ünï" * 1000)
            said.append(await connection.receive_str())
            await connection.send_bytes(bytes(range(256)) * 512)
            said.append(await connection.receive_bytes())
            await connection.ping()
            await connection.send_str("ping")
            said.append(await connection.receive_str())
            await connection.send_str("close 4001 enough")
            last = await connection.receive()
            said += [last.type, last.data, last.extra, connection.close_code]
        results.append(said)
    assert results[1] == results[0]
    assert results[0][-1] == 4001
