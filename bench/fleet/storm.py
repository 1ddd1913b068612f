"""Scenarios of ``bench storm`` through one governor, three apart, three with one view.

*Rule of this file*: which cells, and the table with the ratio to a single governor's figures. The
scenarios are those of ``bench storm``; nothing of them is moved.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from math import isfinite
from pathlib import Path
from statistics import fmean

from bench.fleet.peer import FLEET_PEERS, FleetPeer
from bench.peers import PEERS
from bench.storm import runner
from bench.storm.base import Quantities
from bench.storm.catalogue import SCENARIOS

KEYS = (
    *("success_ratio", "goodput_hz", "recovery_s", "attempts_per_task", "refusals", "timeouts"),
    *("waste_ratio", "orphaned_work_ratio", "p50_s", "p99_s", "proxy_cpu_s"),
)


def row(name: str, cells: list[Quantities], alone: list[Quantities]) -> str:
    """Return a row: means over seeds, each with its ratio to a single governor's."""
    texts = []
    for key in KEYS:
        values = [x[key] for x in cells if key in x]
        if not values:
            texts.append("–")
            continue
        mean = fmean(values)
        base = fmean([x[key] for x in alone]) if alone else 0.0
        has_ratio = base != 0.0 and isfinite(mean + base)
        texts.append(f"{mean:.4g}" + (f" ({mean / base:.2f})" if has_ratio else ""))
    return f"| {name} | " + " | ".join(texts) + " |"


def main(argv: list[str]) -> int:
    """Measure and print; each cell takes as long as its scenario (40 to 60 s)."""
    parser = argparse.ArgumentParser(prog="python -m bench fleet storm", description=__doc__)
    parser.add_argument("--scenarios", default="stall,herd,noisy")
    parser.add_argument("--peers", default=",".join(FLEET_PEERS), help=", ".join(FLEET_PEERS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="cut scenarios short: to try the machinery")
    parser.add_argument("--all-cores", action="store_true", help="let governors use every core")
    parser.add_argument("--json", type=Path, help="write every figure there")
    options = parser.parse_args(argv)
    PEERS.update(FLEET_PEERS)
    FleetPeer.is_pinned = not options.all_cores
    by_name = dict(SCENARIOS)
    found: dict[str, dict[str, list[Quantities]]] = {}
    for name in options.scenarios.split(","):
        if name not in by_name:
            parser.error(f"no scenario {name!r}: there are {', '.join(by_name)}")
        cells = found[name] = {}
        scenario = by_name[name]
        if options.seconds is not None:
            scenario = replace(scenario, seconds=options.seconds, drain_s=1.0)
        print(f"\n### {name}\n\n| in front | " + " | ".join(KEYS) + " |")
        print("|" + "---|" * (len(KEYS) + 1), flush=True)
        for peer in options.peers.split(","):
            if peer not in FLEET_PEERS:
                parser.error(f"no peer {peer!r}: there are {', '.join(FLEET_PEERS)}")
            cells[peer] = [
                runner.measure(scenario, peer, 1 + seed)[0] for seed in range(options.seeds)
            ]
            print(row(peer, cells[peer], cells.get("governor-one", [])), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))
    return 0
