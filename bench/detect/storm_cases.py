"""Which storms are simulated, and what the signals said in each.

*Rule of this file*: the grid and one run; tables are :mod:`bench.detect.storms`.

*Detected*: the first tick after the fault at which an alarm stands. Asked for
within the bound: the longest first back-off of the callers' law, their
patience where they must lose it first (stall), and ``SLACK_S``. For a mix the
back-off is the median member's. Alarms that stood in the 40 s before count as
false, and so does any alarm of the other upstream at any time.

*By what*: ``storm_alarm`` speaks of a crossing that is forecast; the others of
callers that have come back, or come in step. Both are told apart.

*Verdict*: the reading ``load_shape``. Right is cascade where retries really were
a fifth or more of the arrivals over some second, and mixed (organic demand with
retries in it) is right too where they never were: a small fleet over much traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from bench.detect.base import Options
from bench.detect.callers import BACKOFF_S, NEVER_S, Fleet
from bench.detect.consumer import Watch, make_banks
from bench.detect.service import FAULTS, PATIENCE_S, Beside, Overlay, World
from bench.detect.simulation import Simulation, Truth
from bench.detect.traces import ORGANIC, Trace, load
from signals.retry import CASCADE_SHARE
from signals.shape import SHAPES

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
LOADS_OF = {20: (0.5, 0.85), 50: (0.5, 0.85), 100: (0.5, 0.85), 200: (0.5, 0.85), 5000: (0.7,)}
"""Where not all loads are played."""

FAULT_S = 50.0
BEFORE_S = 40.0
"""No alarm may stand for so long before the fault."""
SLACK_S = 0.3
"""Allowed beyond back-off and patience."""
AFTER_S, AFTER_UNKNOWN_S = 2.0, 5.0
"""Played beyond the bound, to see late alarms and the verdict; longer without identity."""
MIX_BACKOFF_S = 0.5

SHARE_STEP_S = 0.1
OVERLAY_SPEED = 10.0
BESIDE_HZ = 20.0

ALARMS = (
    "storm_alarm",
    "retry_synchrony_alarm",
    "matched_alarm",
    "synchrony_alarm",
    "cascade",
)
"""Readings that call it a storm; the first is a forecast, the others say what is there."""

SHAPE = "load_shape"
VERDICTS = {SHAPES.index(word): word for word in ("cascade", "mixed")}
"""Values of that reading which speak of retries."""


class Case(NamedTuple):
    """One storm: what befalls whom, over which traffic."""

    fault: str
    law: str
    n: int
    load: float
    seed: int
    background: str = ""
    is_identified: bool = True

    @property
    def has_retries(self) -> bool:
        """False where the SDK does not repeat this failure at all."""
        return not (self.law == "urllib3" and self.fault == "refuse")

    @property
    def end_s(self) -> float:
        """When the run ends."""
        return FAULT_S + self.bound_s + (AFTER_S if self.is_identified else AFTER_UNKNOWN_S)

    @property
    def bound_s(self) -> float:
        """From the fault to the last instant at which it must have been detected."""
        backoff_s = MIX_BACKOFF_S if self.law == "mix" else BACKOFF_S[self.law][1]
        return backoff_s + (PATIENCE_S if self.fault == "stall" else 0.0) + SLACK_S


class Found(NamedTuple):
    """What the signals said in one storm."""

    case: Case
    delays_s: dict[str, float]
    """First tick of each alarm and verdict after the fault; what never stood is absent."""
    before: tuple[str, ...]
    """Alarms that stood in the 40 s before."""
    elsewhere: tuple[str, ...]
    """Alarms of the other upstream, at any time."""
    true_share: float = 1.0
    """The largest share that retries really had in the arrivals of one second."""

    @property
    def delay_s(self) -> float:
        """From the fault to the first alarm; infinite if there was none."""
        return min(self.delays_s.get(name, NEVER_S) for name in ALARMS)

    @property
    def seen_s(self) -> float:
        """From the fault to the first alarm that is no forecast."""
        return min(self.delays_s.get(name, NEVER_S) for name in ALARMS[1:])

    @property
    def verdict_s(self) -> float:
        """From the fault to the verdict 'cascade'; infinite if it never came."""
        return self.delays_s.get(f"{SHAPE}: cascade", NEVER_S)

    @property
    def has_right_verdict(self) -> bool:
        """Whether the load's shape was named rightly."""
        is_mixed = f"{SHAPE}: mixed" in self.delays_s and self.true_share < CASCADE_SHARE
        return self.verdict_s < NEVER_S or is_mixed

    @property
    def is_in_time(self) -> bool:
        """Whether the first alarm came within the bound."""
        return self.delay_s <= self.case.bound_s + 1e-6

    @property
    def is_seen_in_time(self) -> bool:
        """Whether the first alarm that is no forecast came within the bound."""
        return self.seen_s <= self.case.bound_s + 1e-6


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
    patience_s = PATIENCE_S if case.fault == "stall" else NEVER_S
    fleet = Fleet(
        case.n,
        case.law,
        patience_s,
        is_identified=case.is_identified,
        tells_family=case.is_identified,
    )
    overlay = None
    if case.background:
        trace = load(options.traces, case.background)
        assert trace is not None
        length_s = case.end_s * OVERLAY_SPEED
        latest_s = max(0.0, float(trace.t_s[-1]) - length_s)
        start_s = np.random.default_rng(case.seed).uniform(0.0, latest_s)
        overlay = Overlay(trace, OVERLAY_SPEED, float(start_s))
    return World(
        fleet,
        load=case.load,
        fault=FAULTS[case.fault],
        fault_s=FAULT_S,
        end_s=case.end_s,
        overlay=overlay,
        beside=(Beside(make_beside(case.seed), 1),),
    )


