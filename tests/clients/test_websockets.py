"""The `websockets` library, unmodified, on both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_sync

from tests.clients.conftest import Site
from tests.support.compare import end_to_end
from tests.support.websocket_server import WebSocketServer

pytestmark = pytest.mark.clients


async def check(
    websocket: Site[WebSocketServer],
    work: Callable[[ClientConnection], Awaitable[Any]],
    **options: Any,
) -> Any:
    """Run `work` on a connection directly and governed; results and handshakes must be equal."""
    results = []
    for base in (websocket.direct, websocket.governed):
        url = base.replace("http://", "ws://") + "/chat/%2e%2e/?q=%20ü"
        async with (
            asyncio.timeout(20),
            connect(url, max_size=32 << 20, ping_interval=None, proxy=None, **options) as client,
        ):
            said = await work(client)
            assert client.response is not None
            headers = end_to_end(client.response.headers.raw_items(), ["sec-websocket-accept"])
            extensions = [type(extension).__name__ for extension in client.protocol.extensions]
            results.append((said, client.subprotocol, extensions, headers))
    assert results[1] == results[0]
    assert websocket.server.paths[-1] == websocket.server.paths[-2]
    return results[0]


async def echo_all(client: ClientConnection) -> Any:
    """Text, empty, binary and fragmented messages, echoed."""
    said = []
    for message in ("hello", "", "日本" * 5000, b"", bytes(range(256)) * 1024):
        await client.send(message)
        said.append(await client.recv())
    await client.send(["one ", "two ", "three"])
    said.append(await client.recv())
    return said


async def test_echo_with_compression(websocket: Site[WebSocketServer]) -> None:
    """permessage-deflate is negotiated through the proxy and every message comes back."""
    said, _, extensions, _ = await check(websocket, echo_all)
    assert extensions == ["PerMessageDeflate"]
    assert said[-1] == "one two three"


async def test_echo_without_compression(websocket: Site[WebSocketServer]) -> None:
    """No extension is invented where the client offers none."""
    _, _, extensions, _ = await check(websocket, echo_all, compression=None)
    assert extensions == []


async def test_subprotocol(websocket: Site[WebSocketServer]) -> None:
    """The server's choice among the offered subprotocols reaches the client."""
    offered = ["v0.sample", "v1.sample", "v2.sample"]
    _, subprotocol, _, _ = await check(websocket, echo_all, subprotocols=offered)
    assert subprotocol == "v2.sample"


async def test_pings_both_ways(websocket: Site[WebSocketServer]) -> None:
    """A ping of either side is answered by the other, not by the proxy."""

    async def work(client: ClientConnection) -> Any:
        await (await client.ping(b"client"))
        await client.send("ping")
        return await client.recv()

    assert (await check(websocket, work))[0] == "ping"


async def test_large_message(websocket: Site[WebSocketServer]) -> None:
    """A message of 16 MiB crosses in both directions."""
    message = bytes(range(256)) * (16 * 4096)

    async def work(client: ClientConnection) -> Any:
        await client.send(message)
        return await client.recv() == message

    assert (await check(websocket, work, compression=None))[0] is True


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_server_close_codes(websocket: Site[WebSocketServer], code: int) -> None:
    """The code and reason of the server's close reach the client."""

    async def work(client: ClientConnection) -> Any:
        await client.send(f"close {code} because ü")
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason

    assert (await check(websocket, work))[0] == (code, "because ü")


async def test_client_close(websocket: Site[WebSocketServer]) -> None:
    """The client's close is acknowledged by the server with the same code."""

    async def work(client: ClientConnection) -> Any:
        await client.close(4000, "done")
        return client.close_code, client.close_reason

    assert (await check(websocket, work))[0] == (4000, "done")


def test_sync_client(websocket: Site[WebSocketServer]) -> None:
    """The threaded client works the same."""
    for base in (websocket.direct, websocket.governed):
        url = base.replace("http://", "ws://")
        with connect_sync(url, proxy=None) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"


async def test_many_connections(websocket: Site[WebSocketServer]) -> None:
    """Forty tunnels at once each echo their own messages."""
    url = websocket.governed.replace("http://", "ws://")

    async def one(number: int) -> None:
        async with connect(url, proxy=None, ping_interval=None) as client:
            for turn in range(5):
                await client.send(f"{number}-{turn}")
                assert await client.recv() == f"{number}-{turn}"

    async with asyncio.timeout(20):
        await asyncio.gather(*(one(number) for number in range(40)))
