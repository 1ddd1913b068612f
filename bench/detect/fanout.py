"""Fan-out: how soon an exploding tree is flagged, and whether a recorded one ever is.

*Rule of this file*: trees, real and made, through the detector's own functions
(:mod:`signals.fanout`), in virtual time.

*Made trees*: 1 -> 20 -> 100. The root's call has been answered; its twenty
children's first calls follow each other by Exp(gap); each child waits
Exp(five gaps) and then makes four of its own, by Exp(gap). Calls take a
lognormal time (sigma 0.5). "Slow" is a gap of exactly 3 s.

Nothing was tuned here: the threshold is the study's, fixed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from bench.detect.base import Options, Section, claim
from bench.detect.traces import FILES, read
from bench.report import table
from governor.core.identity import IdentityTable
from signals.fanout import EXPLOSION_LIVE, join_tree, list_explosions, part_from_tree
from signals.state import EPOCH_NS, Records
from signals.trees import make_agents, make_fanout, make_trees

Floats = npt.NDArray[np.float64]

FLEET = "Claude Code, fleet of 6 h"
RECORDINGS = {
    "Claude Code, sessions": "claude_code_sessions.csv.gz",
    FLEET: FILES["claude"],
    "Nezha 2022-08-22": FILES["nezha0822"],
    "Nezha 2023-01-29": FILES["nezha0129"],
}
QUANTILES = (0.5, 0.95, 0.99, 0.999, 1.0)
SLOW_GAP_S = 3.0
SIGMA = 0.5
LEVELS = (8, 12, 16)
FEW_PLACES = 640
"""Of a table that must give places away while Nezha's 7 new trees a second pass through it."""


class Calls(NamedTuple):
    """Calls of trees: when, for how long, whose; in order of time."""

    t_s: Floats
    latency_s: Floats
    tree: npt.NDArray[np.int64]


class Seen(NamedTuple):
    """What the detector made of some calls."""

    n_explosions: int
    largest: int
    flagged_s: list[float]
    n_overflowed: int = 0


def play(calls: Calls, table_size: int = 0) -> Seen:
    """Let the detector see arrivals and ends in order; ``table_size`` bounds the identity table."""
    n = len(calls.t_s)
    places = IdentityTable("tree", table_size) if table_size else None
    size = table_size or int(calls.tree.max()) + 1
    fanout, trees, agents = make_fanout(), make_trees(size), make_agents(2)
    ends_s = calls.t_s + np.nan_to_num(calls.latency_s, nan=0.0)
    instants = np.concatenate([ends_s, calls.t_s])  # at one instant, ends come first
    order = np.argsort(instants, kind="stable")
    at_ns = (instants * 1e9).astype(np.int64)
    found = [0] * n
    largest = 0
    for event in order.tolist():
        now_ns = int(at_ns[event])
        call = event % n
        if event >= n:
            tree = int(calls.tree[call])
            if places is not None:
                tree = places.index(tree, now_ns)
                places.n_open[tree] += 1
            found[call] = tree
            join_tree(fanout, trees, agents, EPOCH_NS + now_ns, tree, 1, 0)
            largest = max(largest, int(trees[tree]["live"]))
        else:
            if places is not None:
                places.n_open[found[call]] -= 1
            part_from_tree(fanout, trees, EPOCH_NS + now_ns, found[call])
    return Seen(
        int(fanout[0]["n_explosions"]),
        largest,
        flags(fanout),
        places.n_overflowed if places is not None else 0,
    )


def flags(fanout: Records) -> list[float]:
    """Return the instants of the explosions remembered, the first first."""
    return [-explosion.age_s for explosion in reversed(list_explosions(fanout, EPOCH_NS))]


# -- recorded trees --------------------------------------------------------------


def most_within(t_s: Floats, width_s: float) -> int:
    """Return the most instants in any window of this width."""
    stops = np.searchsorted(t_s, t_s + width_s, side="left")
    return int((stops - np.arange(len(t_s))).max())


