"""``python -m bench storm``: the scenarios, the peers in turn, the seeds in turn, the report.

Callers and services share core 1, what is in front has core 0. Every cell
(scenario, peer, seed) is kept as soon as it is measured; ``--resume`` goes on
where a broken run stopped. Peers take turns within a scenario and a seed, so that
a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence

from bench.children import BenchError
from bench.peers import PEERS, select
from bench.report import RESULTS, save
from bench.storm import picture, report, runner
from bench.storm.base import Scenario
from bench.storm.catalogue import SCENARIOS, choose, first_of_each
from bench.storm.verdict import Cells, seeds_of

DEFAULT_PEERS = (
    "direct,nginx-limit,haproxy-maxconn,envoy-adaptive,envoy-admission,envoy-breaker,governor"
)
QUICK_PEERS = "direct,governor"
START_S = 3.0
"""Processes of a cell, start to end, beside its plan."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench storm", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every scenario")
    what.add_argument(
        "--scenario", default="", help="names or families, comma-separated; default: stall"
    )
    parser.add_argument("--peers", default="", help=f"default: {DEFAULT_PEERS}")
    parser.add_argument("--seeds", type=int, default=0, help="how many; default 3")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed, direct and governor only, one variant of each family: about 10 minutes",
    )
    parser.add_argument("--resume", action="store_true", help="keep what was measured already")
    parser.add_argument("--report", action="store_true", help="run nothing, write the report anew")
    parser.add_argument("--name", default="storm", help="of the report's files in bench/results")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    return parser.parse_args(argv)


def scenarios_of(options: argparse.Namespace) -> list[Scenario]:
    """Return the scenarios to run, without those whose recording is absent."""
    if options.scenario:
        chosen = choose(options.scenario)
    elif options.quick:
        chosen = first_of_each()
    else:
        chosen = list(SCENARIOS.values()) if options.all else choose("stall")
    found = []
    for scenario in chosen:
        if scenario.recording is not None and runner.recording_path(scenario) is None:
            print(
                f"- {scenario.name} is left out: no {scenario.recording.file} "
                "(set GOVERNOR_TRACES to the folder of traces)",
                flush=True,
            )
        else:
            found.append(scenario)
    return found


def peers_for(scenario: Scenario, peers: Sequence[str]) -> list[str]:
    """Return who runs a scenario: the run without the others first, then the peers in turn."""
    chosen = [peer for peer in peers if not scenario.peers or peer in scenario.peers]
    return [runner.ALONE, *chosen] if scenario.alone else chosen


def turns(names: list[str], seed: int) -> list[str]:
    """Return the order of a seed: rotated, so that nobody is always first.

    >>> turns(["a", "b", "c"], 2)
    ['b', 'c', 'a']
    """
    shift = (seed - 1) % len(names) if names else 0
    return names[shift:] + names[:shift]


def seconds_of(scenario: Scenario) -> float:
    """Return how long a cell takes that comes to rest soon."""
    return scenario.seconds + START_S


def shown(cell: runner.Cell) -> str:
    """Return a cell in one line."""
    found = cell["quantities"]
    words = [
        f"{found.get('success_ratio', math.nan):.2%} succeed",
        f"goodput {found.get('goodput_hz', math.nan):.1f}/s",
        f"waste {found.get('waste_ratio', math.nan):.2%}",
        f"{found.get('attempts_per_task', math.nan):.3f} attempts",
        f"p99 {found.get('p99_s', math.nan):.3f} s",
    ]
    musts = [
        f"{must.key} {report.number(found[must.key])}"
        for must in SCENARIOS[cell["scenario"]].musts
        if must.key in found
    ]
    return f"{cell['peer']:16} {', '.join(words)} | {', '.join(dict.fromkeys(musts))}"


