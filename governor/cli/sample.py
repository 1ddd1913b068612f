"""The sample tool API as a command, and as the child of ``governor run``.

*Rule of this file*: starting and ending the sample's process. The child holds the
read end of a pipe whose write end only the parent has: when the parent ends, by
whatever signal, the child reads the end of the pipe and stops.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from pathlib import Path

import governor
from governor.config.durations import parse_address, parse_duration_s
from governor.errors import ConfigError, Problem

START_TIMEOUT_S = 20.0
"""Far above the sample's start of under a second, also on a machine that is busy."""


class SampleChild:
    """The sample API as a child process on a free loopback port."""

    def __init__(self) -> None:
        root = str(Path(governor.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "governor.sample", "--listen", "127.0.0.1:0", "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def wait_until_ready(self) -> str:
        """Return the child's URL as soon as it listens.

        Raises
        ------
        ConfigError
            If it ends or stays silent instead.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_TIMEOUT_S) else b""
        name, _, url = line.decode().partition(" ")
        if name != "sample":
            self.stop()
            message = "did not start: give a service of your own with --upstream URL"
            raise ConfigError(Problem("sample", "", "", message))
        return url.strip()

    def stop(self) -> None:
        """End the child; returns when it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(3.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def serve_sample(listen: str, n_slots: int, service_time: str) -> int:
    """Serve the sample in this process until SIGTERM or SIGINT; return the exit code."""
    import asyncio

    from governor.cli.addresses import refuse_taken
    from governor.sample.server import serve
    from governor.sample.service import Service

    try:
        address = parse_address(listen)
    except ValueError as exc:
        raise ConfigError(Problem("--listen", "", listen, str(exc))) from None
    try:
        mean_s = parse_duration_s(service_time)
        if not 0 < mean_s <= 60:
            raise ValueError("must be above 0 and at most 1m")
    except ValueError as exc:
        raise ConfigError(Problem("--service-time", "", service_time, str(exc))) from None
    refuse_taken([("--listen", "", address)])

    async def run() -> None:
        await serve(Service(n_slots, mean_s), address)

    asyncio.run(run())
    return 0
