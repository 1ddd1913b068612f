"""Silence: what the signals say on organic traffic, where nothing should alarm.

*Rule of this file*: organic traces through real banks; alarms an hour, beside
counting rules on the same arrivals.

*Alarms*: every reading that is an alarm, or the cascade and storm words; an event is
a run of ticks in which it stands. Hints and surge verdicts are no alarms and
are counted apart. The upper bound is exact (Poisson, 95 %).

*Nulls*: with the recorded ids; without any (each call unknown); on coarse clocks; and
without ids while calls fail and **nobody comes back**: that is what could fool
the matched filter.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.detect.base import TUNE_TRACES, Options, Section, claim
from bench.detect.playback import INDEX, SILENT_S, TICK_NS, events_of, play
from bench.detect.traces import COARSE, ORGANIC, Trace, load
from bench.report import table
from signals.shape import CASCADE, SURGE

Array = npt.NDArray[Any]

SPEEDS = (1.0, 10.0, 100.0)
ALARMS = tuple(n for n in INDEX if n.endswith("_alarm") or n in ("cascade", "storm"))
NAMES = (*ALARMS, "load_shape", "synchrony_hint", "coarse_clock", "synchrony", "matched")
QUICK = (("azure", 1.0), ("claude", 10.0), ("servegen", 100.0))

SIGMAS = 6.0
WINDOW = 60
"""Seconds: trailing window of the counting rule, time constant of the others."""

EWMA_WEIGHT = 0.2
CUSUM_SLACK = 0.5
"""Usual choices of the textbooks; only the limits are tuned."""

LIMITS = np.arange(3.0, 60.5, 0.5)
TUNED_RATE_HZ = 0.1 / 3600.0
"""Limits are the least that give at most 0.1 alarms an hour on the tuning traces at x1."""


def count_events(flags: Array, apart: int) -> int:
    """Count runs of flags; runs less than ``apart`` ticks apart are one."""
    hits = np.flatnonzero(flags)
    return 0 if len(hits) == 0 else 1 + int((np.diff(hits) > apart).sum())


def upper_bound(n: int) -> float:
    """Return the mean of which n or fewer events have a chance of 5 %."""
    low, high = 0.0, 20.0 + 3.0 * n
    for _ in range(60):
        mean = (low + high) / 2.0
        terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(n + 1))
        low, high = (mean, high) if sum(terms) > 0.05 else (low, mean)
    return high


# -- counting rules -----------------------------------------------------------------


def seconds_of(trace: Trace) -> Array:
    """Return arrivals of each second."""
    return np.bincount(trace.t_s.astype(np.int64)).astype(float)


def six_sigma(counts: Array) -> Array:
    """Flag seconds above the trailing minute's mean + 6 standard deviations."""
    flags = np.zeros(len(counts), bool)
    if len(counts) <= WINDOW:
        return flags
    windows = np.lib.stride_tricks.sliding_window_view(counts, WINDOW)[:-1]
    flags[WINDOW:] = counts[WINDOW:] > windows.mean(1) + SIGMAS * windows.std(1)
    return flags


def chart(counts: Array, kind: str) -> Array:
    """Return each second's distance from its null, in the chart's own units.

    Mean and variance are averages over a minute, of the past only; the variance
    is at least the Poisson one of half a call a second.
    """
    values = np.zeros(len(counts))
    mean, variance = float(counts[:WINDOW].mean()), float(counts[:WINDOW].var())
    state = 0.0
    for idx in range(WINDOW, len(counts)):
        sigma = math.sqrt(max(variance, 0.5))
        if kind == "ewma":
            state += EWMA_WEIGHT * ((counts[idx] - mean) / sigma - state)
            values[idx] = state / math.sqrt(EWMA_WEIGHT / (2.0 - EWMA_WEIGHT))
        else:
            state = max(0.0, state + (counts[idx] - mean) / sigma - CUSUM_SLACK)
            values[idx] = state
        step = counts[idx] - mean
        mean += step / WINDOW
        variance += (step * step - variance) / WINDOW
    return values


def tune(options: Options, kind: str) -> float:
    """Return the chart's limit, chosen on the tuning traces at recorded speed."""
    found = []
    for name in TUNE_TRACES:
        trace = load(options.traces, name)
        if trace is not None:
            found.append((chart(seconds_of(trace), kind), trace.hours))
    for limit in LIMITS:
        n = sum(count_events(values > limit, 1) for values, _ in found)
        if n <= TUNED_RATE_HZ * 3600.0 * sum(hours for _, hours in found):
            return float(limit)
    return float(LIMITS[-1])


def count_rules(trace: Trace, limits: dict[str, float]) -> dict[str, int]:
    """Count what the three rules make of the same arrivals."""
    counts = seconds_of(trace)
    found = {"six_sigma": count_events(six_sigma(counts), 1)}
    for kind, limit in limits.items():
        found[kind] = count_events(chart(counts, kind) > limit, 1) if len(counts) > WINDOW else 0
    return found


