"""``python -m bench gate``: what the gate itself costs a request.

The real gate with its real signals and adaptive limit, on an even clock of its
own: arrive, later depart, nothing else (no parsing, no sockets). Each batch is
timed as a whole, in processor time, and divided; the garbage collector runs as
in the proxy. Ticks come at their times and are counted apart.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

import signals
from bench.report import save, table
from governor.core.arrival import UNMARKED, Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Lease
from policies.decision import Action, Outcome
from policies.limit import AdaptiveLimit, FixedLimit, Limit
from signals import SignalBank

GC_THRESHOLD = 50_000
"""As the proxy sets it for itself."""

BOUND_US = 5.0
BUSY_HZ = 10_000
"""About what one core proxies: where the gate's cost counts, and where the bound is judged."""
TICK_NS = 50_000_000


@dataclass(frozen=True)
class Mix:
    """One kind of traffic at the gate."""

    name: str
    n_flows: int
    in_flight: int
    rate_hz: int = BUSY_HZ
    retry_ratio: float = 0.0
    """Share of requests that fail, and of arrivals that repeat a failed one."""
    limit: int = 0
    """0: adaptive."""
    streams: bool = False
    """Whether the first byte of an answer is told before its end."""
    silence_s: float = 0.0
    """Before each batch: whoever comes after it comes in a crowd."""

    @property
    def label(self) -> str:
        """The mix and its pace."""
        return f"{self.name}, {self.rate_hz:,}/s"


MIXES = (
    Mix("64 agents", 64, 16),
    Mix("2,000 agents", 2_000, 24),
    Mix("2,000 agents, a third fail and retry", 2_000, 24, retry_ratio=0.33),
    Mix("2,000 agents, all wait in the line", 2_000, 64, limit=32),
    Mix("2,000 agents, each batch a herd", 2_000, 24, silence_s=4.0),
    Mix("2,000 agents", 2_000, 24, rate_hz=240),
    Mix("one agent", 1, 1, rate_hz=10),
)


COMPLETED = (Outcome.COMPLETED, 200)

Measure = Callable[[Mix, int, int], dict[str, float]]
"""Measures a mix by so many batches of such a size."""


class Traffic:
    """Arrivals of a mix at an even pace, each departing after ``in_flight`` others came.

    Attributes
    ----------
    owner : object
        Who asks, as the gate is told.
    """

    def __init__(self, mix: Mix, seed: int) -> None:
        limit: Limit = FixedLimit(mix.limit) if mix.limit else AdaptiveLimit(rng_seed=seed)
        identities = Identities()
        self.gate = Gate("bench", [limit], SignalBank(identities.flows.capacity), identities)
        self._rng = Random(seed)
        self._mix = mix
        self._open: deque[Lease] = deque()
        self.now_ns = 1_000_000_000
        self._step_ns = 1_000_000_000 // mix.rate_hz
        self._endings = [
            (Outcome.FAILED, 500) if self._rng.random() < mix.retry_ratio else COMPLETED
            for _ in range(997)
        ]
        self._n_ended = 0
        self._tick_at_ns = self.now_ns
        self._tenant = identities.tenants.index(1, self.now_ns)
        self._flows = [identities.flows.index(2 + n, self.now_ns) for n in range(mix.n_flows)]
        self._trees = [identities.trees.index(2 + n, self.now_ns) for n in range(mix.n_flows)]
        self.tick_ns: list[int] = []
        self.owner: object = None

    @property
    def n_open(self) -> int:
        """Leases that this traffic holds open."""
        return len(self._open)

    def arrivals(self, n: int) -> list[Arrival]:
        """Return ``n`` arrivals, made beforehand as the rim makes them."""
        rng, mix = self._rng, self._mix
        made = []
        for _ in range(n):
            agent = rng.randrange(mix.n_flows)
            is_retry = rng.random() < mix.retry_ratio
            is_marked = rng.random() < 0.5
            made.append(
                Arrival(
                    tenant=self._tenant,
                    flow=self._flows[agent],
                    tree=self._trees[agent],
                    fingerprint=agent if is_retry else rng.getrandbits(62),
                    attempt=int(is_retry) if is_marked else UNMARKED,
                    is_identified=True,
                )
            )
        return made

    def batch(self, arrivals: list[Arrival]) -> int:
        """Send the arrivals through the gate; return the nanoseconds it took without ticks."""
        gate, waiting, owner = self.gate, self._open, self.owner
        in_flight, step_ns = self._mix.in_flight, self._step_ns
        streams = self._mix.streams
        spent_in_ticks_ns = 0
        began_ns = time.thread_time_ns()
        now_ns = self.now_ns + int(self._mix.silence_s * 1e9)
        for arrival in arrivals:
            now_ns += step_ns
            decision = gate.arrive(now_ns, arrival, owner)
            if decision.action is Action.ADMIT:
                waiting.append(decision.lease)
            if len(waiting) >= in_flight or (len(waiting) and decision.action is Action.WAIT):
                self._n_ended += 1
                outcome, status = self._endings[self._n_ended % 997]
                lease = waiting.popleft()
                if streams:
                    gate.answered(now_ns, lease, status)
                for follower in gate.depart(now_ns, lease, outcome, status):
                    if follower.action is Action.ADMIT:
                        waiting.append(follower.lease)
            if now_ns >= self._tick_at_ns:
                tick_began_ns = time.thread_time_ns()
                self._tick_at_ns = now_ns + TICK_NS
                for follower in gate.tick(now_ns):
                    if follower.action is Action.ADMIT:
                        waiting.append(follower.lease)
                self.tick_ns.append(time.thread_time_ns() - tick_began_ns)
                spent_in_ticks_ns += self.tick_ns[-1]
        self.now_ns = now_ns
        return time.thread_time_ns() - began_ns - spent_in_ticks_ns


