"""The service on a socket: its own process, uvloop, slots behind one FIFO line.

It answers ``POST`` or ``GET`` on any path after the job's turn and time in a
slot. The demand is drawn from a seeded lognormal, or taken from the request
header ``x-bench-demand-s``. Work goes on when its caller has left, as it does in
most real tools; the reply is then thrown away.

``/-/begin`` starts the fault schedule and returns the instant; ``/-/log`` returns
every finished job and every refusal; ``/-/stats`` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import random
import sys
import time
from typing import Any

import uvloop

from bench.children import HOST, Child, first_line_port, start_python
from bench.service.bucket import TokenBucket
from bench.service.connection import Connection, Request
from bench.service.slots import Job, Slots
from bench.service.spec import ServiceSpec
from bench.service.workers import Workers


class Service:
    """The slots on the monotonic clock, and the log of what they did.

    Attributes
    ----------
    log : list of (bench_id, arrived_s, started_s, finished_s, demand_s, is_there)
        Every job that ended, in order; ``is_there``: whether its connection still was.
    refused : list of (bench_id, at_s, status)
    lost : list of (bench_id, arrived_s)
        What a death took: jobs in hand, and what arrived meanwhile.
    """

    def __init__(self, spec: ServiceSpec, seed: int = 1) -> None:
        self.spec = spec
        self._rng = random.Random(seed)
        self._mu = math.log(spec.mean_s) - spec.sigma * spec.sigma / 2.0
        self._slots = Slots(spec.n_slots, queue_bound=spec.queue_bound)
        self._bucket: TokenBucket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self.is_dead = False
        self._in_hand: dict[int, tuple[Connection, Request, float]] = {}
        self._n_jobs = 0
        self._fill_bucket(time.monotonic())
        self.log: list[tuple[int, float, float, float, float, bool]] = []
        self.refused: list[tuple[int, float, int]] = []
        self.lost: list[tuple[int, float]] = []
        self.n_arrived = 0

    def begin(self) -> float:
        """Start the fault schedule now; return the instant on the monotonic clock."""
        spec, now_s = self.spec, time.monotonic()
        steps = [(now_s + at_s, speed) for at_s, speed in spec.steps]
        self._slots = Slots(spec.n_slots, steps, spec.queue_bound)
        self._slots.advance(now_s)
        self._fill_bucket(now_s)
        for entries in (self.log, self.refused, self.lost, self._in_hand):
            entries.clear()
        self.n_arrived = 0
        loop = asyncio.get_running_loop()
        for start_s, length_s in spec.dead:
            loop.call_later(start_s, self._die)
            loop.call_later(start_s + length_s, self._return)
        self._arm()
        return now_s

    def accept(self, owner: Connection, request: Request) -> None:
        """Take a request in."""
        now_s = time.monotonic()
        self.n_arrived += 1
        self._n_jobs += 1
        number = self._n_jobs
        if self.is_dead:
            self._in_hand[number] = (owner, request, now_s)
            return
        if self._bucket is not None and not self._bucket.take(now_s):
            self._refuse(owner, request, now_s, 429)
            return
        demand_s = request.demand_s
        if demand_s is None:
            demand_s = self._rng.lognormvariate(self._mu, self.spec.sigma)
        self._settle(now_s)
        if not self._slots.offer(Job(demand_s, now_s, number)):
            self._refuse(owner, request, now_s, 503)
            return
        self._in_hand[number] = (owner, request, now_s)
        self._begin_streams()
        self._arm()

    def ask(self, question: str) -> Any:
        """Answer a question about the service."""
        if question == "begin":
            return {"began_s": self.begin()}
        if question == "log":
            return {"jobs": self.log, "refused": self.refused, "lost": self.lost}
        return self.stats()

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

    def _fill_bucket(self, now_s: float) -> None:
        spec = self.spec
        self._bucket = (
            TokenBucket(spec.quota_hz, spec.quota_depth, now_s) if spec.quota_hz else None
        )

    def _refuse(self, owner: Connection, request: Request, now_s: float, status: int) -> None:
        self.refused.append((request.bench_id, now_s, status))
        wait_s = self.spec.retry_after_s
        headers = {"retry-after": str(wait_s)} if wait_s and status == 429 else {}
        owner.answer(status, headers, b"{}")

    def _die(self) -> None:
        self._settle(time.monotonic())
        self.is_dead = True
        self._slots = Slots(self.spec.n_slots, queue_bound=self.spec.queue_bound)
        self._slots.advance(time.monotonic())

    def _return(self) -> None:
        self.is_dead = False
        for owner, request, at_s in self._in_hand.values():
            self.lost.append((request.bench_id, at_s))
            owner.close()
        self._in_hand.clear()

    def _settle(self, now_s: float) -> None:
        for job in self._slots.advance(now_s):
            owner, request, _ = self._in_hand.pop(job.owner)
            is_there = owner.stream_end() if self.spec.is_stream else owner.answer(200)
            self.log.append(
                (
                    request.bench_id,
                    job.arrived_s,
                    job.started_s,
                    job.finished_s,
                    job.demand_s,
                    is_there,
                )
            )
        self._begin_streams()

    def _begin_streams(self) -> None:
        """Give those whose turn has come their first byte, after the time that it takes."""
        started, self._slots.started = self._slots.started, []
        if self.spec.is_stream:
            loop = asyncio.get_running_loop()
            for job in started:
                # A stream must begin before it can end, however short the job.
                wait_s = min(self.spec.first_byte_s, 0.9 * job.demand_s)
                loop.call_later(wait_s, self._first_byte, job.owner)

    def _first_byte(self, number: int) -> None:
        held = self._in_hand.get(number)
        if held is not None:
            held[0].stream_begin()
            asyncio.get_running_loop().call_later(self.spec.event_s, self._next_event, number)

    def _next_event(self, number: int) -> None:
        held = self._in_hand.get(number)
        if held is not None:
            held[0].stream_event()
            asyncio.get_running_loop().call_later(self.spec.event_s, self._next_event, number)

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


async def serve(spec: ServiceSpec, seed: int) -> None:
    """Listen on a free port, print it, and serve until stopped."""
    service = Workers(spec) if spec.workers_call else Service(spec, seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    gc.disable()
    await asyncio.Event().wait()


def start(core: int | None, spec: ServiceSpec, seed: int) -> tuple[Child, int]:
    """Start a service process; return it and its port."""
    words = ["--spec", spec.to_json(), "--seed", str(seed)]
    child = start_python("service", "bench.service.server", words, core)
    return child, first_line_port(child)


def main(argv: list[str]) -> None:
    """Run the service."""
    parser = argparse.ArgumentParser(prog="bench.service.server", description=__doc__)
    parser.add_argument("--spec", type=ServiceSpec.from_json, default=ServiceSpec())
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    uvloop.run(serve(options.spec, options.seed))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(0)
