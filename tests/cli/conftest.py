"""A real control plane on a socket, for commands that ask one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from governor.control import ControlPlane
from tests.control.stub import StubRuntime


@pytest.fixture
def control_url_of_stub() -> Iterator[str]:
    """A control plane in a thread of its own, for a program that blocks."""
    runtime = StubRuntime()
    runtime.intervene(2)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    control = ControlPlane(runtime)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(control.start())
        loop.call_soon(started.set)
        loop.run_forever()
        loop.run_until_complete(control.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(20)
    yield control.url
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
