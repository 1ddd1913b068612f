"""One snapshot for all who watch; nothing while nobody does.

*Rule of this file*: when a frame is made and who gets it. Each viewer has room
for one frame: a newer one takes its place, so a slow viewer skips frames and
costs no memory.

*Theory*: the beat is slowed until making and sending frames costs at most
:data:`DUTY` of a core, and each viewer at most :data:`BYTES_PER_S`. Cost is the
thread's own time, so a busy neighbour does not slow it. The bound holds for any
number of upstreams, by construction; what grows is the time between frames, and
the page says so.

*Considered and rejected*: a queue per viewer (grows while a laptop sleeps); a
beat that runs always, for history before the first viewer (Prometheus keeps
history; a proxy should not).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator, Mapping
from typing import Any

import orjson

from governor.control.dashboard.snapshot import Snapshots
from governor.control.view import RuntimeView

BEAT_S = 0.5
"""Between frames: as fast as a person reads numbers."""
SLOWEST_S = 10.0
DUTY = 0.003
"""Of a core, for making frames and sending them. What the thread's clock does not see (turns of the
loop between steps, caches that calls find cold afterwards) is as much again on a busy machine
(``python -m bench dashboard``), so that watching stays below one hundredth."""
BYTES_PER_S = 65_536
"""To each viewer."""
SEND_S = 0.0005
"""Of a core, for handing one frame to one viewer: waking it, writing, the kernel's part."""
VIEWERS_MAX = 16
"""A team in an incident; further ones are told to come back."""
_log = logging.getLogger("governor")
_SMOOTHING = 0.2
"""Weight of the latest frame's cost: slow parts come in turns."""


class TooManyViewers(Exception):
    """All places are taken; the next may be free in some seconds."""


class Viewer:
    """One open stream; holds the latest frame that it has not taken."""

    __slots__ = ("_frame", "_has_frame", "is_closed")

    def __init__(self) -> None:
        self._frame = b""
        self._has_frame = asyncio.Event()
        self.is_closed = False

    def offer(self, frame: bytes) -> None:
        """Put a frame in the place of the one before."""
        self._frame = frame
        self._has_frame.set()

    async def take(self) -> bytes:
        """Return the latest frame, as soon as there is one that was not taken; empty at the end."""
        if not self.is_closed:
            await self._has_frame.wait()
            self._has_frame.clear()
        return b"" if self.is_closed else self._frame


class Hub:
    """Makes frames while somebody watches.

    Parameters
    ----------
    runtime : RuntimeView

    Attributes
    ----------
    n_frames, n_faults : int
        Frames made and failed since the start.
    every_s : float
        Time between frames now.
    """

    def __init__(self, runtime: RuntimeView) -> None:
        self._runtime = runtime
        self._viewers: set[Viewer] = set()
        self._snapshots: Snapshots | None = None
        self._timer: asyncio.Handle | None = None
        self._steps: Generator[None, None, dict[str, Any]] | None = None
        self._spent_ns = 0
        self._cost_s = 0.0
        self.n_frames = 0
        self.n_faults = 0
        self.every_s = BEAT_S

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self) -> tuple[Viewer, bytes]:
        """Return a new viewer and what it is to be sent first.

        Raises
        ------
        TooManyViewers
        """
        if len(self._viewers) >= VIEWERS_MAX:
            raise TooManyViewers
        if self._snapshots is None:
            self._snapshots = Snapshots(self._runtime, time.monotonic_ns(), time.time_ns())
            self._schedule(BEAT_S)
        viewer = Viewer()
        self._viewers.add(viewer)
        return viewer, encode_event("hello", self._snapshots.hello())

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer; with the last one, everything."""
        self._viewers.discard(viewer)
        if not self._viewers:
            self._stop()

    def close(self) -> None:
        """End every stream."""
        for viewer in self._viewers:
            viewer.is_closed = True
            viewer.offer(b"")
        self._stop()

    def _stop(self) -> None:
        self._snapshots = self._steps = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._beat)

    def _beat(self) -> None:
        """Begin a frame."""
        if self._snapshots is None:
            return
        now_ns = time.monotonic_ns()
        self._spent_ns = 0
        self._steps = self._snapshots.steps(now_ns, time.time_ns(), self.every_s)
        self._step()

    def _step(self) -> None:
        """Go on with the frame that was begun; calls take their turn between steps."""
        if self._steps is None:
            return
        began_ns = time.thread_time_ns()
        try:
            next(self._steps)
        except StopIteration as done:
            self._steps = None
            self._finish(done.value, began_ns)
        except Exception as error:
            self._steps = None
            self._survive(error)
        else:
            self._spent_ns += time.thread_time_ns() - began_ns
            self._timer = asyncio.get_running_loop().call_soon(self._step)
            return
        self._schedule(self.every_s)

    def _finish(self, page: Mapping[str, Any], began_ns: int) -> None:
        try:
            frame = encode_event("frame", page)
        except TypeError as error:
            self._survive(error)
            return
        self.n_frames += 1
        for viewer in self._viewers:
            viewer.offer(frame)
        spent_ns = self._spent_ns + time.thread_time_ns() - began_ns
        self._pace(spent_ns / 1e9, len(frame))

    def _survive(self, error: Exception) -> None:
        """Count a fault; the next frame is tried, and calls were never touched."""
        self.n_faults += 1
        if self.n_faults == 1:
            _log.error("a fault in the dashboard: %r", error, exc_info=error)

    def _pace(self, cost_s: float, n_bytes: int) -> None:
        self._cost_s += (cost_s - self._cost_s) * _SMOOTHING
        cost_s = self._cost_s + SEND_S * len(self._viewers)
        needed_s = max(BEAT_S, cost_s / DUTY, n_bytes / BYTES_PER_S)
        self.every_s = min(SLOWEST_S, needed_s)


def encode_event(name: str, page: Mapping[str, Any]) -> bytes:
    """Return one server-sent event; JSON holds no line break, so data is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(page))
