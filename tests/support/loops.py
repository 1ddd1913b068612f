"""An asyncio event loop on a thread of its own, so that blocking clients can be tested."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def kept(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    """Wrap a stream server's callback so that its task lives as long as it runs.

    A loop refers to its tasks weakly, and asyncio's streams to their readers too: a connection
    that waits for something only it refers to may be collected half-way.
    """
    running: set[asyncio.Task[None]] = set()

    async def wrapped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await serve(reader, writer)
        finally:
            running.discard(task)

    return wrapped


class LoopThread:
    """Run coroutines on a background event loop; `close` cancels what is left and joins."""

    def __init__(
        self,
        name: str,
        make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self.loop = make_loop()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 10.0) -> T:
        """Run `work` on the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        """Cancel every task, let each finish, stop the loop and join its thread."""
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()


def wait_until(
    is_true: Callable[[], bool], timeout_s: float = 5.0, what: str = "the condition"
) -> None:
    """Poll `is_true()` every 10 ms until it holds; fail after `timeout_s`."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if is_true():
            return
        pause.wait(0.01)
    raise AssertionError(f"{what} did not come true within {timeout_s} s")
