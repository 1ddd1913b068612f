"""What tests of the control plane share: a runtime that intervened, its pages, a client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from governor.control import ControlPlane
from tests.control.stub import StubRuntime


@pytest.fixture
async def runtime() -> StubRuntime:
    """A runtime that has intervened a little."""
    runtime = StubRuntime()
    runtime.intervene(3)
    return runtime


@pytest.fixture
async def control(runtime: StubRuntime) -> AsyncIterator[ControlPlane]:
    """Its control plane, listening."""
    control = ControlPlane(runtime)
    await control.start()
    yield control
    await control.close()


@pytest.fixture
async def session(control: ControlPlane) -> AsyncIterator[ClientSession]:
    """A client of it."""
    async with ClientSession(control.url) as session:
        yield session
