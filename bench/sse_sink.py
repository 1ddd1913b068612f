"""Consumer of many event streams: counts stalls and measures each event's way.

A stall is a gap between two events of one stream of more than twice the
interval at which they are sent. Delay is from the instant that the origin wrote
into the event (same machine, same monotonic clock) to its arrival here.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import numpy as np
import uvloop

from bench.children import HOST
from bench.origin import EVENT_RATE_HZ

INTERVAL_NS = 1_000_000_000 // EVENT_RATE_HZ
STALL_NS = 2 * INTERVAL_NS
EVENT = re.compile(rb"data: (\d+) x+\n\n")
SETTLE_S = 1.5
"""Time for all streams to be open before anything is counted."""


@dataclass
class Tally:
    """What all streams saw since counting began."""

    is_counting: bool = False
    n_stalls: int = 0
    n_lost: int = 0
    delays_ns: list[int] = field(default_factory=list)
    stalled: set[int] = field(default_factory=set)


class StreamProtocol(asyncio.Protocol):
    """One stream: asks for it, then looks at every event."""

    def __init__(self, tally: Tally, index: int) -> None:
        self._tally = tally
        self._index = index
        self._rest = b""
        self._last_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast(asyncio.Transport, transport).write(
            b"GET /sse HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """A stream that ends while counting is lost."""
        if self._tally.is_counting:
            self._tally.n_lost += 1

    def data_received(self, data: bytes) -> None:
        """Count each whole event."""
        now_ns = time.monotonic_ns()
        data = self._rest + data
        end = 0
        for event in EVENT.finditer(data):
            end = event.end()
            self._on_event(now_ns, int(event[1]))
        self._rest = data[end:]

    def _on_event(self, now_ns: int, sent_ns: int) -> None:
        tally = self._tally
        if tally.is_counting:
            tally.delays_ns.append(now_ns - sent_ns)
            if self._last_ns and now_ns - self._last_ns > STALL_NS:
                tally.n_stalls += 1
                tally.stalled.add(self._index)
        self._last_ns = now_ns


async def consume(port: int, n_streams: int, duration_s: float) -> dict[str, float]:
    """Open the streams, let them settle, count for ``duration_s``; return the numbers."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    transports = []
    for index in range(n_streams):
        make = partial(StreamProtocol, tally, index)
        transport, _ = await loop.create_connection(make, HOST, port)
        transports.append(transport)
    await asyncio.sleep(SETTLE_S)
    gc.collect()
    gc.disable()
    print("counting", flush=True)
    tally.is_counting = True
    await asyncio.sleep(duration_s)
    tally.is_counting = False
    for transport in transports:
        transport.abort()
    delays_us = np.array(tally.delays_ns or [0]) / 1e3
    return {
        "events_expected": n_streams * duration_s * EVENT_RATE_HZ,
        "events": len(tally.delays_ns),
        "stalls": tally.n_stalls,
        "stalled_streams": len(tally.stalled),
        "lost_streams": tally.n_lost,
        "delay_p50_us": float(np.percentile(delays_us, 50)),
        "delay_p99_us": float(np.percentile(delays_us, 99)),
        "delay_max_us": float(delays_us.max()),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(consume(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
