"""The service on a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.children import HOST
from bench.control import call_json
from bench.service.server import Service
from bench.service.spec import ServiceSpec
from governor.load.http1 import CallerConnection
from tests.bench.support import Serve, turn_until

Replies = asyncio.Queue[tuple[int, dict[str, str]]]


async def call(
    port: int, number: int, replies: Replies, demand_s: float = 0.02
) -> CallerConnection:
    """Send one numbered request on a connection of its own."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(CallerConnection, HOST, port)
    head = f"GET /x HTTP/1.1\r\nHost: x\r\nx-bench-id: {number}\r\nx-bench-demand-s: {demand_s}"
    connection.send(
        f"{head}\r\n\r\n".encode(), lambda status, headers: replies.put_nowait((status, headers))
    )
    return connection


async def arrived(service: Service, n: int) -> None:
    """Wait until so many requests have arrived."""
    await turn_until(lambda: service.n_arrived == n)


async def log(port: int) -> Any:
    """Return what the service has logged."""
    return await call_json(port, "/-/log")


async def test_work_goes_on_when_the_caller_leaves(serve: Serve) -> None:
    """A caller that leaves does not free its slot, and the service knows that it was gone."""
    service = Service(ServiceSpec(1, 0.05, 0.0))
    port = await serve(service)
    assert (await call_json(port, "/-/begin"))["began_s"] > 0
    replies: Replies = asyncio.Queue()
    first = await call(port, 0, replies)
    await arrived(service, 1)
    second = await call(port, 1, replies)
    await arrived(service, 2)
    first.leave()
    assert (await asyncio.wait_for(replies.get(), 5))[0] == 200
    jobs = (await log(port))["jobs"]
    second.leave()
    assert [(job[0], job[5]) for job in jobs] == [(0, False), (1, True)]
    assert jobs[1][2] == pytest.approx(jobs[0][3])


async def test_a_full_line_refuses_at_once(serve: Serve) -> None:
    """One in its slot, one in the line, the third gets 503 and is logged as refused."""
    service = Service(ServiceSpec(1, queue_bound=1))
    port = await serve(service)
    replies: Replies = asyncio.Queue()
    connections = []
    for number in range(3):
        connections.append(await call(port, number, replies, 0.2))
        await arrived(service, number + 1)
    assert (await asyncio.wait_for(replies.get(), 5))[0] == 503
    assert [(row[0], row[2]) for row in (await log(port))["refused"]] == [(2, 503)]
    for connection in connections:
        connection.leave()


async def test_beyond_the_quota_all_are_told_the_same(serve: Serve) -> None:
    """Two tokens, four calls: two times 429 with the one Retry-After."""
    service = Service(ServiceSpec(0, quota_hz=0.001, quota_depth=2.0, retry_after_s=3))
    port = await serve(service)
    replies: Replies = asyncio.Queue()
    connections = [await call(port, number, replies) for number in range(4)]
    found = [await asyncio.wait_for(replies.get(), 5) for _ in range(4)]
    assert sorted(status for status, _ in found) == [200, 200, 429, 429]
    hints = [headers.get("retry-after") for status, headers in found if status == 429]
    assert hints == ["3", "3"]
    for connection in connections:
        connection.leave()


async def test_a_stream_begins_at_its_turn_and_holds_its_slot(serve: Serve) -> None:
    """With one slot the second stream's first byte comes after the first stream's end."""
    spec = ServiceSpec(1, is_stream=True, first_byte_s=0.01, event_s=0.01)
    service = Service(spec)
    port = await serve(service)
    reader, writer = await asyncio.open_connection(HOST, port)
    request = b"GET /x HTTP/1.1\r\nHost: x\r\nx-bench-id: %d\r\nx-bench-demand-s: 0.08\r\n\r\n"
    replies: Replies = asyncio.Queue()
    writer.write(request % 0)
    await arrived(service, 1)
    second = await call(port, 1, replies, 0.05)
    text = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    assert text.count(b"data: ") >= 4
    assert (await asyncio.wait_for(replies.get(), 5))[0] == 200
    jobs = (await log(port))["jobs"]
    assert jobs[1][2] >= jobs[0][3]
    writer.close()
    second.leave()


async def test_a_dead_host_answers_nobody_and_comes_back_empty(serve: Serve) -> None:
    """What it had and what arrives meanwhile is lost; its connections end when it is back."""
    service = Service(ServiceSpec(1, dead=((0.05, 0.1),)))
    port = await serve(service)
    await call_json(port, "/-/begin")
    replies: Replies = asyncio.Queue()
    await call(port, 0, replies, 5.0)
    await arrived(service, 1)
    await turn_until(lambda: service.is_dead)
    await call(port, 1, replies)
    assert [(await asyncio.wait_for(replies.get(), 5))[0] for _ in range(2)] == [0, 0]
    after = await call(port, 2, replies)
    assert (await asyncio.wait_for(replies.get(), 5))[0] == 200
    found = await log(port)
    assert [job[0] for job in found["jobs"]] == [2]
    assert sorted(row[0] for row in found["lost"]) == [0, 1]
    after.leave()
