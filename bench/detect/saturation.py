"""Saturation: is the capacity right, and are the seconds to it honest?

Open-loop Poisson callers at one service of C places (:mod:`bench.detect.loads`):

- *Capacity by load*: what is known or proven after 60 s of steady load, over the truth.
- *Ramps*: demand from 40 to 110 % within 30-120 s; the seconds said while demand is 5-30 s away
  from capacity, against the truth; whether the 90 % interval holds it. Once with capacity never
  met before (a lower bound), once after an overload of 20 s has taught it.
- *Recorded traffic* at a service of twice its busiest ten seconds: it is never saturated.
- *Shapes of calls*: streams of 20-60 s with a first byte after 0.5 s, calls of 30 s, heavy tails.

The constants of the trend were chosen on even seeds; all figures are of odd ones.
"""

from __future__ import annotations

from random import Random
from statistics import median
from typing import Any

import numpy as np

from bench.detect.base import Options, Section, claim
from bench.detect.loads import SERVICE_S, Kind, Rate, make_arrivals, play, serve
from bench.detect.traces import ORGANIC, load
from bench.report import table
from signals import Reading, Shared, SignalBank
from signals.state import NOT_IN_SIGHT_S

PLACES = (4, 16, 64)
LOADS = (0.3, 0.5, 0.7, 0.85, 0.95)
RAMPS_S = (30.0, 60.0, 120.0)
FROM, TO = 0.4, 1.1
NEAR_S, FAR_S = 5, 30
SETTLE_S = 60.0
SPEED = 10.0
SOON_S = 30.0
N_TRACE = 20_000
"""Recorded traffic: how fast, what counts as said, and how many calls of each."""

ORDINARY = Kind()
HEAVY = Kind(sigma=1.5)
STREAMS = Kind(first_s=0.5, stream_s=(20.0, 60.0))
MINUTES = Kind(first_s=30.0)


def watch(
    places: int, kind: Kind, rate: Rate, peak_hz: float, end_s: float, seed: int
) -> list[dict[str, Reading]]:
    """Return the readings of every second of one run."""
    random = Random(seed * 1_000 + places)
    arrivals = [(at_s, 1) for at_s in make_arrivals(random, rate, peak_hz, end_s)]
    bank = SignalBank(8, Shared(65_536))
    return [readings for _, readings in play(bank, serve(random, arrivals, places, kind), end_s)]


def measure_load(places: int, kind: Kind, share: float, end_s: float, seed: int) -> dict[str, Any]:
    """Return capacity over truth after steady load, and whether it was known."""
    truth_hz = places / kind.hold_s
    last = watch(places, kind, lambda _: share * truth_hz, share * truth_hz, end_s, seed)[-1]
    return {
        "places": places,
        "load": share,
        "seed": seed,
        "ratio": last["capacity"].value / truth_hz,
        "is_known": int(last["capacity_known"].value),
        "is_ready": int(last["capacity"].is_ready),
    }


def measure_ramp(places: int, ramp_s: float, is_taught: bool, seed: int) -> list[dict[str, Any]]:
    """Return, for each second while the crossing is near, what was said and what was true."""
    truth_hz = places / SERVICE_S
    starts_s = 160.0 if is_taught else SETTLE_S

    def rate(at_s: float) -> float:
        if is_taught and 30.0 <= at_s < 50.0:
            return 1.2 * truth_hz
        share = min(max(at_s - starts_s, 0.0) / ramp_s, 1.0)
        return (FROM + (TO - FROM) * share) * truth_hz

    crosses_s = starts_s + ramp_s * (1.0 - FROM) / (TO - FROM)
    seconds = watch(places, ORDINARY, rate, 1.2 * truth_hz, crosses_s, seed)
    found = []
    for second, readings in enumerate(seconds, 1):
        ahead_s = crosses_s - second
        if not NEAR_S <= ahead_s <= FAR_S or second < starts_s + 8.0:
            continue
        said_s = readings["seconds_to_saturation"].value
        found.append(
            {
                "places": places,
                "ramp_s": ramp_s,
                "is_taught": int(is_taught),
                "seed": seed,
                "ahead_s": ahead_s,
                "said_s": said_s,
                "is_held": int(
                    readings["saturation_earliest"].value
                    <= ahead_s
                    <= readings["saturation_latest"].value
                ),
                "is_known": int(readings["capacity_known"].value),
            }
        )
    return found


def list_loads(options: Options) -> tuple[str, list[dict[str, Any]]]:
    """Capacity over truth by load and by shape of call."""
    seeds = options.report_seeds[:1] if options.quick else options.report_seeds
    worlds = [(f"{c} places", c, ORDINARY, 60.0) for c in PLACES]
    worlds += [("16 places, heavy tails", 16, HEAVY, 60.0)]
    if not options.quick:
        worlds += [("64 places, streams", 64, STREAMS, 600.0), ("16, minutes", 16, MINUTES, 900.0)]
    found, rows = [], []
    for name, places, kind, end_s in worlds:
        row = [name]
        for share in LOADS:
            runs = [measure_load(places, kind, share, end_s, seed) for seed in seeds]
            found += [{**run, "world": name} for run in runs]
            ratios = [run["ratio"] for run in runs if run["is_ready"]]
            n_known = sum(run["is_known"] for run in runs)
            low, high = (min(ratios), max(ratios)) if ratios else (0.0, 0.0)
            row.append(f"{low:.2f}-{high:.2f}" + (f" ({n_known})" if n_known else ""))
        rows.append(row)
    text = (
        "### Capacity over truth, by load\n\nLeast and greatest of the runs after 60 s (streams "
        "10 min, minutes 15 min); in brackets how many runs called it known.\n\n"
    )
    return text + table(["world", *(f"{load:.0%}" for load in LOADS)], rows), found


