"""Runs one Governor process from its first listener to the end of its drain.

*Rule of this file*: the process's signals, and in which order things end; what
runs is :class:`governor.runtime.Runtime`. Several processes are run by
:mod:`governor.processes.supervisor`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from governor.config.model import Config
from governor.notify import notify_stopping
from governor.runtime import Runtime, RuntimeInfo


async def serve(config: Config, *, on_ready: Callable[[RuntimeInfo], None] | None = None) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal closes at once.

    Raises
    ------
    ConfigError
        If what was configured cannot be run on this machine.
    """
    runtime = Runtime(config)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    stop_now = asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGUSR1, runtime.record_now)
    try:
        await runtime.start()
        if on_ready is not None:
            on_ready(runtime.info)
        await stop.wait()
        notify_stopping(config.drain_timeout_s)
        drained = asyncio.ensure_future(runtime.drain())
        hurried = asyncio.ensure_future(stop_now.wait())
        await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
        for future in (drained, hurried):
            future.cancel()
        await asyncio.gather(drained, hurried, return_exceptions=True)
    finally:
        await runtime.close()
