"""Simulated against measured, each cell of the socket benchmarks; and tier against tier.

*Rule of this file*: numbers and their deviations; nothing is judged twice. A cell that
deviates stands in the table like one that agrees.

*Definitions*. Deviation: simulated over measured, less one. A waste ratio is itself a share, and
of the 0.1 to 0.4 % that are left with Governor a deviation of ten per cent is one call in five
thousand: waste agrees if it is within ten per cent *or* within half a point of all upstream
seconds. How many agree without that allowance is told as well.

Scenarios that are not simulated (several services or endpoints, streams, fan-outs, recordings)
are named, not left out in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from bench import density
from bench.report import RESULTS
from bench.simulate import scale
from bench.simulate.exact import Peer, play
from bench.simulate.service import NotSimulated
from bench.storm.base import Scenario
from bench.storm.catalogue import SCENARIOS

QUANTITIES = ("goodput", "waste", "attempts")
RATIO = 0.10
WASTE_POINTS = 0.005
PEERS: tuple[Peer, ...] = ("direct", "governor")
FILES = ("storm", "storm-more")

Values = dict[str, float]
"""Goodput (per second), waste (ratio) and attempts (a task)."""


@dataclass(frozen=True)
class Pair:
    """One cell: measured and simulated, by quantity; and over further seeds.

    Attributes
    ----------
    scenario, peer : str
    seed : int
    measured, simulated : Values
    others : tuple of Values
        Simulated with further seeds: by how much seeds differ.
    n_events, cpu_s
        Of all these runs together.
    """

    scenario: str
    peer: str
    seed: int
    measured: Values
    simulated: Values
    others: tuple[Values, ...] = ()
    n_events: int = 0
    cpu_s: float = 0.0

    def deviation(self, quantity: str) -> float:
        """Return simulated over measured, less one; 0 if both are nothing."""
        was, is_now = self.measured[quantity], self.simulated[quantity]
        if was == is_now:
            return 0.0
        return is_now / was - 1.0 if was else math.inf

    def agrees(self, quantity: str, *, is_strict: bool = False) -> bool:
        """Return whether a quantity is within ten per cent (waste: or half a point)."""
        if abs(self.deviation(quantity)) <= RATIO:
            return True
        if is_strict or quantity != "waste":
            return False
        return abs(self.simulated["waste"] - self.measured["waste"]) <= WASTE_POINTS

    def spread(self, quantity: str) -> tuple[float, float]:
        """Return the least and the most over all simulated seeds."""
        values = [values[quantity] for values in (self.simulated, *self.others)]
        return min(values), max(values)


def values_of(quantities: dict[str, Any]) -> Values:
    """Return the three of what a benchmark measures; goodput after the warm-up where it has one."""
    goodput = quantities.get("warm_goodput_hz", quantities["goodput_hz"])
    return {
        "goodput": float(goodput),
        "waste": float(quantities["waste_ratio"]),
        "attempts": float(quantities["attempts_per_task"]),
    }


def measured_cells() -> Iterator[tuple[Scenario, str, int, Values]]:
    """Yield every measured cell with nothing or Governor in front: scenario, peer, seed, values."""
    path = RESULTS / "density.json"
    for row in json.loads(path.read_text())["runs"] if path.exists() else ():
        if row["peer"] in PEERS:
            scenario = density.density(row["agents"])
            yield scenario, row["peer"], row["seed"], values_of(row["quantities"])
    for name in FILES:
        path = RESULTS / f"{name}.json"
        cells = json.loads(path.read_text())["cells"] if path.exists() else {}
        for scenario_name, rows in cells.items():
            known = SCENARIOS.get(scenario_name)
            for row in rows if known is not None else ():
                if row["peer"] in PEERS and row["quantities"].get("goodput_hz") is not None:
                    assert known is not None
                    yield known, row["peer"], row["seed"], values_of(row["quantities"])


def against_sockets(
    say: Callable[[str], None], n_more: int = 2, wanted: Sequence[str] = ()
) -> tuple[list[Pair], list[str]]:
    """Simulate every measured cell that can be; return the pairs and the scenarios that cannot.

    Parameters
    ----------
    n_more : int
        Further seeds.
    wanted : sequence of str
        Only these scenarios; all if empty.
    """
    pairs: list[Pair] = []
    left_out: list[str] = []
    for scenario, peer, seed, measured in measured_cells():
        if scenario.name in left_out or (wanted and scenario.name not in wanted):
            continue
        assert peer in ("direct", "governor")
        which: Peer = "governor" if peer == "governor" else "direct"
        try:
            played = [play(scenario, which, seed + more) for more in range(n_more + 1)]
        except NotSimulated:
            left_out.append(scenario.name)
            continue
        first, *others = (values_of(each.quantities) for each in played)
        n_events = sum(each.n_events for each in played)
        cpu_s = sum(each.cpu_s for each in played)
        pair = Pair(scenario.name, peer, seed, measured, first, tuple(others), n_events, cpu_s)
        pairs.append(pair)
        deviations = ", ".join(f"{name} {pair.deviation(name):+.1%}" for name in QUANTITIES)
        say(f"  {scenario.name:22} {peer:9} {deviations}")
    return pairs, left_out


TIER_CELLS = tuple((n, 1.0) for n in (2_000, 2_500, 3_000, 5_000, 10_000, 20_000))
SHARE_CELLS = ((2_500, 0.75), (2_500, 0.5), (2_500, 0.25), (5_000, 0.75), (5_000, 0.5))
DIRECT_CELLS = ((1_000, 0.0), (3_000, 0.0), (5_000, 0.0))
"""(agents, governed share): left out is only 2,500 with nothing in front, where a run tips over
at an instant of its seed; the density table has it."""


def against_exact(
    say: Callable[[str], None],
    n_seeds: int = 3,
    cells: Sequence[tuple[int, float]] = TIER_CELLS + SHARE_CELLS + DIRECT_CELLS,
) -> list[Pair]:
    """Play the same fleets in both tiers: means over seeds, the exact tier as what is measured."""
    pairs = []
    for n_agents, share in cells:
        peer: Peer = "governor" if share else "direct"
        exact = [
            values_of(play(density.density(n_agents), peer, seed, governed_share=share).quantities)
            for seed in range(1, n_seeds + 1)
        ]
        scaled = [
            scale_values(scale.play(scale.Fleet(n_agents=n_agents, governed_share=share), seed))
            for seed in range(1, 10 * n_seeds + 1)
        ]
        name = f"{n_agents:,} agents, {share:.0%} governed"
        pair = Pair(name, peer, 0, over(exact), over(scaled))
        pairs.append(pair)
        deviations = ", ".join(f"{name} {pair.deviation(name):+.1%}" for name in QUANTITIES)
        say(f"  {name:32} {deviations}")
    return pairs


def scale_values(outcome: scale.Outcome) -> Values:
    """Return the three of a run of the scale tier."""
    return {
        "goodput": outcome.goodput_hz,
        "waste": outcome.waste_ratio,
        "attempts": outcome.attempts_per_task,
    }


def over(runs: Sequence[Values]) -> Values:
    """Return the means."""
    return {name: mean(run[name] for run in runs) for name in QUANTITIES}


def count_agreeing(pairs: Sequence[Pair], *, is_strict: bool = False) -> tuple[int, int]:
    """Return how many values agree, of how many."""
    values = [pair.agrees(name, is_strict=is_strict) for pair in pairs for name in QUANTITIES]
    return sum(values), len(values)
