"""Plays each scenario for each number of workers and seed; writes the medians down."""

from __future__ import annotations

import argparse
from statistics import median

import bench.workers_storm
from bench.report import save, table
from bench.workers_storm.play import Storm
from bench.workers_storm.world import LAG_NS, LOOK_NS, MS


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="bench workers-storm", description=bench.workers_storm.__doc__
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=28)
    parser.add_argument("--workers", default="1,2,4")
    options = parser.parse_args(argv)
    numbers = [int(x) for x in options.workers.split(",")]
    samples: dict[str, list[dict[str, float]]] = {}
    parts = []
    for name in ("stall", "herd"):
        for n in numbers:
            for seed in range(1, options.seeds + 1):
                found = Storm(name, n, seed, options.seconds).run()
                samples.setdefault(f"{name}/{n}", []).append(found)
            print(f"  {name}, {n} workers: {samples[f'{name}/{n}'][-1]}", flush=True)
        rows = [[str(n), *map(show, zip_samples(samples[f"{name}/{n}"]))] for n in numbers]
        head = ["workers", *samples[f"{name}/{numbers[0]}"][0]]
        parts.append(f"**{name}**\n\n{table(head, rows)}")
    title = (
        f"Medians over {options.seeds} seeds, and the range; {options.seconds} s on a made-up "
        f"time axis; a record takes {LAG_NS / MS} ms where a bell is rung, else up to "
        f"{LOOK_NS // MS} ms."
    )
    data = {"options": vars(options), "samples": samples}
    text = "\n\n".join([title, *parts])
    save("workers-storm", " ".join(["workers-storm", *argv]), text, data)
    return 0


def zip_samples(samples: list[dict[str, float]]) -> list[list[float]]:
    """Return each quantity over the seeds."""
    return [[sample[key] for sample in samples] for key in samples[0]]


def show(values: list[float]) -> str:
    """Return the median and the range."""
    return f"{median(values):.4g} ({min(values):.4g}–{max(values):.4g})"
