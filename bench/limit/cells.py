"""Cells of the comparison: which services, laws, slots and scenarios, and one run of one.

*Rule of this file*: a cell is a value; running one needs nothing else. So
cells can be spread over processes, and a test can run a single one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.limit.peers import EnvoyGradient, Gradient2
from bench.limit.scenarios import DRIFT, SCENARIOS, STREAMS, STREAMS_LOW, Scenario
from bench.limit.services import LAWS, Law, Service
from bench.limit.simulator import N_FLOWS, PATIENCE_S, Simulation
from governor.core.gate import Gate
from governor.core.identity import Identities
from policies.limit import AdaptiveLimit, FixedLimit, Limit
from signals import SignalBank

LIMITS = ("oracle", "ours", "envoy", "gradient2")
SLOTS = (4, 32, 256)

BIMODAL_PATIENCE_S = 10.0
"""A tenth of the bimodal answers take 2 s: callers of such a service wait longer."""

STREAM_PATIENCE_S = 60.0
"""Callers of streams wait a minute for the first byte."""

BY_NAME: dict[str, Scenario] = {
    **SCENARIOS,
    **{scenario.name: scenario for scenario in (DRIFT, STREAMS, STREAMS_LOW)},
}


@dataclass(frozen=True, order=True)
class Cell:
    """One course of one service, to be run with several limits and seeds."""

    scenario: str
    kind: str
    law: str
    slots: int

    @property
    def is_stream(self) -> bool:
        """Whether answers hold their slot long after the first byte."""
        return self.law == "streams"


def make_limit(name: str, slots: int, seed: int) -> Limit:
    """Return a fresh limit by its name in the tables."""
    if name == "oracle":
        return FixedLimit(slots)
    if name == "ours":
        return AdaptiveLimit(seed + 1)
    return EnvoyGradient(seed) if name == "envoy" else Gradient2(seed)


def make_identities() -> Identities:
    """Return tables that know all agents of the fleet, each a flow and a tree of its own."""
    identities = Identities(n_tenants=16, n_flows=N_FLOWS, n_trees=N_FLOWS)
    for key in range(1, N_FLOWS):
        identities.flows.index(key, 0)
        identities.trees.index(key, 0)
    return identities


def make_simulation(cell: Cell, limit: Limit, seed: int, is_oracle: bool = False) -> Simulation:
    """Return a run of ``cell`` that is ready to start."""
    patience_s = PATIENCE_S
    if cell.is_stream:
        patience_s = STREAM_PATIENCE_S
    elif cell.law == "bimodal":
        patience_s = BIMODAL_PATIENCE_S
    law = Law(cell.law, seed * 101 + 7)
    service = Service(cell.kind, cell.slots, law, cell.is_stream)
    gate = Gate(
        "modelled",
        [limit],
        SignalBank(N_FLOWS),
        make_identities(),
        patience_ns=int(max(10.0, patience_s) * 1e9),
        max_wait_ns=int(max(30.0, patience_s) * 1e9),
    )
    return Simulation(
        BY_NAME[cell.scenario],
        service,
        limit,
        gate,
        seed,
        patience_s=patience_s,
        is_oracle=is_oracle,
    )


def run_cell(
    job: tuple[Cell, str, int],
) -> tuple[tuple[Cell, str, int], dict[str, dict[str, float]]]:
    """Run one cell with one limit and seed; return the job with its figures by window."""
    cell, name, seed = job
    limit = make_limit(name, cell.slots, seed)
    simulation = make_simulation(cell, limit, seed, is_oracle=name == "oracle")
    return job, simulation.run()


def all_cells() -> Iterator[Cell]:
    """Yield every cell of the full comparison."""
    for scenario in SCENARIOS:
        for law in LAWS:
            for slots in SLOTS:
                yield Cell(scenario, "slots", law, slots)
        for law in ("exponential", "lognormal 0.5", "bimodal"):
            for slots in (4, 32):
                yield Cell(scenario, "sharing", law, slots)
    for law in ("exponential", "lognormal 0.5", "lognormal 1.5"):
        for kind in ("slots", "sharing"):
            yield Cell("drift", kind, law, 32)
    for slots in SLOTS:
        yield Cell("streams", "slots", "streams", slots)
        yield Cell("streams low", "slots", "streams", slots)


def quick_cells() -> Iterator[Cell]:
    """Yield a few cells that take less than a minute."""
    for scenario in ("steady", "stall", "herd", "low"):
        for law in ("lognormal 0.5", "exponential"):
            yield Cell(scenario, "slots", law, 32)
    yield Cell("steady", "sharing", "exponential", 32)
