"""Which storms are simulated, and what the signals said in each.

*Rule of this file*: the grid and one run; tables are :mod:`bench.detect.storms`.

*Detected*: the first tick after the fault at which an alarm stands. Asked for
within the bound: the longest first back-off of the callers' law, their
patience where they must lose it first (stall), and ``SLACK_S``. For a mix the
back-off is the median member's. Alarms that stood in the 40 s before count as
false, and so does any alarm of the other upstream at any time.

*Verdict*: the reading ``cascade``, and ``shape`` where the signals give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.detect.base import Options
from bench.detect.callers import BACKOFF_S, NEVER_S, Fleet
from bench.detect.consumer import Watch, make_banks
from bench.detect.service import FAULTS, PATIENCE_S, Beside, Overlay, World
from bench.detect.simulation import Simulation
from bench.detect.traces import ORGANIC, Trace, load

LAWS = (
    "openai",
    "anthropic",
    "codex",
    "vercel",
    "boto3",
    "urllib3",
    "tenacity-full-jitter",
    "gemini-cli",
    "mix",
)
STORM_FAULTS = ("crash", "refuse", "stall")
SIZES = (20, 50, 100, 200, 500, 2000, 5000)
LOADS = (0.5, 0.7, 0.85, 0.95)

FAULT_S = 50.0
BEFORE_S = 40.0
"""No alarm may stand for so long before the fault."""
SLACK_S = 0.3
"""Allowed beyond back-off and patience."""
AFTER_S = 2.0
"""Played beyond the bound, to see late alarms and the verdict."""
MIX_BACKOFF_S = 0.5

OVERLAY_SPEED = 10.0
BESIDE_HZ = 20.0

ALARMS = ("retry_synchrony_alarm", "synchrony_alarm", "cascade", "storm_alarm")
"""Readings that call it a storm."""


class Case(NamedTuple):
    """One storm: what befalls whom, over which traffic."""

    fault: str
    law: str
    n: int
    load: float
    seed: int
    background: str = ""

    @property
    def has_retries(self) -> bool:
        """False where the SDK does not repeat this failure at all."""
        return not (self.law == "urllib3" and self.fault == "refuse")

    @property
    def bound_s(self) -> float:
        """From the fault to the last instant at which it must have been detected."""
        backoff_s = MIX_BACKOFF_S if self.law == "mix" else BACKOFF_S[self.law][1]
        return backoff_s + (PATIENCE_S if self.fault == "stall" else 0.0) + SLACK_S


class Found(NamedTuple):
    """What the signals said in one storm."""

    case: Case
    delays_s: dict[str, float]
    """First tick of each alarm after the fault; an alarm that never stood is absent."""
    before: tuple[str, ...]
    """Alarms that stood in the 40 s before."""
    elsewhere: tuple[str, ...]
    """Alarms of the other upstream, at any time."""

    @property
    def delay_s(self) -> float:
        """From the fault to the first alarm; infinite if there was none."""
        return min(self.delays_s.values(), default=NEVER_S)

    @property
    def verdict_s(self) -> float:
        """From the fault to the verdict 'cascade'; infinite if it never came."""
        return self.delays_s.get("cascade", NEVER_S)

    @property
    def is_in_time(self) -> bool:
        """Whether the first alarm came within the bound."""
        return self.delay_s <= self.case.bound_s + 1e-6


def make_beside(seed: int) -> Trace:
    """Return a made-up calm upstream's calls: Poisson, 40 callers."""
    rng = np.random.default_rng(seed)
    n = int(BESIDE_HZ * 70.0)
    flow = rng.integers(1, 41, n)
    return Trace(
        name="calm",
        t_s=np.cumsum(rng.exponential(1.0 / BESIDE_HZ, n)),
        flow=flow,
        tree=flow,
        fingerprint=rng.integers(0, 2**52, n),
        latency_s=rng.lognormal(np.log(0.3), 0.5, n),
        status=np.full(n, 200),
        target=np.zeros(n, np.int64),
    )


def make_world(case: Case, options: Options) -> World:
    """Return the world of a case."""
    fleet = Fleet(case.n, case.law, PATIENCE_S if case.fault == "stall" else NEVER_S)
    overlay = None
    if case.background:
        trace = load(options.traces, case.background)
        assert trace is not None
        length_s = (FAULT_S + case.bound_s + AFTER_S) * OVERLAY_SPEED
        latest_s = max(0.0, float(trace.t_s[-1]) - length_s)
        start_s = np.random.default_rng(case.seed).uniform(0.0, latest_s)
        overlay = Overlay(trace, OVERLAY_SPEED, float(start_s))
    return World(
        fleet,
        load=case.load,
        fault=FAULTS[case.fault],
        fault_s=FAULT_S,
        end_s=FAULT_S + case.bound_s + AFTER_S,
        overlay=overlay,
        beside=(Beside(make_beside(case.seed), 1),),
    )


def run_case(case: Case, options: Options) -> Found:
    """Play one storm and note when each alarm first stood."""
    world = make_world(case, options)
    banks = make_banks(world.n_flows, 2)
    watch, other = (Watch(bank, ALARMS) for bank in banks)
    delays_s: dict[str, float] = {}
    before: set[str] = set()
    elsewhere: set[str] = set()

    def look(now_s: float) -> None:
        if now_s < FAULT_S - BEFORE_S:
            return
        for name, value in zip(watch.names, watch.values(), strict=True):
            if value > 0.0:
                if now_s <= FAULT_S:
                    before.add(name)
                elif name not in delays_s:
                    delays_s[name] = now_s - FAULT_S
        elsewhere.update(
            name for name, value in zip(other.names, other.values(), strict=True) if value > 0.0
        )

    Simulation(world, banks, case.seed).run(look)
    return Found(case, delays_s, tuple(sorted(before)), tuple(sorted(elsewhere)))


def cases_alone(options: Options) -> Iterator[Case]:
    """Yield the storms without other traffic; the largest on fewer loads and seeds."""
    if options.quick:
        for fault in STORM_FAULTS:
            for law in LAWS:
                for n in (20, 100, 500):
                    yield Case(fault, law, n, 0.7, options.report_seeds[0])
        return
    for fault in STORM_FAULTS:
        for law in LAWS:
            for n in SIZES:
                loads = LOADS if n < 5000 else (0.7, 0.95)
                seeds = options.report_seeds if n <= 500 else options.report_seeds[:1]
                for case_load in loads:
                    for seed in seeds:
                        yield Case(fault, law, n, case_load, seed)


def cases_overlaid(options: Options) -> Iterator[Case]:
    """Yield the storms over each recording that is present, at one load and one seed."""
    names = [name for name in ORGANIC if load(options.traces, name) is not None]
    sizes = (500,) if options.quick else (100, 200, 500, 2000)
    laws = ("openai",) if options.quick else LAWS
    for name in names[:2] if options.quick else names:
        for fault in STORM_FAULTS:
            for law in laws:
                for n in sizes:
                    yield Case(fault, law, n, 0.7, options.report_seeds[0], name)
