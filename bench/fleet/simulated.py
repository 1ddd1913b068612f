"""One governor, three apart, three with one view: the same storms on a virtual clock.

*Rule of this file*: which runs, and the table. Fixed before it was measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.fleet.crowds import COLUMNS as CROWD_COLUMNS
from bench.fleet.crowds import CROWDS, WORST, Crowd, make_crowd, play
from bench.fleet.simulation import Weather, run
from bench.limit.cells import Cell
from bench.limit.scenarios import SCENARIOS

COLUMNS = ("goodput_hz", "attempts", "failed", "orphaned", "held", "p50_s", "p99_s", "queue")
SLOTS = 32


class Variant(NamedTuple):
    """One way to stand in front of the service."""

    name: str
    options: dict[str, Any]


VARIANTS = (
    Variant("one governor", {"n": 1, "is_shared": False}),
    Variant("three apart", {"n": 3, "is_shared": False}),
    Variant("three, one view", {"n": 3}),
    Variant("… demand 8:1:1", {"n": 3, "weights": (8.0, 1.0, 1.0)}),
    Variant("… 200 ms, 10 % lost", {"n": 3, "weather": Weather(delay_s=0.2, loss=0.1)}),
    Variant("… gone 10 s to 14 s", {"n": 3, "weather": Weather(outages=((10.0, 14.0),))}),
    Variant("ten, one view", {"n": 10}),
)


def measure(cell: Cell, variant: Variant, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return the mean figures by window."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        windows, _ = run(cell, seed, **variant.options)
        for name, figures in windows.items():
            found.setdefault(name, []).append(figures)
    return {
        name: {x: sum(y[x] for y in rows) / len(rows) for x in COLUMNS}
        for name, rows in found.items()
    }


def print_crowd(crowd: Crowd, n_seeds: int) -> None:
    """Print the table of a crowd: mean figures, watched groups' times apart, worst seeds."""
    print(f"\n### {crowd.name} ({crowd.slots} slots, {n_seeds} seeds)\n")
    columns = (*CROWD_COLUMNS, *(f"worst {x}" for x in WORST))
    print("| in front | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))
    for variant in VARIANTS:
        if "weights" in variant.options:
            continue  # agents stay with their governor, so all have as many
        runs = (make_crowd(crowd, seed, **variant.options) for seed in range(n_seeds))
        rows = [play(run) for run in runs]
        means = [sum(x[key] for x in rows) / n_seeds for key in CROWD_COLUMNS]
        worst = [max(x[key] for x in rows) for key in WORST]
        cells = " | ".join(f"{x:.3f}" for x in (*means, *worst))
        print(f"| {variant.name} | {cells} |", flush=True)


def main(argv: list[str]) -> int:
    """Print a table for each scenario."""
    parser = argparse.ArgumentParser(prog="python -m bench fleet simulated", description=__doc__)
    parser.add_argument("--scenarios", default="steady,stall,herd,low,slower,noisy,crowd")
    parser.add_argument("--kind", default="slots", choices=("slots", "sharing"))
    parser.add_argument("--law", default="lognormal 0.5")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(argv)
    for scenario in options.scenarios.split(","):
        if scenario in CROWDS:
            print_crowd(CROWDS[scenario], options.seeds)
            continue
        if scenario not in SCENARIOS:
            known = ", ".join((*SCENARIOS, *CROWDS))
            parser.error(f"no scenario {scenario!r}: there are {known}")
        cell = Cell(scenario, options.kind, options.law, SLOTS)
        print(f"\n### {scenario} ({options.kind}, {options.law}, {options.seeds} seeds)\n")
        print("| in front | window | " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * (len(COLUMNS) + 2))
        for variant in VARIANTS:
            for name, row in measure(cell, variant, range(options.seeds)).items():
                cells = " | ".join(f"{row[x]:.3f}" for x in COLUMNS)
                print(f"| {variant.name} | {name} | {cells} |", flush=True)
    return 0
