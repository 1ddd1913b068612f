"""Surges: new callers over recorded traffic, and what becomes of one that saturates.

*Rule of this file*: demand that rises by a step or a ramp; the verdict that the load shape
gives, how soon, and whether anything takes the surge for a storm.

*How*: a minute and a half of a recording, its second half overlaid with calls of distinct new
callers until the rate is x3 or x10. Then the same against a service that can
serve 1.5 times the recorded rate and refuses the rest at once: callers either
go away, or come back as the OpenAI client does.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.detect.base import Options, Section, claim
from bench.detect.playback import order, play
from bench.detect.traces import Trace, load
from bench.report import table
from signals.shape import CASCADE, MIXED, SHAPES, SURGE

Array = npt.NDArray[Any]

BACKGROUNDS = (("claude", 1.0), ("claude", 10.0), ("azure", 10.0), ("nasa", 10.0))
BACKGROUNDS += (("servegen", 10.0), ("nezha0822", 10.0))
FACTORS = (3.0, 10.0)
RISES = ((0.0, "step"), (1.0, "1 s"), (5.0, "5 s"))
START_S, STOP_S = 60.0, 90.0
PER_SEED = 4
SERVED, REFUSED_S = 1.5, 0.01
NAMES = ("load_shape", "synchrony_alarm", "retry_synchrony_alarm", "matched_alarm", "cascade")


class Rise(NamedTuple):
    """One surge: how high, how fast."""

    factor: float
    ramp_s: float
    word: str


def cut(trace: Trace, rng: np.random.Generator, kind: str) -> Trace:
    """Return 90 s of a recording from anywhere in it, each flow its own small number."""
    last_s = max(0.0, float(trace.t_s[-1]) - STOP_S)
    start_s = rng.uniform(0.0, last_s)
    piece = trace.between(start_s, start_s + STOP_S).with_identity(kind)
    _, flow = np.unique(piece.flow, return_inverse=True)
    return piece if kind == "none" else replace(piece, flow=flow.astype(np.int64) + 1)


def make_newcomers(rise: Rise, rate_hz: float, rng: np.random.Generator) -> Array:
    """Return instants of new callers, each once: Poisson, rising to factor - 1 times the rate."""
    n = rng.poisson(rate_hz * (rise.factor - 1.0) * (STOP_S - START_S))
    at_s = rng.uniform(START_S, STOP_S, n)
    ramp_s = max(rise.ramp_s, 1e-9)
    return np.sort(at_s[rng.random(n) < np.minimum(1.0, (at_s - START_S) / ramp_s)])


def play_surge(trace: Trace, rise: Rise, seed: int, kind: str) -> dict[str, Any]:
    """Overlay one surge; return verdict, delay and alarms from its beginning on."""
    rng = np.random.default_rng(seed)
    piece = cut(trace, rng, kind)
    rate_hz = len(piece) / STOP_S
    new_s = make_newcomers(rise, rate_hz, rng)
    n = len(new_s)
    flow = np.zeros(n, int) if kind == "none" else piece.flow.max(initial=0) + 1 + np.arange(n)
    latency_s = np.where(np.isnan(piece.latency_s), 0.3, piece.latency_s)
    events = order(
        np.concatenate([piece.t_s, new_s]),
        np.concatenate([latency_s, np.full(n, 0.3)]),
        np.zeros(len(piece) + n, bool),
        np.concatenate([piece.flow, flow]),
        np.arange(len(piece) + n),
    )
    _, ticks = play(events, STOP_S, NAMES)
    return judge(ticks)


def judge(ticks: dict[str, Array]) -> dict[str, Any]:
    """Return what was said from the surge's beginning on."""
    first = round(START_S * 20)
    verdict = ticks["load_shape"][first:]
    hits = np.flatnonzero(verdict == SURGE)
    storms = np.flatnonzero((verdict == CASCADE) | (verdict == MIXED))
    alarms = sum(int((ticks[name][first:] > 0).any()) for name in NAMES[1:])
    return {
        "surge_s": float(hits[0]) / 20 if len(hits) else None,
        "cascade_s": float(storms[0]) / 20 if len(storms) else None,
        "alarms": alarms,
        "last": SHAPES[int(verdict[-1])],
    }


def saturate(
    trace: Trace, rise: Rise, seed: int, comes_back: bool, kind: str
) -> tuple[dict[str, Any], float]:
    """Overlay a surge on a service that can serve 1.5 x; return the verdicts, share refused."""
    rng = np.random.default_rng(seed)
    piece = cut(trace, rng, kind)
    capacity_hz = SERVED * len(piece) / STOP_S
    new_s = make_newcomers(rise, len(piece) / STOP_S, rng)
    start = int(piece.flow.max(initial=0)) + 1
    queue = [(t, f, i, 0) for i, (t, f) in enumerate(zip(piece.t_s, piece.flow, strict=True))]
    queue += [(t, start + i, len(queue) + i, 0) for i, t in enumerate(new_s)]
    heapq.heapify(queue)
    rows: list[tuple[float, float, bool, int, int]] = []
    tokens, last_s = capacity_hz, 0.0
    while queue:
        t_s, flow, shape, attempt = heapq.heappop(queue)
        tokens = min(capacity_hz, tokens + (t_s - last_s) * capacity_hz)
        last_s = t_s
        is_refused = tokens < 1.0
        tokens -= 0.0 if is_refused else 1.0
        rows.append((t_s, REFUSED_S if is_refused else 0.3, is_refused, flow, shape))
        if is_refused and comes_back and attempt < 2:
            back_s = 0.5 * 2.0**attempt * rng.uniform(0.75, 1.0)
            heapq.heappush(queue, (t_s + REFUSED_S + back_s, flow, shape, attempt + 1))
    t_s, latency_s, failed, flow, shape = (np.array(column) for column in zip(*rows, strict=True))
    flow = np.zeros(len(flow), int) if kind == "none" else flow
    _, ticks = play(order(t_s, latency_s, failed, flow, shape), STOP_S, NAMES)
    return judge(ticks), float(failed[t_s >= START_S].mean())


