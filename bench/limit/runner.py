"""Spread cells over processes, longest first, with progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from bench.limit.cells import LIMITS, Cell, run_cell
from bench.limit.report import Figures


def jobs_of(
    cells: Iterable[Cell], limits: Sequence[str], n_seeds: int
) -> list[tuple[Cell, str, int]]:
    """Return every run, those that take longest first."""
    jobs = [
        (cell, name, seed)
        for cell in cells
        for name in limits_of(cell, limits)
        for seed in range(n_seeds_of(cell, n_seeds))
    ]
    return sorted(jobs, key=lambda job: (-job[0].slots, job[0], job[1], job[2]))


def limits_of(cell: Cell, limits: Sequence[str]) -> list[str]:
    """Return the limits that a cell is run with: the largest without peers in some scenarios."""
    has_peers = cell.slots < 256 or cell.scenario in ("steady", "stall", "streams")
    return [name for name in limits if has_peers or name in ("oracle", "ours")]


def n_seeds_of(cell: Cell, n_seeds: int) -> int:
    """Return how many seeds a cell gets: the largest services vary least and cost most."""
    return max(1, n_seeds - 2) if cell.slots >= 256 else n_seeds


def run_all(
    cells: Iterable[Cell], n_seeds: int, n_jobs: int, limits: Sequence[str] = LIMITS
) -> Figures:
    """Run all cells; print progress on stderr."""
    jobs = jobs_of(cells, limits, n_seeds)
    figures: Figures = {}
    started_s = time.monotonic()
    weight_all = sum(job[0].slots + 8 for job in jobs)
    weight = 0
    with ProcessPoolExecutor(max_workers=n_jobs) as pool:
        futures = [pool.submit(run_cell, job) for job in jobs]
        for n_done, future in enumerate(as_completed(futures), 1):
            job, windows = future.result()
            figures[job] = windows
            weight += job[0].slots + 8
            elapsed_s = time.monotonic() - started_s
            left_s = elapsed_s * (weight_all - weight) / weight
            print(
                f"\r{n_done}/{len(jobs)} runs, {elapsed_s:.0f} s, about {left_s:.0f} s left   ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    return figures
