"""The service on a socket: its own process, uvloop, one connection object per caller.

It answers ``POST`` or ``GET`` on any path after the job's turn and time in a
slot. The demand is drawn from a seeded lognormal, or taken from the request
header ``x-bench-demand-s``. Work goes on when its caller has left, as it does in
most real tools; the reply is then thrown away.

``/-/begin`` starts the fault schedule and returns the instant; ``/-/log`` returns
every finished job; ``/-/stats`` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import random
import sys
import time
from collections.abc import Sequence
from typing import Any, cast

import httptools
import orjson
import uvloop

from bench.children import HOST, Child, first_line_port, start_python
from bench.service.slots import Job, Slots

BODY = b'{"id":"call","choices":[{"message":{"role":"assistant","content":"ok"}}]}'
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Service:
    """The slots on the monotonic clock, and the log of what they did."""

    def __init__(
        self,
        n_slots: int,
        mean_s: float,
        sigma: float,
        seed: int,
        faults: Sequence[tuple[float, float]],
    ) -> None:
        self._rng = random.Random(seed)
        self._mu = math.log(mean_s) - sigma * sigma / 2.0
        self._sigma = sigma
        self._n_slots = n_slots
        self._faults = faults
        self._slots = Slots(n_slots)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self.log: list[tuple[int, float, float, float, float, bool]] = []
        self.n_arrived = 0

    def begin(self) -> float:
        """Start the fault schedule now; return the instant on the monotonic clock."""
        now_s = time.monotonic()
        self._slots = Slots(self._n_slots, [(now_s + at_s, speed) for at_s, speed in self._faults])
        self._slots.advance(now_s)
        self.log.clear()
        self.n_arrived = 0
        self._arm()
        return now_s

    def accept(self, owner: Connection, bench_id: int, demand_s: float | None) -> None:
        """Take a request in."""
        now_s = time.monotonic()
        self.n_arrived += 1
        if demand_s is None:
            demand_s = self._rng.lognormvariate(self._mu, self._sigma)
        self._settle(now_s)
        self._slots.offer(Job(demand_s, now_s, (owner, bench_id)))
        self._arm()

    def _settle(self, now_s: float) -> None:
        for job in self._slots.advance(now_s):
            owner, bench_id = job.owner
            is_there = owner.answer()
            self.log.append(
                (bench_id, job.arrived_s, job.started_s, job.finished_s, job.demand_s, is_there)
            )

    def _arm(self) -> None:
        next_s = self._slots.next_s()
        if next_s is None or next_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = next_s
        delay_s = max(0.0, next_s - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_s = math.inf
        self._settle(time.monotonic())
        self._arm()

    def stats(self) -> dict[str, Any]:
        """Return what the service itself can see."""
        return {
            "arrived": self.n_arrived,
            "finished": len(self.log),
            "caller_gone": sum(not entry[5] for entry in self.log),
            "running": self._slots.n_running,
            "waiting": len(self._slots.line),
            "speed": self._slots.speed,
        }


class Connection(asyncio.Protocol):
    """One connection: requests in turn, each answered when its job ends."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._bench_id = -1
        self._demand_s: float | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Begin a request."""
        self._url = url
        self._bench_id = -1
        self._demand_s = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the two headers of the benchmark's own."""
        if name[:8].lower() == b"x-bench-":
            key = name[8:].lower()
            if key == b"id":
                self._bench_id = int(value)
            elif key == b"demand-s":
                self._demand_s = float(value)

    def on_message_complete(self) -> None:
        """Hand the request to the slots, or answer a question about them."""
        if self._url.startswith(b"/-/"):
            self._answer_json(self._url)
        else:
            self._service.accept(self, self._bench_id, self._demand_s)

    def answer(self) -> bool:
        """Write the reply; return whether the peer was still connected."""
        if self._transport.is_closing():
            return False
        self._transport.write(REPLY)
        return True

    def _answer_json(self, url: bytes) -> None:
        value: Any
        if url == b"/-/begin":
            value = {"began_s": self._service.begin()}
        elif url == b"/-/log":
            value = self._service.log
        else:
            value = self._service.stats()
        body = orjson.dumps(value)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(body)
            + body
        )


def parse_fault(text: str) -> list[tuple[float, float]]:
    """Return the schedule of ``START:LENGTH:SPEED``: slow for that long, then full speed.

    >>> parse_fault("8:4:0.1")
    [(8.0, 0.1), (12.0, 1.0)]
    """
    start_s, length_s, speed = (float(part) for part in text.split(":"))
    return [(start_s, speed), (start_s + length_s, 1.0)]


async def serve(options: argparse.Namespace) -> None:
    """Listen on a free port, print it, and serve until stopped."""
    faults = [step for text in options.fault for step in parse_fault(text)]
    service = Service(options.slots, options.mean, options.sigma, options.seed, faults)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    await asyncio.Event().wait()


def start(
    core: int | None, slots: int, mean_s: float, sigma: float, seed: int, faults: Sequence[str]
) -> tuple[Child, int]:
    """Start a service process; return it and its port."""
    words = ["--slots", str(slots), "--mean", str(mean_s), "--sigma", str(sigma)]
    words += ["--seed", str(seed)]
    for fault in faults:
        words += ["--fault", fault]
    child = start_python("service", "bench.service.server", words, core)
    return child, first_line_port(child)


def main(argv: list[str]) -> None:
    """Run the service."""
    parser = argparse.ArgumentParser(prog="bench.service.server", description=__doc__)
    parser.add_argument("--slots", type=int, default=32, help="0: without end")
    parser.add_argument("--mean", type=float, default=0.1, help="mean service time, s")
    parser.add_argument("--sigma", type=float, default=0.5, help="of the lognormal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", default=[], help="START:LENGTH:SPEED")
    uvloop.run(serve(parser.parse_args(argv)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(0)