def list_seeds(options: Options) -> list[int]:
    """Return the seeds of the repetitions: ``PER_SEED`` for each seed of the report."""
    per_seed = 1 if options.quick else PER_SEED
    return [1_000 * seed + i for seed in options.report_seeds for i in range(per_seed)]


def median(values: list[float | None]) -> str:
    """Return the median of what is there, in seconds."""
    known = [value for value in values if value is not None]
    return f"{np.median(known):.2f}" if known else "–"


def count(found: list[dict[str, Any]], key: str) -> int:
    """Count the runs in which something was said."""
    return sum(run[key] is not None for run in found)


def run_rises(options: Options) -> tuple[list[list[Any]], dict[str, int]]:
    """Surges that the service serves: rows of the table and totals."""
    rows: list[list[Any]] = []
    totals = {"runs": 0, "surge": 0, "storm": 0, "alarms": 0}
    for name, speed in BACKGROUNDS[1:2] if options.quick else BACKGROUNDS:
        trace = load(options.traces, name)
        if trace is None:
            continue
        for factor in FACTORS:
            for kind in ("ids", "none"):
                line: list[Any] = [f"{name} x{speed:.0f}", f"x{factor:.0f}", kind]
                storms = alarms = 0
                for ramp_s, word in RISES:
                    rise = Rise(factor, ramp_s, word)
                    found = [
                        play_surge(trace.at_speed(speed), rise, seed, kind)
                        for seed in list_seeds(options)
                    ]
                    delay = median([run["surge_s"] for run in found])
                    line.append(f"{count(found, 'surge_s')}/{len(found)}, {delay}")
                    storms += count(found, "cascade_s")
                    alarms += sum(run["alarms"] for run in found)
                    totals["runs"] += len(found)
                    totals["surge"] += count(found, "surge_s")
                rows.append([*line, storms, alarms])
                totals["storm"] += storms
                totals["alarms"] += alarms
    return rows, totals


def run_saturations(options: Options) -> tuple[list[list[Any]], dict[str, int]]:
    """Surges that the service refuses in part: rows of the table and totals."""
    rows: list[list[Any]] = []
    totals: dict[str, int] = {}
    for name, speed in BACKGROUNDS[1:2] if options.quick else BACKGROUNDS[1:]:
        trace = load(options.traces, name)
        if trace is None:
            continue
        for kind in ("ids", "none"):
            for comes_back in (True, False):
                rise = Rise(10.0, 1.0, "1 s")
                pairs = [
                    saturate(trace.at_speed(speed), rise, seed, comes_back, kind)
                    for seed in list_seeds(options)
                ]
                found = [pair[0] for pair in pairs]
                word = f"{kind} {'back' if comes_back else 'away'}"
                totals[word] = totals.get(word, 0) + len(found)
                said = totals.get(f"{word} cascade", 0) + count(found, "cascade_s")
                totals[f"{word} cascade"] = said
                shares = f"{np.mean([pair[1] for pair in pairs]):.0%}"
                line = [f"{name} x{speed:.0f}", kind, "come back" if comes_back else "go away"]
                line += [shares, count(found, "surge_s"), count(found, "cascade_s")]
                rows.append([*line, len(found), median([run["cascade_s"] for run in found])])
    return rows, totals


def run(options: Options) -> Section:
    """Play surges, served and refused."""
    if options.traces is None:
        return Section("Surges of new callers", "Traces not present.", {"claims": []})
    rises, served = run_rises(options)
    saturations, refused = run_saturations(options)
    met = None if options.quick else True
    text = [
        "New callers, each once, over 30 s; runs in which the verdict was *surge*, and the "
        "median delay from the surge's beginning in seconds.",
        table(
            ["background", "rise", "ids", *(word for _, word in RISES), "storm said", "alarms"],
            rises,
        ),
        "A tenfold surge (ramp of 1 s) against a service that can serve 1.5 times the recorded "
        "rate and refuses the rest at once. Who comes back does so as the OpenAI client; "
        "*cascade* counts runs with verdict cascade or mixed.",
        table(
            ["background", "ids", "callers", "refused", "surge", "cascade", "runs", "after, s"],
            saturations,
        ),
    ]
    claims = [
        claim(
            "surge of new callers x3, x10; step, 1 s, 5 s",
            "verdict surge, no alarm",
            f"surge in {served['surge']} of {served['runs']}, storm said in {served['storm']}, "
            f"{served['alarms']} alarms",
            met and served["surge"] == served["runs"] and served["storm"] == served["alarms"] == 0,
        ),
    ]
    for kind, word in (("ids", "with ids"), ("none", "without ids")):
        back, away = refused.get(f"{kind} back", 0), refused.get(f"{kind} away", 0)
        right = refused.get(f"{kind} back cascade", 0)
        wrong = refused.get(f"{kind} away cascade", 0)
        claims.append(
            claim(
                f"surge that saturates, {word}",
                "a cascade if callers return, else none",
                f"callers return: {right} of {back}; nobody returns: {wrong} of {away}",
                met and right == back and wrong == 0,
            )
        )
    data = {"claims": claims, "rises": rises, "saturations": saturations}
    return Section("Surges of new callers", "\n\n".join(text), data)
