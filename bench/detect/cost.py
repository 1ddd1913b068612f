"""Section "cost": nanoseconds an event, milliseconds a tick, megabytes.

*Rule of this file*: real kernels on made-up calls; nothing is judged but time
and memory.

*An event*: batches of ``BATCH`` arrivals, then their ends, are driven from
inside one compiled loop (the work alone) and from Python (the work and the
call). The buckets that end meanwhile are closed in between and timed apart, so
that an arrival's own cost does not hide in, or behind, the pace. Processor
time, median batch: the machine has other work. *A tick*: every upstream's
``tick``, one after the other, at the pace of 50 ms, eight of 64 failing half
of their calls; no event closes buckets before it, so it closes all five. A
second tick at the same instant shows what the readings alone cost. *Memory*:
what a fresh process grows by, resident.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.children import BenchError
from bench.detect.base import Options, Section, claim
from bench.detect.consumer import make_banks
from bench.report import table
from signals import ANSWERED, FAILED, UNMARKED, SignalBank
from signals.events import arrive, note
from signals.kernel import IS_COMPILED
from signals.state import BUCKET_NS

BATCH = 4_096
N_FLOWS = 4_096
PACE_HZ = 10_000
"""About what one core proxies."""
FAIL_SHARE = 0.5
"""In trouble."""

ARRIVAL_BOUND_NS, TICK_BOUND_MS, MEMORY_BOUND_MB = 500.0, 1.0, 64.0
N_UPSTREAMS, N_TROUBLED = 64, 8
N_AGENTS = 100_000

TICK_NS = 50_000_000
CALLS_A_TICK_CALM, CALLS_A_TICK_TROUBLED = 5, 50

Ints = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Calls of one batch: who calls with which shape, and how it ends."""

    flow: Ints
    shape: Ints
    how: Ints
    family: Ints


def make_batch(rng: np.random.Generator, fail_share: float, previous: Batch | None) -> Batch:
    """Return calls of random flows; who failed in the previous batch repeats its call first."""
    flow = rng.integers(1, N_FLOWS, BATCH)
    shape = rng.integers(0, 2**52, BATCH)
    if previous is not None:
        again = np.flatnonzero(previous.how == FAILED)
        flow[: len(again)] = previous.flow[again]
        shape[: len(again)] = previous.shape[again]
    how = np.where(rng.random(BATCH) < fail_share, FAILED, ANSWERED)
    return Batch(flow, shape, how.astype(np.int64), flow % 8)


@functools.cache
def compiled_loops() -> tuple[Callable[..., Any], ...]:
    """Compile the loops that drive the kernels from inside."""
    import numba

    @numba.njit
    def arrivals(root: int, now_ns: int, batch: Any, handles: Any) -> None:
        for k in range(len(handles)):
            flow = batch.flow[k]
            handles[k] = arrive(
                root,
                now_ns,
                flow % 64,
                flow,
                flow,
                float(batch.shape[k]),
                UNMARKED,
                batch.family[k],
                True,
                0,
            )

    @numba.njit
    def ends(root: int, now_ns: int, batch: Any, handles: Any) -> None:
        for k in range(len(handles)):
            note(root, batch.how[k], now_ns, handles[k], 0)

    return arrivals, ends


def python_arrivals(bank: SignalBank, now_ns: int, batch: Batch, handles: Ints) -> None:
    """The same arrivals from Python, as the gate calls them."""
    enter, root = bank.arrive, bank.root
    rows = zip(batch.flow.tolist(), batch.shape.tolist(), batch.family.tolist(), strict=True)
    for k, (flow, shape, family) in enumerate(rows):
        handles[k] = enter(root, now_ns, flow % 64, flow, flow, shape, UNMARKED, family, True, 0)


def python_ends(bank: SignalBank, now_ns: int, batch: Batch, handles: Ints) -> None:
    """The same ends from Python."""
    tell, root = bank.note, bank.root
    for how, handle in zip(batch.how.tolist(), handles.tolist(), strict=True):
        tell(root, how, now_ns, handle, 0)


