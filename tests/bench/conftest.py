"""Servers of the benchmarks' own, inside the test's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench.children import HOST
from bench.service.connection import Behind, Connection
from tests.bench.support import Serve, turn_until


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that puts a service on a port; all is closed and gone after the test."""
    servers: list[asyncio.Server] = []
    alive: set[Connection] = set()

    class Counted(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            alive.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            alive.discard(self)

    async def start(service: Behind) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Counted(service), HOST, 0)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
    for connection in list(alive):
        connection.close()
    await turn_until(lambda: not alive)


@pytest.fixture
async def dead_port() -> int:
    """Return a port on which nobody listens any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
