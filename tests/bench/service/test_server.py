"""The service on a socket."""

from __future__ import annotations

import asyncio

import pytest

from bench.callers.http1 import CallerConnection
from bench.callers.wire import call_json, openai_request
from bench.children import HOST
from bench.service.server import Connection, Service, parse_fault


def test_a_fault_is_a_change_and_its_end() -> None:
    """START:LENGTH:SPEED becomes two changes of speed."""
    assert parse_fault("8:4:0.1") == [(8.0, 0.1), (12.0, 1.0)]


async def test_work_goes_on_when_the_caller_leaves() -> None:
    """A caller that leaves does not free its slot, and the service knows that it was gone."""
    service = Service(1, 0.05, 0.0, 1, [])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        began = await call_json(port, "/-/begin")
        assert began["began_s"] > 0
        replies: asyncio.Queue[int] = asyncio.Queue()
        connections = []
        for number in range(2):
            _, connection = await loop.create_connection(CallerConnection, HOST, port)
            connections.append(connection)
            connection.send(
                openai_request(port, number, 0, 2.0), lambda status, _h: replies.put_nowait(status)
            )
        while (await call_json(port, "/-/stats"))["arrived"] < 2:
            await asyncio.sleep(0)
        connections[0].leave()
        assert await asyncio.wait_for(replies.get(), 5) == 200
        log = await call_json(port, "/-/log")
        connections[1].leave()
    assert [(entry[0], entry[5]) for entry in log] == [(0, False), (1, True)]
    assert log[1][2] == pytest.approx(log[0][3])
