"""The service on a socket."""

from __future__ import annotations

import asyncio

import pytest

from bench.children import HOST
from bench.control import call_json
from bench.service.server import Service, parse_fault
from governor.load.http1 import CallerConnection
from governor.load.plan import Closed, Group
from governor.load.wire import Names, Writer
from tests.bench.support import Serve, turn_until


def test_a_fault_is_a_change_and_its_end() -> None:
    """START:LENGTH:SPEED becomes two changes of speed."""
    assert parse_fault("8:4:0.1") == [(8.0, 0.1), (12.0, 1.0)]


async def test_work_goes_on_when_the_caller_leaves(serve: Serve) -> None:
    """A caller that leaves does not free its slot, and the service knows that it was gone."""
    service = Service(1, 0.05, 0.0, 1, [])
    port = await serve(service)
    assert (await call_json(port, "/-/begin"))["began_s"] > 0
    loop = asyncio.get_running_loop()
    replies: asyncio.Queue[int] = asyncio.Queue()
    connections = []
    for number in range(2):
        _, connection = await loop.create_connection(CallerConnection, HOST, port)
        connections.append(connection)
        writer = Writer(Group("callers", 2, Closed(1.0)), f"{HOST}:{port}", "", 1)
        request = writer.request(writer.head(number, Names("", "")), number=number)
        connection.send(request, lambda status, _headers: replies.put_nowait(status))
        await turn_until(lambda expected=number + 1: service.n_arrived == expected)
    connections[0].leave()
    assert await asyncio.wait_for(replies.get(), 5) == 200
    log = await call_json(port, "/-/log")
    connections[1].leave()
    assert [(entry[0], entry[5]) for entry in log] == [(0, False), (1, True)]
    assert log[1][2] == pytest.approx(log[0][3])
