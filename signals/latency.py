"""The usual latency of an upstream, and whether latency follows the calls that are open.

*Rule of this file*: base and elasticity of :mod:`signals.saturation`, window by window.

*Theory*: the base is the mean ln W of callers who met no more open calls than usual, in windows
without a queue. A lower level is taken whole. A higher one is a queue or a slower service; only
the elasticity e = d ln W / d ln N tells them apart: behind a queue 1, else 0. It is summed within
windows only, so that a change from one to the next, which moves both, does not count.
*Regime*: the mean latency is moved with the mean logarithm, which heavy tails cannot drag along.
*Cost*: O(1) a window. *Source*: the project's study of adaptive limits, section 2.
"""

from __future__ import annotations

import math

from signals.kernel import part
from signals.state import Records

N_LEVELS = 128
"""Levels of calls met on arrival, eight an octave: to 65,000."""

LEVELS_PER_OCTAVE = 8

N_WINDOW = 24
"""Answers in a window: the mean of ln W is then known to 0.1 at a spread of 0.5."""

N_WINDOW_LATE = 8
"""Answers that must do where calls are few."""

SLOPE_MIN = 0.3
SLOPE_FLAT = 0.5
SLOPE_SD = 1.5
"""Elasticity that proves a queue, and that disproves it; in slack it is 0, behind a queue 1."""

SLOPE_DECAY = 0.85
"""Memory of the elasticity: about six windows."""

BASE_GAIN = 0.05
BASE_SD = 3.0
BASE_SD_LOWER = 4.0
BASE_FALL = 0.3
BASE_RISE = 0.1
FLAT_S = 30
"""Base: gain per window; lower by 4 sd and a quarter is taken whole (the quick ones of a trend are
no new base); higher by 3 sd is not learned until it has been flat for 30 s."""

N_BASE_MIN = 8
"""Windows that make a base: the first holds only calls quick enough to be in it."""

BASE_STEP = 0.4
"""A base that moves by more (half as long again) scales what was proven and ends what was known."""

TINY = 1e-9


@part
def measure_slope(saturation: Records) -> None:
    """Fold the window into the elasticity of latency to calls met; within windows only."""
    s = saturation[0]
    n = s["n"]
    met_sq = s["met_sq_sum"] - s["met_sum"] * s["met_sum"] / n
    product = s["met_log_sum"] - s["met_sum"] * s["log_sum"] / n
    log_sq = max(0.0, s["log_sq_sum"] - s["log_sum"] * s["log_sum"] / n)
    keep = SLOPE_DECAY
    s["slope_num"] *= keep
    s["slope_den"] *= keep
    s["slope_noise"] *= keep * keep
    if met_sq > TINY:
        rest = max(0.0, log_sq - product * product / met_sq) / max(n - 2, 1)
        s["slope_num"] += product
        s["slope_den"] += met_sq
        s["slope_noise"] += rest * met_sq


@part
def has_slope(saturation: Records, is_steep: bool) -> bool:
    """Whether latency surely follows the calls met (or surely does not)."""
    s = saturation[0]
    if s["slope_den"] <= TINY:
        return False
    slope = s["slope_num"] / s["slope_den"]
    error = math.sqrt(s["slope_noise"]) / s["slope_den"]
    if is_steep:
        return bool(slope - SLOPE_SD * error > SLOPE_MIN)
    return bool(slope + SLOPE_SD * error < SLOPE_FLAT)


@part
def move_base(saturation: Records, step: float) -> None:
    """Take a new level whole; what was proven before is scaled, never past its own proof."""
    s = saturation[0]
    s["base_log"] += step
    s["base_s"] *= math.exp(step)
    s["flat_s"] = 0
    if abs(step) > BASE_STEP:
        best_hz = max(s["known_hz"], s["proven_hz"])
        s["proven_hz"] = best_hz * math.exp(-max(step, 0.0))
        s["known_hz"] = 0.0
        for level in range(N_LEVELS):
            s["level_n"][level] = 0.0
            s["level_sum"][level] = 0.0


@part
def start_base(saturation: Records) -> None:
    """Average the first windows, whoever was met: the first callers met few and took long."""
    s = saturation[0]
    s["n_base"] += 1
    s["base_log"] += (s["log_sum"] / s["n"] - s["base_log"]) / s["n_base"]
    s["base_s"] += (s["wait_sum"] / s["n"] - s["base_s"]) / s["n_base"]
    if s["n_base"] == N_BASE_MIN:
        s["slope_num"] = s["slope_den"] = s["slope_noise"] = 0.0


@part
def learn_base(saturation: Records, window_s: int) -> None:
    """Teach the base by callers who met few, when nothing waits."""
    s = saturation[0]
    if s["n_base"] < N_BASE_MIN:
        start_base(saturation)
        return
    n = s["n_low"]
    if n < N_WINDOW_LATE:
        return
    distance = s["low_log_sum"] / n - s["base_log"]
    error = math.sqrt((s["spread"] + TINY) / n)
    if distance < -max(BASE_SD_LOWER * error, BASE_FALL):
        move_base(saturation, distance)
        return
    is_far = distance > max(BASE_SD * error, BASE_RISE)
    is_flat = s["is_saturated"] == 0 and has_slope(saturation, False)
    if not is_far and (s["is_full"] == 0 or is_flat):
        s["base_log"] += BASE_GAIN * distance
        s["base_s"] += BASE_GAIN * (s["low_wait_sum"] / n - s["base_s"])
    if not is_far:
        s["flat_s"] = 0
    elif is_flat:
        s["flat_s"] += window_s
        if s["flat_s"] >= FLAT_S:
            move_base(saturation, distance)