def time_events(fail_share: float, n_batches: int, is_python: bool) -> dict[str, float]:
    """Return the median batch's nanoseconds per arrival, per end and per closed bucket."""
    bank = make_banks(N_FLOWS)[0]
    rng = np.random.default_rng(1)
    handles = np.zeros(BATCH, np.int64)
    if is_python:
        on_arrivals, on_ends, target = python_arrivals, python_ends, bank
    else:
        on_arrivals, on_ends = compiled_loops()
        target = bank.root
    took: dict[str, list[float]] = {"arrival": [], "end": [], "bucket": []}
    now_ns, batch = 0, None
    half_ns = BATCH * 1_000_000_000 // PACE_HZ // 2
    for _ in range(n_batches):
        batch = make_batch(rng, fail_share, batch)
        for name, act in (("arrival", on_arrivals), ("end", on_ends)):
            now_ns += half_ns
            started_ns = time.process_time_ns()
            bank.advance(now_ns)
            closed_ns = time.process_time_ns()
            act(target, now_ns, batch, handles)
            done_ns = time.process_time_ns()
            took["bucket"].append((closed_ns - started_ns) / (half_ns / 10_000_000))
            took[name].append((done_ns - closed_ns) / BATCH)
    return {name: float(np.median(values[4:])) for name, values in took.items()}


def time_ticks(n_ticks: int) -> dict[str, float]:
    """Return milliseconds for one round of ticks over all upstreams, calm and in trouble."""
    banks = make_banks(N_FLOWS, N_UPSTREAMS)
    rng = np.random.default_rng(2)
    failed: list[list[tuple[int, int]]] = [[] for _ in banks]
    rounds: dict[bool, list[float]] = {False: [], True: []}
    readings_ms: list[float] = []
    now_ns = 0
    for number in range(2 * n_ticks):
        is_trouble = number >= n_ticks
        for k, bank in enumerate(banks):
            is_bad = is_trouble and k < N_TROUBLED
            play_calls(bank, now_ns, rng, failed[k], is_bad)
        now_ns += TICK_NS
        started_ns = time.process_time_ns()
        for bank in banks:
            bank.tick(now_ns)
        closed_ns = time.process_time_ns()
        for bank in banks:
            bank.tick(now_ns)
        rounds[is_trouble].append((closed_ns - started_ns) * 1e-6)
        readings_ms.append((time.process_time_ns() - closed_ns) * 1e-6)
    warm = n_ticks // 5
    return {
        "calm_ms": float(np.median(rounds[False][warm:])),
        "trouble_ms": float(np.median(rounds[True][warm:])),
        "readings_ms": float(np.median(readings_ms[warm:])),
        "trouble_p99_ms": float(np.quantile(rounds[True][warm:], 0.99)),
    }


