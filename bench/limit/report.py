"""What the runs say: ratios to the oracle, gates, and a Markdown table.

*Rule of this file*: weak cells are printed like strong ones. A ratio is
goodput over the oracle's with the same seed: same arrivals, same works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.limit.cells import LIMITS, Cell

Figures = dict[tuple[Cell, str, int], dict[str, dict[str, float]]]

GATED = ("steady", "ramp", "stall", "herd")
MEAN_MIN, WORST_MIN, SEED_MIN = 0.95, 0.90, 0.80
DRIFT_MAX = 0.15

ORDER = (
    "steady",
    "ramp",
    "stall",
    "herd",
    "cold start",
    "cut",
    "slower",
    "low",
    "streams",
    "streams low",
)


@dataclass(frozen=True)
class Row:
    """One cell and window: the ratio of each seed."""

    window: str
    cell: Cell
    ratios: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return sum(self.ratios) / len(self.ratios)


def rows(figures: Figures, name: str) -> list[Row]:
    """Return the ratios to the oracle of limit ``name``, by cell and window."""
    found: dict[tuple[Cell, str], list[float]] = {}
    for (cell, limit, seed), windows in figures.items():
        if limit != name:
            continue
        oracle = figures.get((cell, "oracle", seed))
        if oracle is None:
            continue
        for window, values in windows.items():
            ratio = values["goodput_hz"] / max(1e-9, oracle[window]["goodput_hz"])
            found.setdefault((cell, window), []).append(ratio)
    return [Row(window, cell, tuple(x)) for (cell, window), x in sorted(found.items())]


def label(cell: Cell) -> str:
    """Return a cell in a few words."""
    return f"{cell.law}, {cell.slots}" if not cell.is_stream else f"{cell.slots}"


def _summary(some: list[Row]) -> str:
    mean = sum(row.mean for row in some) / len(some)
    worst = min(some, key=lambda row: row.mean)
    seed = min(min(row.ratios) for row in some)
    return f"{mean:.2f} ({worst.mean:.2f}; {seed:.2f})"


def comparison(figures: Figures) -> list[str]:
    """Return the table of all limits: mean (worst cell; worst seed) of goodput over oracle."""
    names = [x for x in LIMITS if x != "oracle" and any(k[1] == x for k in figures)]
    lines = [
        "| scenario | service | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    by_name = {name: rows(figures, name) for name in names}
    for window in ORDER:
        for kind in ("slots", "sharing"):
            cells = []
            for name in names:
                some = [x for x in by_name[name] if x.window == window and x.cell.kind == kind]
                if some:
                    cells.append(_summary(some))
            if cells:
                lines.append(f"| {window} | {kind} | " + " | ".join(cells) + " |")
    return lines


def detail(figures: Figures) -> list[str]:
    """Return every cell of ours beside the oracle."""
    lines = [
        "| scenario | service | law, slots | goodput/oracle (worst seed) | queue beyond slots "
        "| orphaned (oracle) | attempts (oracle) | failed (oracle) | held beside a free slot "
        "| p99 s (oracle) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows(figures, "ours"), key=lambda x: (_rank(x.window), x.cell)):
        ours = _mean(figures, row.cell, "ours", row.window)
        oracle = _mean(figures, row.cell, "oracle", row.window)
        lines.append(
            f"| {row.window} | {row.cell.kind} | {label(row.cell)} "
            f"| {row.mean:.2f} ({min(row.ratios):.2f}) | {ours['queue']:.2f} "
            f"| {ours['orphaned']:.3f} ({oracle['orphaned']:.3f}) "
            f"| {ours['attempts']:.2f} ({oracle['attempts']:.2f}) "
            f"| {ours['failed']:.3f} ({oracle['failed']:.3f}) | {ours['held_free']:.4f} "
            f"| {ours['p99_s']:.2f} ({oracle['p99_s']:.2f}) |"
        )
    return lines


def gates(figures: Figures) -> list[tuple[str, bool, str]]:
    """Return what must hold, whether it does, and the figures."""
    ours = rows(figures, "ours")
    found: list[tuple[str, bool, str]] = []
    for window in GATED:
        some = [x for x in ours if x.window == window and x.cell.kind == "slots"]
        if not some:
            continue
        mean = sum(x.mean for x in some) / len(some)
        worst = min(some, key=lambda x: x.mean)
        seed = min(some, key=lambda x: min(x.ratios))
        is_met = mean >= MEAN_MIN and worst.mean >= WORST_MIN and min(seed.ratios) >= SEED_MIN
        text = (
            f"mean {mean:.3f}, worst cell {worst.mean:.3f} ({label(worst.cell)}), "
            f"worst seed {min(seed.ratios):.3f} ({label(seed.cell)})"
        )
        found.append((f"{window}: mean >= 0.95, cell >= 0.90, seed >= 0.80", is_met, text))
    low = [
        (key[0], values["low"]["n_held_free"])
        for key, values in figures.items()
        if key[1] == "ours" and "low" in values
    ]
    if low:
        n_held = sum(n for _, n in low)
        found.append(
            ("50 % load after 5 s: none held beside a free slot", n_held == 0, f"{n_held:.0f} held")
        )
    drifts = [
        (abs(v["drift late"]["limit"] / v["drift early"]["limit"] - 1.0), key[0])
        for key, v in figures.items()
        if key[1] == "ours" and "drift late" in v
    ]
    if drifts:
        by_cell: dict[Cell, list[float]] = {}
        for drift, cell in drifts:
            by_cell.setdefault(cell, []).append(drift)
        worst_drift, cell = max((max(x), c) for c, x in by_cell.items())
        text = f"largest {worst_drift:.3f} ({cell.kind}, {label(cell)})"
        found.append(("200 s of 150 %: limit drifts < 15 %", worst_drift < DRIFT_MAX, text))
    return found


def _rank(window: str) -> int:
    return ORDER.index(window) if window in ORDER else len(ORDER)


def _mean(figures: Figures, cell: Cell, name: str, window: str) -> dict[str, float]:
    some = [v[window] for k, v in figures.items() if k[0] == cell and k[1] == name]
    return {key: sum(x[key] for x in some) / len(some) for key in some[0]}


def markdown(figures: Figures, n_seeds: int, note: str) -> str:
    """Return the whole report."""
    parts: Iterable[str] = (
        "# Adaptive limit on a virtual clock",
        "",
        note,
        "",
        "Goodput over the oracle's (a limit fixed at the true number of slots, changed with it): "
        f"mean over cells (worst cell; worst seed), {n_seeds} seeds "
        f"(256 slots: {max(1, n_seeds - 2)}).",
        "",
        *comparison(figures),
        "",
        "## What must hold",
        "",
        "| rule | met | measured |",
        "|---|---|---|",
        *(
            f"| {rule} | {'yes' if met else '**no**'} | {text} |"
            for rule, met, text in gates(figures)
        ),
        "",
        "## Every cell of ours",
        "",
        *detail(figures),
        "",
    )
    return "\n".join(parts)
