"""What several tests of the benchmarks use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bench.service.connection import Behind

Serve = Callable[[Behind], Awaitable[int]]


async def turn_until(is_reached: Callable[[], bool], turns: int = 1_000) -> None:
    """Let the loop turn until something is so."""
    for _ in range(turns):
        if is_reached():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("not reached")