def play_calls(
    bank: SignalBank,
    now_ns: int,
    rng: np.random.Generator,
    failed: list[tuple[int, int]],
    is_bad: bool,
) -> None:
    """Let one tick's calls come and go at one upstream; half of a bad one's fail and come back."""
    n = CALLS_A_TICK_TROUBLED if is_bad else CALLS_A_TICK_CALM
    fresh = [(int(flow), int(flow) * 7 + now_ns) for flow in rng.integers(1, N_FLOWS, n)]
    calls = (failed[: n // 3] + fresh)[:n]
    del failed[: n // 3]
    gap_ns = BUCKET_NS // (2 * n + 2)  # all in the first bucket: the tick closes five
    for k, (flow, shape) in enumerate(calls):
        at_ns = now_ns + (2 * k + 1) * gap_ns
        call = bank.observe_arrival(at_ns, 1 + flow % 64, flow, flow, shape, UNMARKED, flow % 8)
        is_failure = is_bad and rng.random() < FAIL_SHARE
        bank.observe_end(at_ns + gap_ns, call, FAILED if is_failure else ANSWERED)
        if is_failure:
            failed.append((flow, shape))


# -- memory -----------------------------------------------------------------------


def resident_mb() -> float:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def grow(n_upstreams: int) -> dict[str, float]:
    """Let ``N_AGENTS`` agents call, each twice after a failure; return what memory grew by.

    All of them at one upstream, or each at one of many.
    """
    warm = make_banks(64)[0]
    warm.tick(0)
    before_mb = resident_mb()
    banks = make_banks(N_AGENTS + 1, n_upstreams)
    now_ns = 0
    for attempt in range(2):
        for agent in range(1, N_AGENTS + 1):
            now_ns += 100_000
            bank = banks[agent % n_upstreams]
            call = bank.observe_arrival(now_ns, 1 + agent % 4_000, agent, agent % 65_536, agent)
            bank.observe_end(now_ns + 50_000, call, FAILED if attempt == 0 else ANSWERED)
    for bank in banks:
        bank.tick(now_ns)
    return {"resident_mb": resident_mb() - before_mb}


def measure_memory(n_upstreams: int) -> float:
    """Return the growth in a process of its own."""
    code = (
        f"import json; from bench.detect.cost import grow; print(json.dumps(grow({n_upstreams})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    if done.returncode != 0:
        raise BenchError(f"the process that measures memory failed: {done.stderr[-500:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["resident_mb"])


# -- section ----------------------------------------------------------------------


def run(options: Options) -> Section:
    """Measure all; return tables and claims."""
    if not IS_COMPILED:
        return Section("Cost", "*Not compiled here (NUMBA_DISABLE_JIT): nothing to measure.*", {})
    n_batches = 30 if options.quick else 200
    events = {
        (state, way): time_events(share, n_batches, way == "from Python")
        for state, share in (("calm", 0.0), ("half of all calls fail", FAIL_SHARE))
        for way in ("compiled work alone", "from Python")
    }
    ticks = time_ticks(100 if options.quick else 600)
    memory = {
        "all at one upstream": measure_memory(1),
        f"each at one of {N_UPSTREAMS}, in turn": measure_memory(N_UPSTREAMS),
    }
    rows = [
        [state, way, *(f"{took[name]:.0f}" for name in ("arrival", "end", "bucket"))]
        for (state, way), took in events.items()
    ]
    text = [
        table(["traffic", "how", "ns an arrival", "ns an end", "ns a 10 ms bucket"], rows),
        f"{N_FLOWS:,} flows, the first calls of a batch repeat what failed before; medians of "
        f"{n_batches} batches of {BATCH:,}.",
        f"One round of ticks over {N_UPSTREAMS} upstreams of {N_FLOWS:,} flows (5 buckets each): "
        f"{ticks['calm_ms']:.2f} ms calm, {ticks['trouble_ms']:.2f} ms with {N_TROUBLED} in "
        f"trouble (99th percentile {ticks['trouble_p99_ms']:.2f} ms); the readings alone "
        f"{ticks['readings_ms']:.2f} ms.",
        f"Resident memory after {N_AGENTS:,} agents with a place of their own in the tables, each "
        "of which failed once and came back: "
        + "; ".join(f"{where}, {mb:.1f} MB" for where, mb in memory.items())
        + ". In turn is the worst order: most pages of every upstream's own tables are touched.",
    ]
    data = {
        "claims": claim_costs(events, ticks, memory),
        "events_ns": {f"{state}, {way}": took for (state, way), took in events.items()},
        "ticks_ms": ticks,
        "memory_mb": memory,
    }
    return Section("Cost", "\n\n".join(text), data)


def claim_costs(
    events: dict[tuple[str, str], dict[str, float]],
    ticks: dict[str, float],
    memory: dict[str, float],
) -> list[Any]:
    """Return what was promised of time and memory, beside what was measured."""
    worst_ns = max(t["arrival"] for (_, way), t in events.items() if way != "from Python")
    worst_call_ns = max(t["arrival"] for (_, way), t in events.items() if way == "from Python")
    claims: list[Any] = [
        claim(
            "all detectors, an arrival",
            "≤ 0.5 µs",
            f"{worst_ns / 1e3:.2f} µs compiled ({worst_call_ns / 1e3:.2f} µs from Python)",
            worst_ns <= ARRIVAL_BOUND_NS,
        ),
        claim(
            f"tick, {N_UPSTREAMS} upstreams, {N_TROUBLED} in trouble",
            "≤ 1 ms",
            f"{ticks['trouble_ms']:.2f} ms (p99 {ticks['trouble_p99_ms']:.2f})",
            ticks["trouble_ms"] <= TICK_BOUND_MS,
        ),
    ]
    claims += [
        claim(
            f"memory at {N_AGENTS:,} agents seen, {where}",
            "≤ 64 MB",
            f"{mb:.1f} MB",
            mb <= MEMORY_BOUND_MB,
        )
        for where, mb in memory.items()
    ]
    return claims
