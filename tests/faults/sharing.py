"""Callers that share one upstream call, and a service that answers when the test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.world import World
from tests.proxy.rig import Peer, until

SHARED: dict[str, Any] = {"coalesce": True}


class Gated:
    """A service that notes every head and answers when the test lets it."""

    def __init__(self, answer: bytes = b"", then: Callable[[Peer], Awaitable[None]] | None = None):
        self.heads: list[bytes] = []
        self.go = asyncio.Event()
        self.answer = answer or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.then = then

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.heads.append(await peer.head())
            await self.go.wait()
            peer.send(self.answer)
            if self.then is not None:
                await self.then(peer)
                return


def members(world: World) -> int:
    """How many share calls now."""
    return sum(len(x.members) for x in world.runtime.proxy.flights.values())


async def joined(world: World, requests: list[bytes]) -> list[Peer]:
    """Send each on a connection of its own; wait until all have reached the proxy."""
    callers = [await world.send(request) for request in requests]
    await until(lambda: world.runtime.stats.n_requests >= len(requests), "they arrive")
    return callers
