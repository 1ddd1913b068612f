"""One storm as the forecast sees it: what it said at each tick, what came, when it was too much.

*Rule of this file*: one run and its figures; the grid and the report are
:mod:`bench.detect.forecast`.

*Error*: sum of |expected - came| over sum of came, in bins of 100 ms, by how far ahead;
over the ticks from the fault to 4 s after its end. *Crossing*: the first window of 0.5 s
that holds more than C/2 + 2 sqrt(C/2) arrivals, C the true capacity. *Lead*: from the alarm
to that window's **start**; a meter of 0.5 s would see it 0.5 s later.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.detect.callers import NEVER_S, Fleet
from bench.detect.consumer import make_bank
from bench.detect.service import FAULTS, PATIENCE_S, World
from bench.detect.simulation import TICK_S, Simulation

BINS = ((0, 10), (10, 20), (20, 40), (40, 80))
"""How far ahead: 0-0.5, 0.5-1, 1-2, 2-4 s, in ticks."""

METHODS = ("forecast", "persistence", "first generation")
FAULT_S = 30.0
AFTER_S = 4.0


class Case(NamedTuple):
    """What is varied."""

    fault: str
    law: str
    load: float
    seed: int
    n: int = 2_000
    tells_family: bool = True
    tells_patience: bool = False
    is_second: bool = False
    """The callers' laws were learned in an earlier storm."""
    is_capacity_told: bool = True


class Found(NamedTuple):
    """What came of it."""

    case: Case
    errors: npt.NDArray[np.float64]
    """Summed absolute errors by method and horizon; last row: arrivals."""
    crossing_s: float
    """After the fault; infinite if capacity was never crossed."""
    alarm_s: float
    """After the fault; infinite if there was no alarm."""
    n_false: int
    """Alarms before the fault."""

    @property
    def lead_s(self) -> float:
        """From alarm to crossing; minus infinity without an alarm."""
        return self.crossing_s - self.alarm_s if self.alarm_s < NEVER_S else -NEVER_S

    @property
    def is_crossed(self) -> bool:
        """Whether there was anything to lead."""
        return self.crossing_s < NEVER_S


class Watch:
    """What the forecast said at each tick."""

    def __init__(self, bank: Any) -> None:
        self.record = bank.state.forecast[0]
        self.ticks: list[tuple[float, bool]] = []
        self.curves: list[npt.NDArray[np.float64]] = []
        self.known: list[npt.NDArray[np.float64]] = []

    def __call__(self, now_s: float) -> None:
        """Take it down."""
        record = self.record
        self.ticks.append((now_s, bool(record["storm"]["is_on"])))
        if now_s >= FAULT_S - 1e-6:
            self.curves.append(record["faded"].copy())
            known = record["known"].sum(axis=0) * record["is_active"]
            self.known.append(known + record["busy_organic"])


def make_world(case: Case) -> World:
    """Return the world of a case."""
    fault = FAULTS[case.fault]
    fleet = Fleet(
        case.n,
        case.law,
        patience_s=PATIENCE_S if case.fault in ("stall", "none") else NEVER_S,
        tells_family=case.tells_family,
        tells_patience=case.tells_patience,
    )
    return World(fleet, case.load, fault, FAULT_S, FAULT_S + fault.length_s + AFTER_S + 6.0)


def compute_errors(watch: Watch, counts: npt.NDArray[Any], end_s: float) -> Any:
    """Return summed absolute errors by method and horizon, and what came."""
    found = np.zeros((len(METHODS) + 1, len(BINS)))
    first = round(FAULT_S / TICK_S)
    for step in range(1, round((end_s - FAULT_S) / TICK_S)):
        now = first + step
        came = counts[now : now + 80]
        last = counts[now - 20 : now].mean()
        said = (watch.curves[step], np.full(80, last), watch.known[step])
        for k, (start, stop) in enumerate(BINS):
            fact = came[start:stop].reshape(-1, 2).sum(axis=1)
            for method, curve in enumerate(said):
                mine = curve[start:stop].reshape(-1, 2).sum(axis=1)
                found[method, k] += np.abs(mine - fact).sum()
            found[-1, k] += fact.sum()
    return found


def find_crossing(counts: npt.NDArray[Any], capacity_hz: float, until_s: float) -> float:
    """Return when the first window over capacity began, after the fault."""
    threshold = capacity_hz / 2 + 2.0 * math.sqrt(capacity_hz / 2)
    windows = np.convolve(counts, np.ones(10), "valid")  # window k: ticks k to k + 9
    first = round(FAULT_S / TICK_S)
    over = np.flatnonzero(windows[first - 9 : round(until_s / TICK_S)] > threshold)
    return float((over[0] - 9) * TICK_S) if len(over) else NEVER_S


def play(case: Case, bank: Any) -> tuple[Simulation, Watch]:
    """Live one storm."""
    world = make_world(case)
    watch = Watch(bank)
    sim = Simulation(world, [bank], case.seed)
    if case.is_capacity_told:
        bank.state.forecast[0]["told_hz"] = sim.capacity_hz
    sim.run(watch)
    return sim, watch


def run_case(case: Case) -> Found:
    """Live one storm and say how the forecast did."""
    bank = make_bank(make_world(case).n_flows)
    if case.is_second:
        taught = make_bank(make_world(case).n_flows)
        play(case._replace(seed=case.seed + 100), taught)
        bank.state.forecast["backoff"] = taught.state.forecast["backoff"]
    sim, watch = play(case, bank)
    world = sim.world
    n_bins = round(world.end_s / TICK_S)
    t_s = sim.truth.arrivals()[0]
    counts = np.histogram(t_s, np.arange(n_bins + 1) * TICK_S)[0]
    end_s = world.fault_end_s + AFTER_S
    n_false, alarm_s, was_on = 0, NEVER_S, False
    for now_s, is_on in watch.ticks:
        if is_on and not was_on:
            if now_s < FAULT_S:
                n_false += 1
            elif alarm_s == NEVER_S:
                alarm_s = now_s - FAULT_S
        was_on = is_on
    return Found(
        case,
        compute_errors(watch, counts, end_s),
        find_crossing(counts, sim.capacity_hz, end_s),
        alarm_s,
        n_false,
    )


def count_false(load: float, n: int, seed: int, tells_patience: bool, hours: float) -> int:
    """Return the alarms of a service that nothing befalls, callers with a patience of 2 s."""
    fleet = Fleet(n, "mix", patience_s=PATIENCE_S, tells_patience=tells_patience)
    world = World(fleet, load, FAULTS["none"], FAULT_S, hours * 3_600.0)
    bank = make_bank(world.n_flows)
    sim = Simulation(world, [bank], seed)
    bank.state.forecast[0]["told_hz"] = sim.capacity_hz
    sim.run()
    return int(bank.state.forecast[0]["storm"]["n_alarms"])
