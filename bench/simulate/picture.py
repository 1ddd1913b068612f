"""The curves drawn: density, staleness, governed share.

*Rule of this file*: points in, a file out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import density
from bench.report import RESULTS
from bench.simulate.curves import N_SERVICES, Point

COLOURS = {
    "nothing in front": density.COLOURS["direct"],
    "governor": density.COLOURS["governor"],
    "share": density.COLOURS["governor"],
    "need": "#2e86c1",
    "sum": "#b8860b",
    "2,500 a service": "#2e86c1",
    "5,000 a service": "#8e44ad",
}


def _axes(width: float = 11.0, height: float = 4.3) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(1, 2, figsize=(width, height))


def _finish(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _dress(waste: Any, goodput: Any, what: str, *, is_log: bool) -> None:
    waste.set_ylabel("wasted share of upstream seconds, %")
    waste.set_ylim(-2, 102)
    goodput.set_ylabel("tasks done, % of capacity")
    goodput.set_ylim(-2, 112)
    goodput.axhline(100.0, color="grey", ls="--", lw=1)
    for panel in (waste, goodput):
        if is_log:
            panel.set_xscale("log")
        panel.set_xlabel(what)
        panel.grid(alpha=0.3)


def _line(panel: Any, points: Sequence[Point], key: str, **look: Any) -> None:
    panel.plot([p.at for p in points], [100 * getattr(p, key) for p in points], **look)


def of(points: Sequence[Point], curve: str) -> list[Point]:
    """Return one curve's points."""
    return [point for point in points if point.curve == curve]


def measured_density() -> dict[str, list[tuple[float, float, float]]]:
    """Return (agents, waste ratio, goodput over capacity) as measured on sockets, by peer."""
    path = RESULTS / "density.json"
    found: dict[str, list[tuple[float, float, float]]] = {"direct": [], "governor": []}
    for row in json.loads(path.read_text())["runs"] if path.exists() else ():
        q = row["quantities"]
        done = q["warm_goodput_hz"] / density.CAPACITY_HZ
        if row["peer"] in found:
            found[row["peer"]].append((row["agents"], q["waste_ratio"], done))
    return found


def draw_density(points: Sequence[Point], path: Path) -> None:
    """Draw the density curve, simulated as lines, sockets as crosses; all agents on top."""
    figure, (waste, goodput) = _axes()
    measured = measured_density()
    for curve, peer in (("nothing in front", "direct"), ("governor", "governor")):
        mine = of(points, curve)
        look = {"color": COLOURS[curve], "marker": "o", "ms": 4, "label": f"{curve}, simulated"}
        _line(waste, mine, "waste_ratio", **look)
        _line(goodput, mine, "goodput_ratio", **look)
        for panel, place in ((waste, 1), (goodput, 2)):
            panel.plot(
                [row[0] for row in measured[peer]],
                [100 * row[place] for row in measured[peer]],
                color=COLOURS[curve],
                ls="",
                marker="x",
                ms=9,
                label=f"{curve}, on sockets",
            )
    _dress(waste, goodput, "agents a service (40 slots of 0.1 s)", is_log=True)
    n_services = points[0].n_agents / points[0].at if points else N_SERVICES
    for panel in (waste, goodput):
        top = panel.secondary_xaxis(
            "top", functions=(lambda x: x * n_services, lambda x: x / n_services)
        )
        top.set_xlabel(f"agents in all, {n_services:,.0f} services")
    waste.legend(loc="upper left", fontsize=8)
    _finish(figure, path)


def draw_staleness(points: Sequence[Point], path: Path) -> None:
    """Draw goodput, waste and calls inside over the delay of the view, a line for each law."""
    figure, (goodput, inside) = _axes()
    for law, text in (
        ("need", "a share by calls in hand"),
        ("share", "a share by fresh demand"),
        ("sum", "the limit less the others'"),
    ):
        mine = of(points, law)
        look = {"color": COLOURS[law], "marker": "o", "ms": 4, "label": text}
        _line(goodput, mine, "goodput_ratio", **look)
        _line(inside, mine, "inside_ratio", **look)
        _line(goodput, mine, "waste_ratio", color=COLOURS[law], ls=":")
    _dress(inside, goodput, "delay of the shared view, s", is_log=True)
    goodput.set_ylabel("tasks done, % of capacity (dotted: wasted, %)")
    inside.set_ylabel("calls inside the service, % of its slots (mean)")
    inside.set_ylim(bottom=0, top=None)
    inside.autoscale(axis="y")
    inside.set_ylim(bottom=0)
    goodput.legend(loc="center left", fontsize=8)
    _finish(figure, path)


def draw_share(points: Sequence[Point], path: Path) -> None:
    """Draw waste and goodput over the share of agents that is governed."""
    figure, (waste, goodput) = _axes()
    for curve in ("2,500 a service", "5,000 a service"):
        load = next((p.load for p in of(points, curve)), 0.0)
        look = {"color": COLOURS[curve], "marker": "o", "ms": 4}
        for panel, key in ((waste, "waste_ratio"), (goodput, "goodput_ratio")):
            _line(panel, of(points, curve), key, label=f"{curve} ({load:.0%} load)", **look)
            exact = {"color": COLOURS[curve], "marker": "x", "ms": 9, "ls": ""}
            label = f"{curve}, with the real gate"
            _line(panel, of(points, f"{curve}, exact"), key, label=label, **exact)
    _dress(waste, goodput, "governed share of the agents", is_log=False)
    waste.legend(loc="upper right", fontsize=8)
    _finish(figure, path)