# -- signals ------------------------------------------------------------------------


def measure(trace: Trace, failed: Array | None = None) -> dict[str, Any]:
    """Play one trace; count alarms, hints and verdicts."""
    stop_s = float(trace.t_s[-1])
    bank, ticks = play(events_of(trace, failed), stop_s, NAMES)
    second = round(1e9 / TICK_NS)
    shape = bank.state.shape[0]
    alarms = {name: count_events(ticks[name] > 0, second) for name in ALARMS}
    alarms["cascade verdict"] = int(shape["n_verdicts"][CASCADE])
    return {
        "hours": stop_s / 3600.0,
        "alarms": alarms,
        "n_alarms": sum(alarms.values()),
        "n_hints": int(bank.state.bank[0]["n_hints"]),
        "n_surges": int(shape["n_verdicts"][SURGE]),
        "surge_share": float((ticks["load_shape"] == SURGE).mean()),
        "max_nats": float(ticks["synchrony"].max()),
        "max_matched": float(ticks["matched"].max()),
        "coarse_share": float(ticks["coarse_clock"].mean()),
    }


def fail_alone(trace: Trace, how: str, seed: int) -> tuple[Trace, Array]:
    """Return a trace of which calls fail, each within 0.3 s, and nobody repeats his."""
    rng = np.random.default_rng(seed)
    t_s, n, end_s = trace.t_s, len(trace.t_s), float(trace.t_s[-1])
    failed: Array = rng.random(n) < 0.005
    first_s = min(30.0, end_s / 3.0)
    if how == "outages of 1 s":
        for start_s in rng.uniform(first_s, end_s, 20):
            failed |= (t_s >= start_s) & (t_s < start_s + 1.0)
    elif how == "60 % for 60 s":
        for start_s in rng.uniform(first_s, end_s, 5):
            failed |= (t_s >= start_s) & (t_s < start_s + 60.0) & (rng.random(n) < 0.6)
    elif how == "30 % always":
        failed |= rng.random(n) < 0.3
    elif how == "90 % always":
        failed |= rng.random(n) < 0.9
    latency_s = rng.lognormal(math.log(SILENT_S), 0.5, n)
    return replace(trace, latency_s=np.where(failed, latency_s, 0.3)), failed


FAILING = ("outages of 1 s", "60 % for 60 s", "30 % always", "90 % always")


def pick(options: Options, names: tuple[str, ...]) -> list[tuple[Trace, str, float]]:
    """Return the traces to play: name and speed."""
    pairs = [(name, speed) for name in names for speed in SPEEDS]
    if options.quick:
        pairs = [
            pair for pair in pairs if pair in QUICK or (pair[0] in COARSE and pair[1] == 100.0)
        ]
    found = []
    for name, speed in pairs:
        trace = load(options.traces, name)
        if trace is not None:
            found.append((trace.at_speed(speed), name, speed))
    return found


def sum_rows(rows: list[dict[str, Any]], speed: float | None = None) -> dict[str, float]:
    """Add up alarms, hints, surges and hours, of one speed or all."""
    chosen = [row for row in rows if speed is None or row["speed"] == speed]
    keys = ("hours", "n_alarms", "n_hints", "n_surges", "six_sigma", "ewma", "cusum")
    return {key: sum(row.get(key, 0) for row in chosen) for key in keys}


# -- the section --------------------------------------------------------------------


