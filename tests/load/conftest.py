"""Services on sockets for the fleet to call, inside the test's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import httptools
import pytest

from governor.load.wire import HOST

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Seen:
    """One request that arrived."""

    target: str
    connection: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Answer = Callable[[Seen], "bytes | None"]
"""What to write for a request; None leaves it unanswered, an empty reply closes."""


class Origin:
    """A service that answers what it is told to, and remembers what it saw."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.connections: list[OriginConnection] = []
        self.n_open = 0
        self.url = ""


class OriginConnection(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._number = len(origin.connections)
        self._parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport
        origin.connections.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self._origin.n_open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count."""
        self._origin.n_open -= 1

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Begin a request."""
        self._request = Seen(url.decode(), self._number)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._request.headers[name.lower().decode()] = value.decode()

    def on_body(self, data: bytes) -> None:
        """Keep the body."""
        self._request.body += data

    def on_message_complete(self) -> None:
        """Answer."""
        self._origin.seen.append(self._request)
        reply = self._origin.answer(self._request)
        if reply == b"":
            self.transport.abort()
        elif reply is not None:
            self.transport.write(reply)


Start = Callable[[Answer], Awaitable[Origin]]


@pytest.fixture
async def origin() -> AsyncIterator[Start]:
    """Return a function that starts a service; all are closed and gone after the test."""
    servers: list[asyncio.Server] = []
    origins: list[Origin] = []

    async def start(answer: Answer) -> Origin:
        made = Origin(answer)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: OriginConnection(made), HOST, 0)
        made.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        servers.append(server)
        origins.append(made)
        return made

    yield start
    for server in servers:
        server.close()
    for made in origins:
        for connection in made.connections:
            connection.transport.abort()
    while any(made.n_open for made in origins):
        await asyncio.sleep(0.001)


@pytest.fixture
async def dead_url() -> str:
    """Return the URL of a port on which nobody listens any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://{HOST}:{port}"
