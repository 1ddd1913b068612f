"""The capacity of an upstream: known by saturation, or proven by what it has done.

*Rule of this file*: the two estimates of :mod:`signals.saturation` and how they forget; when work
waits is judged there, the usual latency is learned in :mod:`signals.latency`.

*Theory*: callers who met N open calls and waited no longer than usual prove N places (Little:
N over the mean time that a place is held is a rate, though nobody asked for it). A level of N
counts once nine in ten of its callers are answered, for the quick come first. Answers over two
holds prove their rate. While saturated, the answer rate is the capacity: known.

*A trough is not the capacity*: a saturated window below 0.7 of the best is a slump and teaches
nothing until slumps have lasted 30 s. A rate above what is known restarts the measurement; proof of
more outside saturation makes what was known a bound again.
*Regime*: see :mod:`signals.saturation`. *Cost*: 128 levels a window.
*Source*: J. D. C. Little, "A proof for the queuing formula L = lambda W", 1961; the rest is ours.
"""

from __future__ import annotations

import math

from signals.kernel import part
from signals.latency import LEVELS_PER_OCTAVE, N_BASE_MIN, N_LEVELS, N_WINDOW, TINY
from signals.state import Records

PROVEN_DECAY = 0.5 ** (1.0 / 600.0)
"""What was proven fades: half in ten minutes, longer than any fault, shorter than a day's tide."""

SLUMP_RATIO = 0.7
SLUMP_S = 30
"""Saturated below 0.7 of the best is a fault for 30 s, then a smaller upstream."""

RUN_S = 60.0
"""Memory of the measurement while saturated."""

PROOF_BIAS = 0.1
"""Callers above a level prove it if their mean ln W is surely within 0.1 of the base."""

N_PROOF = 12
"""Callers that a proof takes."""

N_RATE = 400
RATE_S = 20
"""Answers, or seconds, of a rate that proves: two standard errors are then a tenth."""

PENDING_MAX = 0.1
"""A level is judged when nine in ten of its callers have their answer: the quick come first."""


@part
def find_proven_places(saturation: Records) -> float:
    """Return how many calls open were met by callers who then waited no longer than usual."""
    s = saturation[0]
    n = total = pending = 0.0
    best = 0.0
    for idx in range(N_LEVELS):
        level = N_LEVELS - 1 - idx
        pending += s["level_pending"][level]
        if s["level_n"][level] <= 0.0:
            continue
        n += s["level_n"][level]
        total += s["level_sum"][level]
        if n >= N_PROOF and pending <= PENDING_MAX * n:
            error = math.sqrt((s["spread"] + TINY) / n)
            if total / n + error - s["base_log"] <= PROOF_BIAS:
                best = max(1.0, 2.0 ** (level / LEVELS_PER_OCTAVE))
                break
    return best


@part
def prove_places(saturation: Records) -> None:
    """Raise what is proven by the calls that were open without anyone waiting."""
    s = saturation[0]
    hold_s = s["base_s"] + s["stream_s"]
    if s["n_base"] < N_BASE_MIN or s["has_stream"] == 0 or hold_s <= 0.0:
        return
    proven_hz = find_proven_places(saturation) / hold_s
    if proven_hz > s["proven_hz"]:
        s["proven_hz"] = proven_hz


@part
def prove_rate(saturation: Records, window_s: int) -> None:
    """Raise what is proven by answers over at least two holds."""
    s = saturation[0]
    s["rate_s"] += window_s
    s["rate_n"] += s["n"]
    if s["has_stream"] == 0 or s["rate_s"] < 2.0 * (s["base_s"] + s["stream_s"]):
        return
    if s["rate_n"] < N_RATE and s["rate_s"] < RATE_S:
        return
    n = float(s["rate_n"])
    proven_hz = max(0.0, n - 2.0 * math.sqrt(n)) / s["rate_s"]
    if proven_hz > s["proven_hz"]:
        s["proven_hz"] = proven_hz
    if s["known_hz"] > 0.0 and proven_hz > s["known_hz"] and s["is_saturated"] == 0:
        s["known_hz"] = 0.0
    s["rate_s"] = 0
    s["rate_n"] = 0


@part
def measure_capacity(saturation: Records, window_s: int) -> None:
    """While saturated the answer rate is the capacity, unless it is a fault's trough."""
    s = saturation[0]
    n = float(s["n"])
    rate_hz = n / window_s
    noise_hz = 2.0 * math.sqrt(n) / window_s
    best_hz = max(s["known_hz"], s["proven_hz"])
    if rate_hz + noise_hz < SLUMP_RATIO * best_hz:
        s["slump_s"] += window_s
        s["slump_n"] += n
        if s["slump_s"] < SLUMP_S:
            return
        s["run_s"] = s["slump_s"]
        s["run_n"] = s["slump_n"]
        s["proven_hz"] = 0.0
    else:
        if rate_hz - noise_hz > best_hz:
            s["run_s"] = 0.0
            s["run_n"] = 0.0
        s["run_s"] += window_s
        s["run_n"] += n
    s["slump_s"] = 0.0
    s["slump_n"] = 0.0
    if s["run_s"] > RUN_S:
        s["run_n"] *= RUN_S / s["run_s"]
        s["run_s"] = RUN_S
    if s["run_n"] >= N_WINDOW and s["run_s"] >= s["stream_s"] + s["base_s"]:
        s["known_hz"] = s["run_n"] / s["run_s"]


@part
def get_capacity_hz(saturation: Records) -> float:
    """Return the best capacity: known, else proven, else 0 (unknown)."""
    s = saturation[0]
    return float(s["known_hz"] if s["known_hz"] > 0.0 else s["proven_hz"])


@part
def get_capacity_var(saturation: Records) -> float:
    """Return the variance of a known capacity, hz^2; twice Poisson's, for it was measured once."""
    s = saturation[0]
    if s["known_hz"] <= 0.0:
        return 0.0
    return float(2.0 * s["known_hz"] / max(s["run_s"], 1.0))
