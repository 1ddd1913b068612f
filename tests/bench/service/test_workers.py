"""A service some of whose requests need another one."""

from __future__ import annotations

import asyncio

from bench.control import call_json
from bench.service.server import Service
from bench.service.spec import ServiceSpec
from bench.service.workers import Workers
from governor.load.http1 import CallerConnection
from tests.bench.service.test_server import Replies, call
from tests.bench.support import Serve, turn_until

SPEC = ServiceSpec(1, queue_bound=1, workers_call="/x", own_s=0.001, call_timeout_s=0.1)
"""One worker; every request of these tests (path /x) needs the other service."""


def leave(connections: list[CallerConnection]) -> None:
    """Close what is open."""
    for connection in connections:
        connection.leave()


async def behind(serve: Serve, spec: ServiceSpec) -> tuple[Workers, int, int]:
    """Return workers that call a service of that kind, and both ports."""
    workers = Workers(SPEC)
    other = await serve(Service(spec))
    port = await serve(workers)
    await call_json(port, f"/-/calls?{other}/b")
    return workers, port, other


async def test_a_call_goes_through_with_its_number(serve: Serve) -> None:
    """Both services log the attempt; the worker's time contains the other's."""
    workers, port, other = await behind(serve, ServiceSpec(1))
    replies: Replies = asyncio.Queue()
    connection = await call(port, 7, replies)
    assert (await asyncio.wait_for(replies.get(), 5))[0] == 200
    jobs = (await call_json(other, "/-/log"))["jobs"]
    assert [job[0] for job in jobs] == [7]
    assert workers.log[0][0] == 7
    assert workers.log[0][3] - workers.log[0][2] >= 0.02
    leave([connection])


async def test_a_dead_callee_holds_the_worker_until_the_time_limit(serve: Serve) -> None:
    """504 after it; meanwhile one waits in the line and the next gets 503."""
    workers, port, _ = await behind(serve, ServiceSpec(1, faults=((0.0, 99.0, 0.0),)))
    replies: Replies = asyncio.Queue()
    connections = []
    for number in range(3):
        connections.append(await call(port, number, replies, 60.0))
        await turn_until(lambda n=number + 1: workers.n_arrived == n)
    found = [(await asyncio.wait_for(replies.get(), 5))[0] for _ in range(3)]
    assert found == [503, 504, 504]
    assert workers.log[1][2] >= workers.log[0][3]
    leave(connections)


async def test_a_refusal_is_handed_on_with_its_hint(serve: Serve) -> None:
    """429 of the other service becomes 503 with the same Retry-After."""
    spec = ServiceSpec(0, quota_hz=0.001, quota_depth=1.0, retry_after_s=9)
    _, port, _ = await behind(serve, spec)
    replies: Replies = asyncio.Queue()
    connections = []
    for number in range(2):
        connections.append(await call(port, number, replies))
        status, headers = await asyncio.wait_for(replies.get(), 5)
    assert (status, headers.get("retry-after")) == (503, "9")
    leave(connections)
