"""Coalescing that only observes, and a route's own terms, over real sockets."""

from __future__ import annotations

import asyncio

from policies.decision import Reason
from tests.faults.world import World, get
from tests.proxy.rig import Peer, on_loop, status_of, until


class Gated:
    """A service that notes every head and answers when the test lets it."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.go = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.heads.append(await peer.head())
            await self.go.wait()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@on_loop
async def test_identical_requests_are_counted_and_each_makes_its_call() -> None:
    """Two of three could have shared; a fourth that comes when they are done could not."""
    service = Gated()
    route = {"coalesce": True, "policies": {"coalesce": "observe"}}
    async with World(service, route=route) as world:
        callers = [await world.send(get(b"/x")) for _ in range(3)]
        await until(lambda: len(service.heads) == 3, "all reach the service")
        seen = world.gate.ledger.n_observed
        assert seen == {Reason.COALESCED: 2}
        [newest, *_] = world.runtime.decision_log.last(1)
        assert (newest.reason, newest.observed) == ("observed", "coalesced")
        service.go.set()
        for caller in callers:
            assert status_of(await caller.head()) == 200
        late = await world.send(get(b"/x"))
        assert status_of(await late.head()) == 200
        assert seen == {Reason.COALESCED: 2}
        await until(lambda: not world.runtime.proxy.unshared, "the sweep forgets them")


@on_loop
async def test_a_route_bounds_how_long_its_requests_wait() -> None:
    """Its max_wait is heeded, not the upstream's 30 s: whoever finds no place is told in time."""
    service = Gated()
    route = {"policies": {"max_wait": "100ms", "urgency": 6}}
    async with World(service, route=route, upstream={"limit": 1}) as world:
        first = await world.send(get(b"/x"))
        await until(lambda: len(service.heads) == 1, "the only place is taken")
        second = await world.send(get(b"/x"))
        assert status_of(await second.head()) == 429
        [newest, *_] = world.runtime.decision_log.last(1)
        assert (newest.reason, newest.urgency) == ("patience_spent", 6)
        service.go.set()
        assert status_of(await first.head()) == 200