def measure(mix: Mix, n_batches: int, batch_size: int) -> dict[str, float]:
    """Return the distribution over batches of the cost of one arrive + depart."""
    traffic = Traffic(mix, seed=1)
    traffic.batch(traffic.arrivals(batch_size))
    traffic.tick_ns.clear()
    costs_us = np.array(
        [traffic.batch(traffic.arrivals(batch_size)) / batch_size / 1e3 for _ in range(n_batches)]
    )
    return {
        "p50_us": float(np.percentile(costs_us, 50)),
        "p99_us": float(np.percentile(costs_us, 99)),
        "min_us": float(costs_us.min()),
        "max_us": float(costs_us.max()),
        "tick_p50_us": float(np.percentile(traffic.tick_ns or [0], 50)) / 1e3,
        "tick_p99_us": float(np.percentile(traffic.tick_ns or [0], 99)) / 1e3,
    }


def settle() -> None:
    """Have kernels loaded and collections rare before anything is measured, as when serving."""
    signals.warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


def measure_all(
    name: str, mixes: Sequence[Mix], measure: Measure, n_batches: int, argv: list[str], text: str
) -> tuple[dict[str, dict[str, float]], argparse.Namespace]:
    """Measure each mix as the command line says, with the collector as the proxy has it."""
    parser = argparse.ArgumentParser(prog=f"bench {name}", description=text)
    parser.add_argument("--batches", type=int, default=n_batches)
    parser.add_argument("--batch-size", type=int, default=2_000)
    options = parser.parse_args(argv)
    settle()
    total = options.batches * options.batch_size
    print(f"{name}: {len(mixes)} mixes, {total:,} arrivals each, a few seconds")
    seen = {mix.label: measure(mix, options.batches, options.batch_size) for mix in mixes}
    return seen, options


def save_costs(
    name: str,
    argv: list[str],
    text: str,
    columns: Mapping[str, Callable[[dict[str, float]], str]],
    seen: Mapping[str, dict[str, float]],
) -> None:
    """Save one line a mix, each column as its heading and how it is written."""
    rows = [[mix, *(write(cost) for write in columns.values())] for mix, cost in seen.items()]
    head = ["arrive + depart", *columns]
    save(name, " ".join([name, *argv]), f"{text}\n\n{table(head, rows)}", {"mixes": seen})


COLUMNS: dict[str, Callable[[dict[str, float]], str]] = {
    "p50 µs": lambda cost: f"{cost['p50_us']:.2f}",
    "p99 µs": lambda cost: f"{cost['p99_us']:.2f}",
    "best µs": lambda cost: f"{cost['min_us']:.2f}",
    "worst µs": lambda cost: f"{cost['max_us']:.2f}",
    "tick p50 / p99 µs": lambda cost: f"{cost['tick_p50_us']:.0f} / {cost['tick_p99_us']:.0f}",
}


def main(argv: list[str]) -> int:
    """Run the benchmark; status 1 if the median of a busy mix exceeds the bound."""
    seen, options = measure_all("gate", MIXES, measure, 200, argv, __doc__ or "")
    text = f"Over {options.batches} batches of {options.batch_size:,}; bound {BOUND_US:.0f} µs."
    save_costs("gate", argv, text, COLUMNS, seen)
    busy = [seen[mix.label] for mix in MIXES if mix.rate_hz == BUSY_HZ]
    return 0 if all(cost["p50_us"] <= BOUND_US for cost in busy) else 1
