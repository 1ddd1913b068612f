"""Three governors, a real Redis, one service: one limit, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bench.fleet.redis_server import RedisServer
from governor.control.collector import GovernorCollector
from governor.control.state import describe_runtime
from tests.support.loops import LoopThread, wait_until
from tests.support.runtime import RunningRuntime

pytest.importorskip("redis")

N = 3
LIMIT = 6
SERVICE_S = 0.02


class Service:
    """Answers after a while; knows how many it works on."""

    def __init__(self) -> None:
        self.n_open = 0
        self.peak = 0
        self._thread = LoopThread("service", asyncio.new_event_loop)
        self.url = self._thread.run(self._start(), 10)

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_get("/", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _serve(self, request: web.Request) -> web.Response:
        self.n_open += 1
        self.peak = max(self.peak, self.n_open)
        await asyncio.sleep(SERVICE_S)
        self.n_open -= 1
        return web.Response(text="done")

    def close(self) -> None:
        """Stop."""
        self._thread.run(self._runner.cleanup(), 10)
        self._thread.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A service of its own for each test."""
    running = Service()
    yield running
    running.close()


def governors(stack: ExitStack, service: Service, redis: RedisServer) -> list[RunningRuntime]:
    """Start the fleet."""
    config = {"url": redis.url, "tick": "50ms"}
    return [
        stack.enter_context(RunningRuntime(service.url, {"limit": LIMIT}, fleet=config))
        for _ in range(N)
    ]


def told(governor: RunningRuntime) -> dict[str, Any]:
    """Return what a governor's page says of its fleet."""
    fleet = governor.runtime.fleet
    assert fleet is not None
    return fleet.describe(time.monotonic_ns())


def seen(governor: RunningRuntime) -> dict[str, Any]:
    """Return what it says of the upstream."""
    view: dict[str, Any] = told(governor)["upstreams"]["only"]
    return view


def look(governor: RunningRuntime) -> list[dict[str, Any]]:
    """Return whom its page shows, asked for if it is time."""
    fleet = governor.runtime.fleet
    assert fleet is not None
    governor.run(fleet.look(time.monotonic_ns()))
    members: list[dict[str, Any]] = seen(governor)["members"]
    return members


def is_one_view(fleet: list[RunningRuntime]) -> bool:
    """Whether all see all, and one of them leads."""
    views = [seen(x) for x in fleet]
    all_see = all(x["is_fresh"] and x["governors"] == N for x in views)
    return all_see and sum(x["is_leader"] for x in views) == 1


async def call_until(urls: list[str], until: Callable[[], bool], n: int) -> list[int]:
    """Keep n callers calling until the condition holds; return all statuses."""
    statuses: list[int] = []

    async def one(client: aiohttp.ClientSession, url: str) -> None:
        while not until():
            async with client.get(url) as response:
                await response.read()
                statuses.append(response.status)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        await asyncio.gather(*(one(client, urls[idx % len(urls)]) for idx in range(n)))
    return statuses


def test_a_limit_is_the_whole_fleets(
    service: Service, start_redis: Callable[..., RedisServer]
) -> None:
    """Through three governors with limit 6 no more than 6 are in flight, and 6 are used."""
    redis = start_redis()
    with ExitStack() as stack:
        fleet = governors(stack, service, redis)
        wait_until(lambda: is_one_view(fleet), what="one view")
        urls = [x.url for x in fleet]
        until_s = time.monotonic() + 0.3
        asyncio.run(call_until(urls, lambda: time.monotonic() > until_s, 24))  # shares settle
        service.peak = 0
        until_s = time.monotonic() + 0.8
        statuses = asyncio.run(call_until(urls, lambda: time.monotonic() > until_s, 24))
        assert set(statuses) == {200}
        assert service.peak == LIMIT
        families = {x.name: x for x in GovernorCollector(fleet[0].runtime).collect()}
        assert families["governor_fleet_governors"].samples[0].value == N
        assert families["governor_fleet_limit"].samples[0].value == LIMIT
        assert describe_runtime(fleet[0].runtime, time.monotonic_ns())["fleet"]["upstreams"]
        wait_until(lambda: len(look(fleet[0])) == N, what="everybody")
        members = look(fleet[0])
        assert {x["who"] for x in members} == {told(x)["who"] for x in fleet}
        assert all(x["arrived"] > 0 and x["state"] for x in members)


def test_a_server_killed_and_started_again_costs_no_request(
    service: Service, start_redis: Callable[..., RedisServer]
) -> None:
    """While it is gone each goes on with its share; two seconds after it is back all are one."""
    redis = start_redis()
    with ExitStack() as stack:
        fleet = governors(stack, service, redis)
        wait_until(lambda: is_one_view(fleet), what="one view")
        urls = [x.url for x in fleet]
        acts = iter(
            [
                (0.4, redis.kill),
                (0.9, lambda: peaks.append(service.peak)),
                (1.0, redis.start),
            ]
        )
        peaks: list[int] = []
        began_s = time.monotonic()
        due = next(acts)
        back_s: float | None = None

        def is_over() -> bool:
            nonlocal due, back_s
            now_s = time.monotonic() - began_s
            if due is not None and now_s > due[0]:
                due[1]()
                due = next(acts, None)  # type: ignore[assignment]
            if due is None and back_s is None and is_one_view(fleet):
                back_s = now_s - 1.0
            return back_s is not None or now_s > 6.0

        statuses = asyncio.run(call_until(urls, is_over, 24))
        assert set(statuses) == {200}
        assert len(statuses) > 50
        assert peaks[0] <= LIMIT + N, "the shares are kept without the server"
        assert all(seen(x)["exchanges"]["failed"] > 0 for x in fleet)
        assert back_s is not None, "one view again"
        assert back_s < 2.0, "the server's own start included"


def test_without_a_server_governors_serve_as_if_alone(service: Service) -> None:
    """A fleet whose server never was there starts at once, serves, and says so."""
    gone = RedisServer("nowhere")
    with ExitStack() as stack:
        fleet = governors(stack, service, gone)[:1]
        statuses = asyncio.run(call_until([fleet[0].url], lambda: service.peak > 0, 1))
        assert set(statuses) <= {200}
        view = seen(fleet[0])
        assert not view["is_fresh"]
        assert view["share"] == 1.0
        wait_until(lambda: bool(seen(fleet[0])["exchanges"]["failed"]), what="a failed exchange")
        assert "not been reached" in seen(fleet[0])["in_words"]