def as_table(rows: list[dict[str, Any]]) -> str:
    """One line a trace: the three speeds side by side."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        mine = [row for row in rows if row["name"] == name]

        def cell(key: str, mine: list[dict[str, Any]] = mine) -> str:
            return " / ".join(str(row[key]) for row in mine)

        keys = ("n_alarms", "n_alarms_anonymous", "n_hints_anonymous", "n_surges")
        share = " / ".join(f"{row['surge_share']:.1%}" for row in mine)
        hours = f"{mine[0]['hours']:.2f}"
        rules = [cell("six_sigma"), cell("ewma"), cell("cusum")]
        lines.append([name, hours, *map(cell, keys), share, *rules])
    head = ["trace", "h at x1", "alarms, ids", "alarms, no ids", "hints, no ids"]
    return table([*head, "surges", "time in surge", "6 sigma", "EWMA", "CUSUM"], lines)


def run(options: Options) -> Section:
    """Play every organic trace at three speeds, with and without identity."""
    if options.traces is None:
        return Section("Silence on organic traffic", "Traces not present.", {"claims": []})
    limits = {kind: tune(options, kind) for kind in ("ewma", "cusum")}
    rows: list[dict[str, Any]] = []
    alone: list[dict[str, Any]] = []
    for trace, name, speed in pick(options, ORGANIC):
        row = {"name": name, "speed": speed, **measure(trace), **count_rules(trace, limits)}
        anonymous = trace.with_identity("none")
        other = measure(anonymous)
        row["n_alarms_anonymous"] = other["n_alarms"]
        row["n_hints_anonymous"] = other["n_hints"]
        row["anonymous"] = other
        rows.append(row)
        for how in FAILING:
            played = measure(*fail_alone(anonymous, how, options.report_seeds[0]))
            alone.append({"name": name, "speed": speed, "how": how, **played})
    coarse = []
    for trace, name, speed in pick(options, COARSE):
        for kind in ("ids", "none"):
            played = measure(trace.with_identity(kind))
            coarse.append({"name": name, "speed": speed, "kind": kind, **played})
    return write(options, rows, alone, coarse, limits)


def write(
    options: Options,
    rows: list[dict[str, Any]],
    alone: list[dict[str, Any]],
    coarse: list[dict[str, Any]],
    limits: dict[str, float],
) -> Section:
    """Put figures into words, tables and claims."""
    total = sum_rows(rows)
    hours = total["hours"]
    n_anonymous = sum(row["n_alarms_anonymous"] for row in rows)
    n_hints = sum(row["n_hints_anonymous"] for row in rows)
    n_coarse, n_alone = (sum(row["n_alarms"] for row in played) for played in (coarse, alone))
    alone_h = sum(row["hours"] for row in alone)
    void = min((row["coarse_share"] for row in coarse), default=0.0)
    bound = upper_bound(int(total["n_alarms"])) / hours
    rules = say_rules(total)
    text = [
        f"All alarms of all detectors ({', '.join(ALARMS)}, cascade verdict), {hours:.1f} h of "
        f"traffic at x1, x10 and x100 (cells: x1 / x10 / x100). With ids {total['n_alarms']:.0f} "
        f"alarms: at most {bound:.2f}/h (95 %). On the same arrivals: {rules}.",
        as_table(rows),
        explain_rules(limits),
        f"**Without ids** {n_anonymous} alarms, {n_hints} hints ({n_hints / hours:.2f}/h, "
        f"all on bursty tenants).",
        "**Calls fail and nobody comes back**, no ids (largest L over traces and speeds; "
        "12 alarms):",
        failing_table(alone),
        f"**Coarse clocks** (3 s and 1 s stamps, with and without ids): {n_coarse} alarms; "
        f"readings void in {void:.1%} of ticks or more.",
    ]
    met = None if options.quick else True
    claims = [
        claim(
            "organic traces x1, x10, x100 with ids",
            "no alarm",
            f"{total['n_alarms']:.0f} in {hours:.1f} h (95 %: ≤ {bound:.2f}/h); {rules}",
            met and total["n_alarms"] == 0,
        ),
        claim(
            "the same without ids",
            "no alarm; hints counted",
            f"{n_anonymous} alarms, {n_hints} hints",
            met and n_anonymous == 0,
        ),
        claim(
            "calls fail, nobody returns, no ids",
            "no alarm",
            f"{n_alone} in {alone_h:.0f} h",
            met and n_alone == 0,
        ),
        claim(
            "quantised clocks",
            "void, no alarm",
            f"{n_coarse} alarms, void {void:.1%}",
            met and n_coarse == 0 and void > 0.98,
        ),
    ]
    data = {"claims": claims, "rows": rows, "alone": alone, "coarse": coarse, "limits": limits}
    return Section("Silence on organic traffic", "\n\n".join(text), data)


def say_rules(total: dict[str, Any]) -> str:
    """Return how often the usual rules cried on the same arrivals."""
    return "; ".join(
        f"{word} {total[key]:.0f} ({total[key] / total['hours']:.1f}/h)"
        for word, key in (("6 sigma", "six_sigma"), ("EWMA", "ewma"), ("CUSUM", "cusum"))
    )


def explain_rules(limits: dict[str, float]) -> str:
    """Return what the usual rules are, and how they were tuned."""
    return (
        f"6 sigma: 1-s count above the trailing minute's mean + 6 standard deviations. EWMA "
        f"(weight {EWMA_WEIGHT}) and CUSUM (slack {CUSUM_SLACK}) over counts standardised by a "
        f"minute's mean and variance; limits {limits['ewma']:.1f} and {limits['cusum']:.1f}, the "
        f"least with at most 0.1 alarms/h on {' and '.join(TUNE_TRACES)} at x1. Constants of the "
        f"signals were chosen on the same two traces, except those of the study."
    )


def failing_table(alone: list[dict[str, Any]]) -> str:
    """Return what calls that fail, and that nobody repeats, were taken for."""
    rows = []
    for how in FAILING:
        played = [row for row in alone if row["how"] == how]
        hours = sum(row["hours"] for row in played)
        largest = max(row["max_matched"] for row in played)
        rows.append([how, f"{hours:.1f}", sum(row["n_alarms"] for row in played), f"{largest:.1f}"])
    return table(["failing", "hours", "alarms", "largest L"], rows)
