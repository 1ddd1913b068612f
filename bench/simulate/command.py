"""The command: what is simulated, and where it is written.

*Rule of this file*: arguments, files and the order of the page. A run replaces the sections that it
makes and keeps the others, so that the page can be made in parts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bench.children import BenchError
from bench.report import RESULTS, revision, save
from bench.simulate import check, curves, page, picture, scale
from bench.simulate.curves import Point

CURVES = ("check", "density", "staleness", "share", "cost")
NAME = "simulate"

Section = tuple[str, list[dict[str, Any]]]
"""Markdown, and the values behind it."""


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def make_check(options: argparse.Namespace) -> Section:
    """Hold the exact tier against the sockets and the scale tier against the exact one."""
    if options.quick:
        wanted = ("density-1000", "density-2000", "density-3000")
        sockets, left_out = check.against_sockets(say, 0, wanted)
        tiers = check.against_exact(say, 1, ((2_000, 1.0), (3_000, 1.0), (3_000, 0.0)))
    else:
        sockets, left_out = check.against_sockets(say)
        tiers = check.against_exact(say)
    text = page.check_section(sockets, left_out, tiers)
    return text, [asdict(pair) for pair in (*sockets, *tiers)]


def make_density(options: argparse.Namespace) -> Section:
    """Play the density curve."""
    points = curves.density_curve(say, is_quick=options.quick, most=options.agents)
    is_whole = options.agents >= curves.MILLION and not options.quick
    millions = curves.million_rows(say) if is_whole else []
    path = RESULTS / f"{options.name}-density.png"
    picture.draw_density(points, path)
    return page.density_section(points, millions, path.name), values(points + millions)


def make_staleness(options: argparse.Namespace) -> Section:
    """Play the staleness curve."""
    points = curves.staleness_curve(say, is_quick=options.quick)
    path = RESULTS / f"{options.name}-staleness.png"
    picture.draw_staleness(points, path)
    unshared = curves.unshared_points(say, is_quick=options.quick)
    text = page.staleness_section(points, path.name, unshared)
    return text, values(points + unshared)


def make_share(options: argparse.Namespace) -> Section:
    """Play the governed share's curve."""
    points = curves.share_curve(say, is_quick=options.quick)
    path = RESULTS / f"{options.name}-share.png"
    picture.draw_share(points, path)
    return page.share_section(points, path.name), values(points)


def make_cost(options: argparse.Namespace) -> Section:
    """Reckon the cost."""
    return page.cost_section(), []


MAKERS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "check": make_check,
    "density": make_density,
    "staleness": make_staleness,
    "share": make_share,
    "cost": make_cost,
}


def values(points: list[Point]) -> list[dict[str, Any]]:
    """Return points as plain values."""
    return [asdict(point) for point in points]


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench simulate", description=__doc__)
    parser.add_argument("--curve", default="all", help=f"all, or of {', '.join(CURVES)}")
    parser.add_argument(
        "--agents", type=int, default=curves.MILLION, help="at most so many on the density curve"
    )
    parser.add_argument("--quick", action="store_true", help="small fleets, one seed")
    parser.add_argument("--name", default=NAME, help="of the files in bench/results")
    return parser.parse_args(argv)


def chosen(words: str) -> list[str]:
    """Return the curves that are named, in the order of the page."""
    names = list(CURVES) if words == "all" else words.split(",")
    unknown = [name for name in names if name not in CURVES]
    if unknown:
        raise BenchError(f"unknown curve {unknown[0]!r}: choose from all, {', '.join(CURVES)}")
    return [name for name in CURVES if name in names]


def main(argv: list[str]) -> int:
    """Run the command."""
    options = arguments(argv)
    names = chosen(options.curve)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{options.name}.json"
    sections: dict[str, dict[str, Any]] = {}
    if path.exists():
        sections = json.loads(path.read_text()).get("sections", {})
    if names != ["cost"]:
        scale.warm_up()
    for name in names:
        say(f"{name}:")
        text, rows = MAKERS[name](options)
        made = f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, commit {revision()}"
        sections[name] = {"text": text, "made": made, "rows": rows}
        path.write_text(json.dumps({"sections": sections}) + "\n")  # a long run may be cut short
    parts = [
        f"{sections[name]['text']}\n\n(This part: {sections[name].get('made', 'before')}.)"
        for name in CURVES
        if name in sections
    ]
    save(options.name, " ".join([NAME, *argv]), "\n\n".join(parts), {"sections": sections})
    return 0
