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
from governor.processes.stopping import Stopping
from governor.runtime import Runtime, RuntimeInfo


async def serve(config: Config, *, on_ready: Callable[[RuntimeInfo], None] | None = None) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal closes at once.

    Raises
    ------
    ConfigError
        If what was configured cannot be run on this machine.
    """
    runtime = Runtime(config)
    stopping = Stopping(signal.SIGTERM, signal.SIGINT)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, runtime.record_now)
    try:
        await runtime.start()
        if on_ready is not None:
            on_ready(runtime.info)
        await stopping.asked()
        notify_stopping(config.drain_timeout_s)
        await stopping.drain(runtime.drain())
    finally:
        await runtime.close()
