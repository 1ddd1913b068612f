"""When the ring is written to a file, and how much of it stays on the disk.

*Rule of this file*: the only one here that knows the loop; it owns the file. A request's
path never comes here: what it does it does at a tick, and a thread compresses and writes.

*storm*: nothing is written until an upstream's storm alarm rises. Then the ring goes to a
new file at once, for the seconds before are why it is kept, and what comes goes on
being added until ``CALM_NS`` after the alarm. *continuous*: from the start, every
second. In both, ``dump`` writes the ring now (``governor record``, SIGUSR1).

On disk are at most two files, FILE and FILE.1 (the one before), each at most half of the
configured size. A disk that fails is counted; recording in memory goes on.

*Cost*: a look at one number of each upstream a tick; a copy of the new records a second.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from governor.config.model import Config
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.registry import Registry
from governor.record.configuration import pack_config
from governor.record.events import EVENT_BYTES
from governor.record.explain import find_life
from governor.record.ring import N_MIN, Events, Ring
from governor.record.store import encode_blocks, encode_header
from governor.record.tap import Tap

FLUSH_NS = 1_000_000_000
"""A process that dies loses at most a second of what it was recording."""

CALM_NS = 10_000_000_000
"""A storm's file ends so long after the alarm: its retries come back within that."""


class RecordFile:
    """FILE and FILE.1, never larger together than ``size_bytes``."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self._half_bytes = size_bytes // 2
        self._n_bytes = 0
        self._is_begun = False

    def begin(self) -> None:
        """Let the next write start a new file; the one before is kept beside it."""
        self._is_begun = False

    def write(self, first: int, events: Events, make_header: Callable[[int], bytes]) -> None:
        """Append records as blocks; runs in a thread."""
        for block in encode_blocks(first, events):
            if not self._is_begun or self._n_bytes + len(block) > self._half_bytes:
                self._start(make_header(first))
            with self.path.open("ab", buffering=0) as file:
                file.write(block)
            self._n_bytes += len(block)
            first += int.from_bytes(block[4:8], "little")

    def _start(self, header: bytes) -> None:
        if self.path.exists():
            os.replace(self.path, self.path.with_name(self.path.name + ".1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(header)
        self._n_bytes = len(header)
        self._is_begun = True


class Recorder:
    """The recording of one process.

    Parameters
    ----------
    config : Config
    gates : mapping of str to Gate
        New ones: nothing has come to them yet.
    identities : Identities
    registry : Registry, optional
        Of those who are held and quarantined.

    Attributes
    ----------
    n_faults : int
        Writes that failed.
    """

    def __init__(
        self,
        config: Config,
        gates: Mapping[str, Gate],
        identities: Identities,
        registry: Registry | None = None,
    ) -> None:
        settings = config.recorder
        self.mode = settings.mode
        self.salt = secrets.randbits(32)
        self.ring = Ring(max(N_MIN, settings.memory_bytes // EVENT_BYTES))
        self.tap = Tap(self.ring, self.salt)
        self.tap.attach(gates.values(), identities)
        if registry is not None:
            self.tap.attach_registry(registry)
        self.file = RecordFile(Path(settings.file), settings.size_bytes)
        self.n_faults = 0
        self._gates = tuple(gates.values())
        self._names = tuple(gates)
        self._config = pack_config(config)
        self._clocks = (time.time_ns(), time.monotonic_ns())
        self._is_writing = self.mode == "continuous"
        self._n_flushed = 0
        self._flush_at_ns = 0
        self._calm_at_ns = 0
        self._task: asyncio.Future[None] | None = None

    @property
    def is_storm(self) -> bool:
        """Whether an upstream's storm alarm is on."""
        return any(
            not gate.rests and gate.signals.state.forecast[0]["storm"]["is_on"]
            for gate in self._gates
        )

    def tick(self, now_ns: int) -> None:
        """Look whether there is something to write (the runtime's tick, every 50 ms)."""
        if self.mode == "storm":
            if self.is_storm:
                self._calm_at_ns = now_ns + CALM_NS
                if not self._is_writing:
                    self._is_writing = True
                    self._begin_anew()
                    self._flush_at_ns = now_ns
            elif self._is_writing and now_ns >= self._calm_at_ns:
                self._is_writing = False
                self._start_flush()
        if self._is_writing and now_ns >= self._flush_at_ns:
            self._flush_at_ns = now_ns + FLUSH_NS
            self._start_flush()

    async def dump(self) -> dict[str, Any]:
        """Write now what is in memory; return where and how much.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        await self._wait()
        if not self._is_writing:
            self._begin_anew()
        n_new = self.ring.n_written - max(self._n_flushed, self.ring.first)
        self._start_flush()
        if self._task is not None:
            await self._task
        return {"file": str(self.file.path.absolute()), "records": n_new, "mode": self.mode}

    async def close(self) -> None:
        """Write what is left, where a file is being written."""
        await self._wait()
        if self._is_writing:
            self._start_flush()
            await self._wait()
            self._is_writing = False

    def describe(self) -> dict[str, Any]:
        """Return what the control plane shows."""
        return {
            "mode": self.mode,
            "is_writing": self._is_writing,
            "records": self.ring.n_written,
            "kept": min(self.ring.n_written, self.ring.capacity),
            "faults": self.n_faults + self.tap.n_faults,
        }

    def life(self, request_id: bytes) -> dict[str, Any] | None:
        """Return the life of a request that is still in memory."""
        return find_life(self.ring.since(0)[1], request_id, self.salt, self._names)

    def header(self, first: int) -> bytes:
        """Return the beginning of a file whose first record has this number."""
        return encode_header(self._config, self.salt, *self._clocks, first)

    def _begin_anew(self) -> None:
        self.file.begin()
        self._n_flushed = self.ring.first

    def _start_flush(self) -> None:
        if self._task is not None and not self._task.done():
            return  # the disk is slow: what gathers meanwhile goes next
        first, events = self.ring.since(self._n_flushed)
        if not len(events):
            return
        self._n_flushed = first + len(events)
        loop = asyncio.get_running_loop()
        self._task = loop.run_in_executor(None, self.file.write, first, events, self.header)
        self._task.add_done_callback(self._end_flush)

    def _end_flush(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.n_faults += 1

    async def _wait(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
