"""The first signal lets a process drain, the second closes it at once."""

from __future__ import annotations

import asyncio
import os
import signal

from governor.processes.stopping import Stopping


def ask() -> None:
    """Send this process the signal."""
    os.kill(os.getpid(), signal.SIGUSR2)


async def test_who_is_asked_once_finishes_what_it_has() -> None:
    """A drain runs to its end."""
    stopping = Stopping(signal.SIGUSR2)
    finished = []

    async def drain() -> None:
        await asyncio.sleep(0)
        finished.append(True)

    ask()
    await stopping.asked()
    await stopping.drain(drain())
    assert finished == [True]
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR2)


async def test_who_is_asked_twice_finishes_nothing() -> None:
    """A drain that hangs is given up."""
    stopping = Stopping(signal.SIGUSR2)
    is_given_up = False

    async def drain() -> None:
        nonlocal is_given_up
        try:
            ask()
            await asyncio.Event().wait()
        finally:
            is_given_up = True

    ask()
    await stopping.asked()
    await stopping.drain(drain())
    assert is_given_up
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR2)