def most_live(t_s: Floats, latency_s: Floats) -> int:
    """Return the most calls alive at once."""
    steps = np.concatenate([np.ones(len(t_s)), -np.ones(len(t_s))])
    order = np.lexsort((steps, np.concatenate([t_s, t_s + latency_s])))
    return int(np.cumsum(steps[order]).max())


def measure_trees(calls: Calls) -> dict[str, list[float]]:
    """Return quantiles over trees of calls, calls in 1 s and 10 s, and live calls at once."""
    order = np.argsort(calls.tree, kind="stable")
    borders = np.flatnonzero(np.diff(calls.tree[order])) + 1
    rows = []
    for part in np.split(order, borders):
        t_s = calls.t_s[part]
        latency_s = np.nan_to_num(calls.latency_s[part], nan=0.0)
        live = most_live(t_s, latency_s)
        rows.append((len(part), most_within(t_s, 1.0), most_within(t_s, 10.0), live))
    found = np.quantile(np.array(rows, float), QUANTILES, axis=0, method="higher")
    names = ("calls", "in 1 s", "in 10 s", "live at once")
    return {name: found[:, idx].tolist() for idx, name in enumerate(names)} | {"n": [len(rows)]}


def recorded(folder: Path | None, quick: bool) -> dict[str, Calls]:
    """Return the recordings with trees that are present."""
    traces = {}
    for name, file in RECORDINGS.items():
        if folder is not None and (folder / file).exists():
            traces[name] = read(folder / file, name)  # as recorded: holes do not matter to trees
    found = {}
    for name, trace in traces.items():
        part = trace.at(np.arange(min(len(trace), 20_000 if quick else len(trace))))
        found[name] = Calls(part.t_s, part.latency_s, part.tree)
    return found


def as_row(name: str, measured: dict[str, list[float]], seen: Seen) -> list[str]:
    """Return one line of the table of recorded trees."""
    quantiles = [
        "/".join(f"{x:.0f}" for x in measured[key])
        for key in ("calls", "in 1 s", "in 10 s", "live at once")
    ]
    return [name, f"{measured['n'][0]:,.0f}", *quantiles, str(seen.n_explosions)]


# -- made trees ------------------------------------------------------------------


def grow(
    rng: np.random.Generator, gap_s: float, call_s: float, is_even: bool, n_children: int = 20
) -> Calls:
    """Return the calls of one tree 1 -> 20 -> 100, without the root's; the first child at 0."""

    def gaps(n: int) -> Floats:
        return np.full(n, gap_s) if is_even else rng.exponential(gap_s, n)

    children = np.cumsum(gaps(n_children)) - 0.0
    children -= children[0]
    waits = np.full(n_children, gap_s) if is_even else rng.exponential(5.0 * gap_s, n_children)
    below = [child + wait + np.cumsum(gaps(4)) for child, wait in zip(children, waits, strict=True)]
    t_s = np.sort(np.concatenate([children, *below]))
    latency_s = rng.lognormal(np.log(call_s), SIGMA, len(t_s))
    return Calls(t_s, latency_s, np.ones(len(t_s), np.int64))


def first_reach(calls: Calls, level: int) -> float:
    """Return when so many calls were first alive at once; NaN if never."""
    ends_s = calls.t_s + calls.latency_s
    for idx, now_s in enumerate(calls.t_s):
        if (ends_s[: idx + 1] > now_s).sum() >= level:
            return float(now_s)
    return float("nan")


SHAPES = (
    ("children 2 ms apart", 0.002, False),
    ("children 20 ms apart", 0.02, False),
    ("children 0.2 s apart", 0.2, False),
    ("children 3 s apart", SLOW_GAP_S, True),
)


