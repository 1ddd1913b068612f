"""A first signal to stop lets a process drain; a second one closes it at once.

*Rule of this file*: signals of the running loop, and which of two ends comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Stopping:
    """What SIGTERM and the like ask of a process.

    Parameters
    ----------
    numbers : int
        The signals that ask it.
    """

    def __init__(self, *numbers: int) -> None:
        self._first = asyncio.Event()
        self._second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal)

    async def asked(self) -> None:
        """Wait for the first signal."""
        await self._first.wait()

    async def drain(self, drain: Coroutine[Any, Any, object]) -> None:
        """Drain until all is finished or the second signal comes."""
        drained = asyncio.ensure_future(drain)
        hurried = asyncio.ensure_future(self._second.wait())
        await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
        for future in (drained, hurried):
            future.cancel()
        await asyncio.gather(drained, hurried, return_exceptions=True)

    def _on_signal(self) -> None:
        (self._second if self._first.is_set() else self._first).set()
