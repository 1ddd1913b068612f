"""``python -m bench limit``: the adaptive limit on a virtual clock, beside an oracle and peers.

The real gate with its dispatcher and reservations, and a modelled service and
modelled callers. Nothing here opens a socket or sleeps.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from bench.limit.cells import LIMITS, all_cells, quick_cells
from bench.limit.report import Figures, gates, markdown
from bench.limit.runner import run_all
from bench.report import machine, revision

RESULTS = Path(__file__).resolve().parent.parent / "results"

NOTE = (
    "Simulated: the project's real gate, dispatcher and reservations on a virtual clock, before "
    "a modelled service (hard slots with a FIFO queue, processor sharing, long streams). Mean "
    "service 0.1 s (bimodal: 90 % 0.02 s, 10 % 2 s), callers leave after 2 s (bimodal 10 s, "
    "streams 60 s) and repeat twice as the OpenAI SDK does; abandoned work keeps its lease. "
    "All limits get the same gate, line and slots; all hold instead of rejecting."
)


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m bench limit", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs per cell (default 3)")
    parser.add_argument("--quick", action="store_true", help="a few cells, under a minute")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--only", default="", help="scenarios, comma-separated")
    parser.add_argument("--limits", default=",".join(LIMITS), help="limits, comma-separated")
    parser.add_argument("--json", type=Path, help="write every figure there")
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results")
    return parser.parse_args(argv)


def as_json(figures: Figures) -> str:
    """Return every figure, one object per run."""
    return json.dumps(
        [
            {"scenario": c.scenario, "service": c.kind, "law": c.law, "slots": c.slots}
            | {"limit": name, "seed": seed, "windows": windows}
            for (c, name, seed), windows in sorted(figures.items())
        ],
        indent=1,
    )


def main(argv: list[str]) -> int:
    """Run the comparison, print and write the report; 1 if a rule is broken."""
    options = parse(argv)
    os.nice(10)
    cells = list(quick_cells() if options.quick else all_cells())
    if options.only:
        wanted = options.only.split(",")
        cells = [cell for cell in cells if cell.scenario in wanted]
    n_seeds = 1 if options.quick else options.seeds
    figures = run_all(cells, n_seeds, options.jobs, options.limits.split(","))
    text = markdown(figures, n_seeds, f"{NOTE}\n\nRevision {revision()}, {machine()}.")
    print(text)
    if not options.no_save and not options.quick and not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "limit.md").write_text(text)
    if options.json is not None:
        options.json.write_text(as_json(figures))
    return 0 if all(is_met for _, is_met, _ in gates(figures)) else 1