def explode(seeds: Sequence[int], n_trees: int) -> list[dict[str, Any]]:
    """Return, for each shape and length of calls, what was flagged and how soon."""
    found = []
    for name, gap_s, is_even in SHAPES:
        for call_s in (0.1, 1.0, 6.0):
            delays, peaks, reached = [], [], []
            for seed in seeds:
                rng = np.random.default_rng(seed)
                for _ in range(n_trees):
                    calls = grow(rng, gap_s, call_s, is_even)
                    seen = play(calls)
                    peaks.append(seen.largest)
                    delays += seen.flagged_s[:1]
                    reached.append([first_reach(calls, level) for level in LEVELS])
            at = np.array(reached)
            has = [at[~np.isnan(at[:, k]), k] for k in range(len(LEVELS))]
            found.append(
                {
                    "shape": name,
                    "call_s": call_s,
                    "n": len(peaks),
                    "flagged": len(delays),
                    "peak": [int(min(peaks)), int(max(peaks))],
                    "delay_s": [float(x) for x in np.quantile(delays, (0.5, 1.0))]
                    if delays
                    else [],
                    "levels_s": [float(np.median(x)) if len(x) else None for x in has],
                }
            )
    return found


def by_design(seeds: Sequence[int], n_trees: int) -> dict[str, Any]:
    """Return what the two rules say of an agent that runs ten children at once by design."""
    n_eight = n_twelve = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for _ in range(n_trees):
            t_s = np.sort(rng.exponential(0.02, 10).cumsum())
            calls = Calls(t_s, rng.lognormal(np.log(6.0), SIGMA, 10), np.ones(10, np.int64))
            n_eight += not np.isnan(first_reach(calls, 8))
            n_twelve += play(calls).n_explosions > 0
    return {"n": len(seeds) * n_trees, "live >= 8": n_eight, "live >= 12": n_twelve}


# -- the section -----------------------------------------------------------------


def draw(seed: int) -> go.Figure:
    """Draw the live calls of one tree of each speed."""
    figure = go.Figure()
    for name, gap_s, is_even in SHAPES:
        calls = grow(np.random.default_rng(seed), gap_s, 6.0, is_even)
        instants = np.concatenate([calls.t_s, calls.t_s + calls.latency_s])
        steps = np.concatenate([np.ones(len(calls.t_s)), -np.ones(len(calls.t_s))])
        order = np.argsort(instants)
        live = np.cumsum(steps[order])
        figure.add_scatter(x=instants[order] + 1e-3, y=live, name=name, line_shape="hv")
    figure.add_hline(
        y=EXPLOSION_LIVE,
        line_dash="dash",
        annotation_text="explosion: 12",
        annotation_position="top left",
    )
    figure.add_hline(
        y=5,
        line_dash="dot",
        annotation_text="most of any recorded tree: 5",
        annotation_position="bottom left",
    )
    figure.update_xaxes(type="log", title="seconds since the first child")
    figure.update_yaxes(title="live calls of the tree")
    figure.update_layout(title="1 → 20 → 100, calls of 6 s", template="plotly_white")
    return figure


def explosions_table(found: list[dict[str, Any]]) -> str:
    """Return the table of made trees."""
    rows = []
    for x in found:
        delay = [f"{s * 1e3:,.0f} ms" if s < 1.0 else f"{s:.1f} s" for s in x["delay_s"]]
        levels = "/".join("–" if s is None else f"{s * 1e3:,.0f}" for s in x["levels_s"])
        rows.append(
            [
                x["shape"],
                f"{x['call_s']:g} s",
                "{}–{}".format(*x["peak"]),
                f"{x['flagged']} of {x['n']}",
                *(delay or ["–", "–"]),
                levels,
            ]
        )
    head = ["1 → 20 → 100", "calls take", "live at most", "flagged", "median", "latest"]
    return table([*head, "to 8/12/16 live, ms, median"], rows)