def run_all(scenarios: list[Scenario], peers: list[str], n_seeds: int, is_resumed: bool) -> None:
    """Run every cell that is not there yet."""
    n_cells = sum(len(peers_for(s, peers)) for s in scenarios) * n_seeds
    total_s = sum(len(peers_for(s, peers)) * seconds_of(s) for s in scenarios) * n_seeds
    print(
        f"storm: {len(scenarios)} scenarios, {n_cells} runs, about {total_s / 60:.0f} min, and up "
        "to 14 s more for each run that does not come to rest",
        flush=True,
    )
    began_s, n_done = time.monotonic(), 0
    for seed in range(1, n_seeds + 1):
        for scenario in scenarios:
            for peer in turns(peers_for(scenario, peers), seed):
                n_done += 1
                if is_resumed and runner.load(runner.Key(scenario.name, peer, seed), scenario):
                    continue
                try:
                    cell = runner.run(scenario, peer, seed)
                except (BenchError, OSError) as error:  # a peer that died is a result too
                    print(f"- {scenario.name} seed {seed} {peer}: {error!r}", flush=True)
                    continue
                minutes = (time.monotonic() - began_s) / 60
                print(
                    f"[{n_done}/{n_cells}, {minutes:.0f} min] {scenario.name} {seed} {shown(cell)}",
                    flush=True,
                )


def kept(scenario: Scenario, peers: list[str], n_seeds: int) -> Cells:
    """Return the cells of a scenario that are there, in the peers' order."""
    found: dict[tuple[str, int], runner.Cell] = {}
    for peer in peers_for(scenario, peers):
        for seed in range(1, n_seeds + 1):
            path = runner.Key(scenario.name, peer, seed).path
            if path.exists():
                cell = json.loads(path.read_text())
                if cell["fingerprint"] == runner.fingerprint(scenario):
                    found[peer, seed] = cell
    return found


def write(options: argparse.Namespace, argv: list[str], peers: list[str], n_seeds: int) -> None:
    """Write tables and pictures of all that is there."""
    scenarios = scenarios_of(options)
    cells = {scenario.name: kept(scenario, peers, n_seeds) for scenario in scenarios}
    if not any(cells.values()):
        raise BenchError("no run came to its end")
    RESULTS.mkdir(exist_ok=True)
    for scenario in scenarios:
        lines = {
            peer: cell["timeline"]
            for (peer, seed), cell in cells[scenario.name].items()
            if peer != runner.ALONE
            and cell["timeline"]
            and seed == seeds_of(cells[scenario.name], peer)[0]
        }
        if lines:
            picture.draw_png(lines, scenario, RESULTS / f"{options.name}-{scenario.name}.png")
            picture.draw_html(lines, scenario, RESULTS / f"{options.name}-{scenario.name}.html")
    versions = ", ".join(f"{name}: {PEERS[name]().version()}" for name in peers if name != "direct")
    commits = {cell["commit"] for found in cells.values() for cell in found.values()}
    head = (
        f"{n_seeds} seeds, the worst of them where a must is judged, the mean elsewhere; one "
        f"Governor configuration for all. {versions}. Measured at {', '.join(sorted(commits))}."
    )
    values = {
        name: [
            {"peer": peer, "seed": seed, "quantities": finite(cell["quantities"])}
            for (peer, seed), cell in found.items()
        ]
        for name, found in cells.items()
    }
    text = report.whole(scenarios, cells, head).replace("](storm-", f"]({options.name}-")
    save(options.name, " ".join(["storm", *argv]), text, {"cells": values})


def finite(found: dict[str, float]) -> dict[str, float | None]:
    """Return quantities as JSON knows them: what is infinite or missing is null."""
    return {key: value if math.isfinite(value) else None for key, value in found.items()}


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    options = arguments(argv)
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:26} {scenario.text}")
        return 0
    chosen = select(options.peers or (QUICK_PEERS if options.quick else DEFAULT_PEERS))
    peers = [peer.name for peer in chosen]
    n_seeds = options.seeds or (1 if options.quick else 3)
    if not options.report:
        run_all(scenarios_of(options), peers, n_seeds, options.resume)
    write(options, argv, peers, n_seeds)
    return 0