def list_ramps(options: Options) -> tuple[str, list[dict[str, Any]]]:
    """Errors and coverage of the seconds to saturation."""
    seeds = options.report_seeds[:1] if options.quick else (*options.report_seeds, 7, 9)
    ramps_s = RAMPS_S[:1] if options.quick else RAMPS_S
    found, rows = [], []
    for is_taught in (False, True):
        for places in PLACES:
            for ramp_s in ramps_s:
                runs = [x for s in seeds for x in measure_ramp(places, ramp_s, is_taught, s)]
                found += runs
                said = [x for x in runs if x["said_s"] < NOT_IN_SIGHT_S]
                off = [(x["said_s"] - x["ahead_s"]) / x["ahead_s"] for x in said]
                rows.append(
                    [
                        "taught before" if is_taught else "never met",
                        places,
                        f"{ramp_s:.0f}",
                        f"{len(said) / max(len(runs), 1):.0%}",
                        f"{median(off):+.2f}" if off else "-",
                        f"{median(map(abs, off)):.2f}" if off else "-",
                        f"{sum(x['is_held'] for x in runs) / max(len(runs), 1):.0%}",
                        f"{sum(x['is_known'] for x in runs) / max(len(runs), 1):.0%}",
                    ]
                )
    text = "\n\n### Seconds to saturation, 5 to 30 s before it\n\n" + table(
        [
            "capacity",
            "places",
            "ramp s",
            "said",
            "median error",
            "median |error|",
            "interval holds",
            "known",
        ],
        rows,
    )
    return text, found


def list_traces(options: Options) -> tuple[str, list[dict[str, Any]]]:
    """What is said, wrongly, on recorded traffic that a service can easily bear."""
    found, rows = [], []
    for name in ORGANIC[:1] if options.quick else ORGANIC:
        trace = load(options.traces, name)
        if trace is None:
            continue
        times = (trace.t_s - trace.t_s[0]) / SPEED
        times = times[: N_TRACE // 4 if options.quick else N_TRACE]
        busiest_hz = np.bincount((times / 10.0).astype(np.int64)).max() / 10.0
        places = max(4, round(2.0 * busiest_hz * SERVICE_S))
        random = Random(1)
        events = serve(random, [(float(t), 1) for t in times], places, ORDINARY)
        bank = SignalBank(8, Shared(65_536))
        n_saturated = n_soon = n_seconds = 0
        for _, readings in play(bank, events, float(times[-1])):
            n_seconds += 1
            n_saturated += readings["saturated"].value > 0.0
            soon = readings["seconds_to_saturation"]
            n_soon += soon.is_ready and soon.value < SOON_S
        load_ratio = len(times) / n_seconds / (places / SERVICE_S)
        row = {
            "trace": name,
            "hours": n_seconds / 3_600.0,
            "places": places,
            "load": load_ratio,
            "saturated_s": n_saturated,
            "soon_s": n_soon,
        }
        found.append(row)
        rows.append(
            [
                name,
                f"{row['hours']:.2f}",
                places,
                f"{load_ratio:.2f}",
                n_saturated,
                n_soon,
            ]
        )
    text = (
        f"\n\n### Recorded traffic, {SPEED:.0f} times as fast\n\nA service of twice the busiest "
        "ten seconds: it is never saturated. Seconds in which it was called saturated, or demand "
        "said to meet its capacity (mostly a lower bound, then) within 30 s.\n\n"
    )
    head = ["trace", "hours", "places", "mean load", "called saturated", "said within 30 s"]
    return text + table(head, rows), found


def run(options: Options) -> Section:
    """Run the section."""
    load_text, loads = list_loads(options)
    ramp_text, ramps = list_ramps(options)
    trace_text, traces = list_traces(options)
    taught = [x for x in ramps if x["is_taught"] and x["is_known"]]
    held = sum(x["is_held"] for x in taught) / max(len(taught), 1)
    ordinary = [x for x in loads if "tails" not in x["world"] and x["is_ready"]]
    over = max(x["ratio"] for x in ordinary)
    claims = [
        claim(
            "interval of the seconds to saturation, capacity known",
            "holds the truth in 90 %",
            f"{held:.0%}",
            None if options.quick or not taught else held >= 0.85,
        ),
        claim(
            "capacity over truth at steady load",
            "never far above: <= 1.25",
            f"{over:.2f}",
            None if options.quick else over <= 1.25,
        ),
    ]
    n_saturated = sum(x["saturated_s"] for x in traces)
    claims.append(
        claim(
            "recorded traffic at half of capacity is called saturated",
            "never",
            f"{n_saturated} s of {sum(x['hours'] for x in traces):.1f} h",
            None if options.quick or not traces else n_saturated == 0,
        )
    )
    return Section(
        "Saturation",
        load_text + ramp_text + trace_text,
        {"claims": claims, "loads": loads, "ramps": ramps, "traces": traces},
    )
