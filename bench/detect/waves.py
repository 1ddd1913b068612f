"""Waves: how many callers in step it takes to be seen, by background and client.

*Rule of this file*: k calls over recorded traffic fail at one instant; their callers come back
once, by one client's law. The smallest k of a ladder seen in 90 % (50 %) of the runs.

*Columns*: with ids, the scan of all traffic and the scan of retries (inferred; 1 %
of the background are marked retries); without ids, the matched filter, with the client
family known from a header or not. Seen: the alarm stands at a tick (every
50 ms) from the failure to 1.5 s after the last return.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.detect.base import Options, Section, claim
from bench.detect.playback import order, play
from bench.detect.traces import Trace, load
from bench.report import table
from signals import families

Array = npt.NDArray[Any]

BACKGROUNDS = (("claude", 1.0), ("claude", 10.0), ("azure", 10.0), ("servegen", 10.0))
BACKGROUNDS += (("azure", 100.0),)

LADDER = (3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 400)
PER_SEED = 4
FAIL_S, AFTER_S = 45.0, 1.5
BEGUN_S = 30.0
"""The calls that fail had begun within so long before: they add k/30 s to the background."""

RETURN_S = 0.002
"""From the end of the back-off to the arrival."""

NAMES = ("synchrony_alarm", "retry_synchrony_alarm", "matched_alarm")


class Client(NamedTuple):
    """One law of first retries."""

    word: str
    family: int
    low_s: float
    high_s: float


CLIENTS = (
    Client("Vercel", families.VERCEL, 2.0, 2.0),
    Client("Codex", families.CODEX, 0.18, 0.22),
    Client("boto", families.BOTO, 0.0, 0.05),
    Client("OpenAI, Anthropic", families.STAINLESS, 0.375, 0.5),
    Client("full jitter 1 s", families.GOOGLE, 0.0, 1.0),
    Client("Gemini CLI", families.GEMINI_CLI, 3.5, 6.5),
)


class Way(NamedTuple):
    """One way to look: which alarm, with or without ids and family."""

    word: str
    alarm: str
    has_ids: bool
    has_family: bool


WAYS = (
    Way("all traffic, ids", "synchrony_alarm", True, False),
    Way("retries, ids", "retry_synchrony_alarm", True, False),
    Way("no ids, family known", "matched_alarm", False, True),
    Way("no ids, nothing known", "matched_alarm", False, False),
)


def play_wave(trace: Trace, client: Client, k: int, seed: int, way: Way) -> dict[str, float]:
    """Return, for each alarm, its delay from the wave's first arrival; infinity if unseen."""
    rng = np.random.default_rng(seed)
    stop_s = FAIL_S + client.high_s + AFTER_S
    start_s = rng.uniform(0.0, max(0.0, float(trace.t_s[-1]) - stop_s))
    piece = trace.between(start_s, start_s + stop_s)
    n = len(piece)
    first_s = FAIL_S - rng.uniform(0.0, BEGUN_S, k)
    again_s = FAIL_S + rng.uniform(client.low_s, client.high_s, k) + RETURN_S
    who = piece.flow.max(initial=0) + 1 + np.arange(k)
    # Recordings without names: every call its own caller.
    own = piece.flow if piece.has_ids else who[-1] + 1 + np.arange(n)
    flow = np.concatenate([own, who, who])
    latency_s = np.where(np.isnan(piece.latency_s), 0.1, piece.latency_s)
    is_marked = np.concatenate([rng.random(n) < 0.01, np.zeros(2 * k, bool)])
    family = np.concatenate([np.zeros(n, np.int64), np.full(2 * k, client.family)])
    _, flow = np.unique(flow, return_inverse=True)
    events = order(
        np.concatenate([piece.t_s, first_s, again_s]),
        np.concatenate([latency_s, FAIL_S - first_s, np.full(k, 0.3)]),
        np.concatenate([np.zeros(n, bool), np.ones(k, bool), np.zeros(k, bool)]),
        flow + 1 if way.has_ids else np.zeros(len(flow), int),
        np.concatenate([np.arange(n), n + np.arange(k), n + np.arange(k)]),
        np.where(is_marked, 1, -1) if way.has_ids else None,
        family if way.has_family else None,
    )
    _, ticks = play(events, stop_s, NAMES)
    first = round(FAIL_S * 20)
    found = {}
    for name in NAMES:
        hits = np.flatnonzero(ticks[name][first:] > 0)
        at_s = FAIL_S + (hits[0] + 1) / 20 if len(hits) else np.inf
        found[name] = float(at_s - again_s.min())
    return found


def list_seeds(options: Options) -> list[int]:
    """Return the seeds of the repetitions."""
    per_seed = 1 if options.quick else PER_SEED
    return [1_000 * seed + i for seed in options.report_seeds for i in range(per_seed)]


def climb(trace: Trace, client: Client, way: Way, seeds: list[int]) -> tuple[str, float]:
    """Return 'k90 (k50)' and the median delay at k90 for one way to look."""
    k50 = ""
    for k in LADDER:
        delays = [play_wave(trace, client, k, seed, way)[way.alarm] for seed in seeds]
        seen = [delay for delay in delays if np.isfinite(delay)]
        if not k50 and 2 * len(seen) >= len(delays):
            k50 = str(k)
        if len(seen) >= 0.9 * len(delays):
            return f"{k} ({k50})", float(np.median(seen))
    return f"never ({k50 or 'never'})", float("nan")


def run(options: Options) -> Section:
    """Climb the ladder for every background, client and way to look."""
    if options.traces is None:
        return Section("Waves: the smallest that is seen", "Traces not present.", {"claims": []})
    backgrounds = BACKGROUNDS[1:2] if options.quick else BACKGROUNDS
    clients = CLIENTS[3:4] if options.quick else CLIENTS
    seeds = list_seeds(options)
    rows: list[list[Any]] = []
    data: list[dict[str, Any]] = []
    for name, speed in backgrounds:
        trace = load(options.traces, name)
        if trace is None:
            continue
        fast = trace.at_speed(speed)
        for client in clients:
            line: list[Any] = [f"{name} x{speed:.0f}, {fast.rate_hz:.0f}/s", client.word]
            for way in WAYS:
                cell, delay_s = climb(fast, client, way, seeds)
                line.append(cell if np.isnan(delay_s) else f"{cell}, {max(0.0, delay_s):.2f} s")
                data.append(
                    {"background": name, "speed": speed, "client": client.word, "way": way.word}
                    | {"k90": cell, "delay_s": None if np.isnan(delay_s) else delay_s}
                )
            rows.append(line)
    text = [
        f"k90 (k50) of {', '.join(map(str, LADDER))} callers, {len(seeds)} runs each, and the "
        "median delay from the wave's first arrival to the tick that tells (ticks are 50 ms "
        "apart). The calls that fail had begun one by one over the 30 s before. Recordings "
        "without names count each call as its own caller; full jitter without ids is looked for "
        "as the family's two laws, 0-1 s and 1-2 s.",
        table(["background", "client", *(way.word for way in WAYS)], rows),
    ]
    retries = [row["k90"] for row in data if row["way"] == WAYS[1].word]
    claims = [
        claim(
            "smallest synchronised group, by background and client",
            "a table",
            f"retry scan k90 (k50): {', '.join(dict.fromkeys(retries))}",
            None,
        )
    ]
    return Section(
        "Waves: the smallest that is seen", "\n\n".join(text), {"claims": claims, "rows": data}
    )