def standing(watch: Watch) -> list[str]:
    """Return the alarms that stand, and the verdict if it is one of those noted."""
    values = watch.values()
    if not any(values):
        return []
    names = [name for name, value in zip(watch.names, values, strict=True) if value > 0.0]
    if SHAPE in names:
        names.remove(SHAPE)
        verdict = VERDICTS.get(round(values[watch.names.index(SHAPE)]))
        names += [f"{SHAPE}: {verdict}"] if verdict else []
    return names


def run_case(case: Case, options: Options) -> Found:
    """Play one storm and note when each alarm first stood."""
    world = make_world(case, options)
    banks = make_banks(world.n_flows, 2)
    watch, other = (Watch(bank, (*ALARMS, SHAPE)) for bank in banks)
    delays_s: dict[str, float] = {}
    before: set[str] = set()
    elsewhere: set[str] = set()

    def look(now_s: float) -> None:
        if now_s < FAULT_S - BEFORE_S:
            return
        for name in standing(watch):
            if now_s <= FAULT_S:
                before.add(name)
            elif name not in delays_s:
                delays_s[name] = now_s - FAULT_S
        elsewhere.update(standing(other))

    truth = Simulation(world, banks, case.seed).run(look)
    share = measure_share(truth)
    return Found(case, delays_s, tuple(sorted(before)), tuple(sorted(elsewhere)), share)


def measure_share(truth: Truth) -> float:
    """Return the largest share of retries in the arrivals of one second, after the fault."""
    t_s, _, attempt = truth.arrivals()
    edges = np.arange(FAULT_S, float(t_s[-1]) + SHARE_STEP_S, SHARE_STEP_S)
    n_bins = round(1.0 / SHARE_STEP_S)
    second = np.ones(n_bins)
    arrivals = np.convolve(np.histogram(t_s, edges)[0], second, "valid")
    retries = np.convolve(np.histogram(t_s[attempt > 0], edges)[0], second, "valid")
    return float((retries / np.maximum(arrivals, 1.0)).max(initial=0.0))


def cases_alone(options: Options) -> Iterator[Case]:
    """Yield the storms without other traffic; small and very large ones on fewer loads."""
    first = options.report_seeds[0]
    for fault, law in product(STORM_FAULTS, LAWS):
        if options.quick:
            yield from (Case(fault, law, n, 0.7, first) for n in (20, 100, 500))
            continue
        for n in SIZES:
            seeds = options.report_seeds if n <= 500 else (first,)
            for load_, seed in product(LOADS_OF.get(n, LOADS), seeds):
                yield Case(fault, law, n, load_, seed)


def cases_overlaid(options: Options) -> Iterator[Case]:
    """Yield the storms over each recording that is present, at one load and one seed."""
    names = [name for name in ORGANIC if load(options.traces, name) is not None]
    sizes = (500,) if options.quick else (100, 500, 2000)
    laws = ("openai",) if options.quick else LAWS
    for name in names[:2] if options.quick else names:
        for fault, law, n in product(STORM_FAULTS, laws, sizes):
            yield Case(fault, law, n, 0.7, options.report_seeds[0], name)


def cases_unidentified(options: Options) -> Iterator[Case]:
    """Yield storms of callers without any identity or known library."""
    sizes = (500,) if options.quick else (500, 2000)
    laws = ("openai", "codex") if options.quick else LAWS
    for fault, law, n in product(STORM_FAULTS, laws, sizes):
        yield Case(fault, law, n, 0.7, options.report_seeds[0], is_identified=False)
