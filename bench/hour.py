"""``python -m bench hour``: an hour of ever new callers on a virtual clock, and its memory.

A whole process's gates, signals, tables and recorder, without sockets: each call comes from a
flow, a tree and a fingerprint never seen before; some fail and come again, some leave, ticks
come every 50 ms. Memory is resident size (in ``tests/record/test_hour.py`` also what Python
has allocated). It may grow until tables and ring are full and each place has been handed on
once (at 80 callers a second the 65,535 places are full after 14 minutes and handed on after 28),
and not after.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import deque
from random import Random
from typing import Any

from bench.report import save, table
from governor.config.model import Config
from governor.core.arrival import Arrival
from governor.core.lease import Lease, LeaseState
from governor.runtime import Runtime
from policies.decision import Action, Outcome

S = 1_000_000_000
TICK_NS = 50_000_000
LOOKED_AT_S = 900
"""Memory is looked at after each quarter of an hour."""
GROWTH_RATIO = 1.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Hour:
    """A process's gates and ever new callers.

    Parameters
    ----------
    rate_hz : int
        New calls a second.
    tick_ns : int
    capacity : int
        Places of flows and trees; 0: as a Governor has them.
    """

    def __init__(self, rate_hz: int, tick_ns: int = TICK_NS, capacity: int = 0) -> None:
        self.runtime = Runtime(make_config())
        tables = self.runtime.identities
        if capacity:
            tables.flows.capacity = tables.trees.capacity = capacity
            tables.tenants.capacity = max(2, capacity // 16)
        self.gate = self.runtime.gates["tools"]
        self.now_ns = S
        self.n_calls = 0
        self._tick_at_ns = self.now_ns
        self._step_ns, self._tick_ns = S // rate_hz, tick_ns
        self._rng = Random(1)
        self._open: deque[Lease] = deque()

    def play(self, seconds: float) -> None:
        """Let so much time pass."""
        until_ns = self.now_ns + int(seconds * S)
        while self.now_ns < until_ns:
            self.now_ns += self._step_ns
            while self._tick_at_ns <= self.now_ns:
                for gate in self.runtime.gates.values():
                    self._take(gate.tick(self._tick_at_ns))
                self._tick_at_ns += self._tick_ns
            self._arrive(0)
            while len(self._open) > 4:
                self._end(self._open.popleft())

    def _arrive(self, attempt: int, again: Arrival | None = None) -> None:
        self.n_calls += 1
        now_ns, number, tables = self.now_ns, self.n_calls, self.runtime.identities
        arrival = again or Arrival(
            tables.tenants.index(number * 7, now_ns),
            tables.flows.index(number * 11, now_ns),
            tables.trees.index(number * 13, now_ns),
            fingerprint=self._rng.getrandbits(62),
            is_identified=True,
            kind=number % 8,
        )
        arrival.attempt = attempt
        self._take([self.gate.arrive(now_ns, arrival)])

    def _take(self, decisions: Any) -> None:
        for decision in decisions:
            if decision.action is Action.ADMIT:
                self._open.append(decision.lease)

    def _end(self, lease: Lease) -> None:
        if lease.state is not LeaseState.OPEN:
            return
        chance = self._rng.random()
        gate, now_ns = self.gate, self.now_ns
        if chance < 0.02:
            self._take(gate.leave(now_ns, lease))
        if 0.05 < chance < 0.10 and lease.attempt < 3:
            self._take(gate.depart(now_ns, lease, Outcome.FAILED, 502))
            self._arrive(lease.attempt + 1, lease.arrival)
            return
        outcome = Outcome.ORPHANED if lease.has_left else Outcome.COMPLETED
        self._take(gate.depart(now_ns, lease, outcome, 200))


def make_config() -> Config:
    """Return two upstreams and a recorder of the smallest ring."""
    return Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "off"},
            "access_log": {"mode": "off"},
            "recorder": {"mode": "storm", "memory": "1MiB"},
            "upstreams": {
                "tools": {"endpoints": ["http://127.0.0.1:1"]},
                "spare": {"endpoints": ["http://127.0.0.1:2"]},
            },
            "routes": [
                {"match": {"path_prefix": "/a"}, "upstream": "tools"},
                {"match": {"path_prefix": "/b"}, "upstream": "spare"},
            ],
        }
    )


def rss_bytes() -> int:
    """Return this process's resident size."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def main(argv: list[str]) -> int:
    """Run the hour; status 1 if memory grew in its second half."""
    parser = argparse.ArgumentParser(prog="bench hour", description=__doc__)
    parser.add_argument("--rate", type=int, default=80, help="new callers a second")
    parser.add_argument("--quarters", type=int, default=4)
    options = parser.parse_args(argv)
    hour = Hour(options.rate)
    began_s = time.thread_time()
    rows, seen = [], []
    begin_bytes = rss_bytes()
    for quarter in range(1, options.quarters + 1):
        hour.play(LOOKED_AT_S)
        seen.append(rss_bytes())
        flows = hour.runtime.identities.flows
        recorder = hour.runtime.recorder
        n_records = recorder.ring.n_written if recorder is not None else 0
        cells = (quarter * 15, hour.n_calls, len(flows), n_records, seen[-1] / 1e6)
        rows.append([f"{x:,.1f}" if isinstance(x, float) else f"{x:,}" for x in cells])
        print(f"  {rows[-1]}", flush=True)
    used_s = time.thread_time() - began_s
    head = [
        "minutes",
        "calls, each of a new caller",
        "flows with a place",
        "records",
        "MB resident",
    ]
    text = (
        f"{options.rate} new callers a second, ticks every 50 ms, {used_s:.0f} s of processor "
        f"time; {begin_bytes / 1e6:.1f} MB before the first call. Bound: {GROWTH_RATIO:.2f} times "
        "the second quarter's at the end."
    )
    data = {"rss_bytes": seen, "begin_bytes": begin_bytes, "options": vars(options)}
    save("hour", " ".join(["hour", *argv]), f"{text}\n\n{table(head, rows)}", data)
    return 0 if seen[-1] <= GROWTH_RATIO * seen[min(1, len(seen) - 1)] else 1