def judge(found: list[dict[str, Any]], n_false: int, present: int, quick: bool) -> list[list[Any]]:
    """Return the claims."""
    fast = [x for x in found if x["shape"] == SHAPES[0][0]]
    slow = next(x for x in found if x["shape"] == SHAPES[-1][0] and x["call_s"] == 6.0)
    is_all = all(x["flagged"] == x["n"] for x in fast)
    latest_s = max(x["delay_s"][-1] for x in fast if x["delay_s"])
    is_slow_met = slow["flagged"] == slow["n"]
    slow_text = f"{slow['flagged']} of {slow['n']}"
    if slow["delay_s"]:
        slow_text += " after {:.0f} s (median), {:.0f} s (latest)".format(*slow["delay_s"])
    return [
        claim(
            "1→20→100 (children 2 ms apart), from its first child to the flag",
            "≤ 50 ms",
            f"≤ {latest_s * 1e3:.0f} ms",
            is_all and latest_s <= 0.05,
        ),
        claim("the same with children 3 s apart", "flagged, delay stated", slow_text, is_slow_met),
        claim(
            "recorded trees of Claude Code and Nezha flagged",
            "none",
            str(n_false) if present == 4 else f"{n_false} ({present} of 4 recordings present)",
            n_false == 0 if present == 4 and not quick else None,
        ),
    ]


def run(options: Options) -> Section:
    """Measure made trees and recorded ones."""
    n_trees = 5 if options.quick else 100
    found = explode(options.report_seeds, n_trees)
    design = by_design(options.report_seeds, n_trees)
    rows, data = [], {}
    n_false = 0
    traces = recorded(options.traces, options.quick)
    for name, calls in traces.items():
        measured, seen = measure_trees(calls), play(calls)
        few = play(calls, FEW_PLACES)
        n_false += seen.n_explosions + few.n_explosions
        rows.append([*as_row(name, measured, seen), f"{few.n_explosions} ({few.n_overflowed})"])
        data[name] = {"quantiles": measured, "seen": seen._asdict(), "few": few._asdict()}
    shared = None
    if (fleet := traces.get(FLEET)) is not None:
        shared = play(fleet._replace(tree=np.ones(len(fleet.tree), np.int64)))
    head = ["trees", "n", "calls", "in 1 s", "in 10 s", "live at once", "flagged"]
    recorded_table = table([*head, f"with {FEW_PLACES} places (overflowed)"], rows) if rows else ""
    text = [
        f"Flag: {EXPLOSION_LIVE} calls of one tree alive at once. It is raised with the arrival "
        "that makes them so many; the readings show it at the next tick, up to 50 ms later.",
        "### Trees that explode",
        explosions_table(found),
        "The delay is the pace: twelve calls must have begun. Calls that are over before the next "
        "ones begin never add up, and are no more load than a sequential tree's.",
        "### Recorded trees (quantiles .5/.95/.99/.999/max)",
        recorded_table or "*Traces not present.*",
        "### Considered: 8 alive and a quarter of the upstream's calls",
        f"An agent that runs ten children at once by design ({design['n']} trees): "
        f"{design['live >= 8']} reach 8 alive, {design['live >= 12']} are flagged at 12. "
        "On an upstream that nobody else uses the quarter is always there, so the rule would flag "
        "them, for the milliseconds between the columns of the first table. Not adopted.",
    ]
    if shared is not None:
        text.append(
            "### What it cannot tell\n\nA fleet that shares one name is one tree on the wire: "
            f"all sessions of the fleet under one key have up to {shared.largest} calls alive and "
            f"are flagged {shared.n_explosions} times in 6 h."
        )
    claims = judge(found, n_false, len(traces), options.quick)
    whole = {"claims": claims, "made": found, "design": design, "recorded": data}
    if shared is not None:
        whole["one name for a fleet"] = shared._asdict()
    return Section("Fan-out", "\n\n".join(text), whole, [("fanout", draw(options.report_seeds[0]))])
