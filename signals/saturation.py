"""How much an upstream can answer, and how near it is to that: capacity, known or proven.

*Rule of this file*: latency to first byte, calls open and answers of one upstream, judged window by
window. When demand will meet capacity is in :mod:`signals.headroom`.

*Theory*: completions alone say what was asked for. Three facts of Little's law N = X W say more:

- With X answers a second, of mean latency W0 when nothing waits, X W0 calls are being worked on,
  however many places the upstream has. What is open without a first byte beyond that, waits.
- Work that waits makes latency follow the number met on arrival: the elasticity
  ``e = d ln W / d ln N`` is 1 behind a queue and 0 without one, also when the service got slower.
- Callers who met N open calls and waited no longer than usual prove N places: N over the mean time
  that a place is held is a rate that the upstream can answer, though nobody asked for it. Organic
  traffic at half load meets 0.7 to 0.9 of the capacity in its own crests.

::

    window   : whole seconds until 24 answers (8 after a minute)
    full     : least N in the window > (1.1 + 2/sqrt(n)) X W0 + 1
    saturated: full, and e - 1.5 se > 0.3, or N > 1.3 X W (the answered cannot explain the open);
               then as long as full
    base     : mean ln W of callers who met no more than usual, in windows that are not full;
               lower levels are taken whole, higher ones slowly, or after 30 s of flat e
    known    : answers over time while saturated
    proven   : max of (places met at base latency / mean hold) and (answers a second over a window
               of two holds, less two standard errors); halves in ten minutes

A saturated window below 0.7 of the best capacity is a *slump*: it shows in ``drain`` and teaches
nothing until it has lasted 30 s, so that the trough of a fault is not taken for the capacity. An
answer rate above what is known restarts the measurement: a capacity that grew is found within one
window of saturation, and outside it the better proof replaces the older knowledge.

*Regime*: one population of calls; a hold is first byte plus stream, so streams and minute-long
calls count as what they occupy. Capacity is unknown (0) until 8 answers have ended. Orphans count:
their work is answered like any other. Failures and refusals are no answers.
*Cost*: O(1) an event (one logarithm an answer), O(1) a bucket, 128 levels a window.
*Source*: the project's studies: adaptive limit, section 2 (elasticity, mean ln W), detection,
section 4. *Considered and rejected*: a running minimum as base (a low outlier reads as a queue
for ever); departures as capacity; decaying what is known (a quiet night is no loss of capacity).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.state import SECOND, Records, put

N_LEVELS = 128
"""Levels of calls met on arrival, eight an octave: to 65,000."""

LEVELS_PER_OCTAVE = 8

N_WINDOW = 24
"""Answers in a window: the mean of ln W is then known to 0.1 at a spread of 0.5."""

N_WINDOW_LATE = 8
LATE_S = 60
"""After a minute eight answers must do: calls of a minute in four places end at 4 a minute."""

STALE_S = 600
"""A window that has not filled in ten minutes is dropped: it would mix two times of day."""

FULL_RATIO = 1.1
FULL_SD = 2.0
"""The least number open must exceed what is worked on by a tenth and the noise of X."""

EXPLAINED = 1.3
"""Open calls over X W beyond which those answered are not those who wait."""

SLOPE_MIN = 0.3
SLOPE_FLAT = 0.5
SLOPE_SD = 1.5
"""Elasticity that proves a queue, and that disproves it; in slack it is 0, behind a queue 1."""

N_QUEUED = 2
"""Full windows with proof of a queue before it is believed: calls grouped by their answer are a
biased choice while traffic changes."""

SLOPE_DECAY = 0.85
"""Memory of the elasticity: about six windows."""

LEVEL_DECAY = 0.5 ** (1.0 / 120.0)
"""Memory of the levels: half in two minutes of answers."""

PROVEN_DECAY = 0.5 ** (1.0 / 600.0)
"""What was proven fades: half in ten minutes, longer than any fault, shorter than a day's tide."""

SLUMP_RATIO = 0.7
SLUMP_S = 30
"""Saturated below 0.7 of the best is a fault for 30 s, then a smaller upstream."""

RUN_S = 60.0
"""Memory of the measurement while saturated."""

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

STREAM_GAIN = 0.2
"""Gain of the mean time from first byte to end, per window."""

BASE_STEP = 0.4
"""A base that moves by more (half as long again) scales what was proven and ends what was known."""

PROOF_BIAS = 0.1
"""Callers above a level prove it if their mean ln W is surely within 0.1 of the base."""

N_PROOF = 12
"""Callers that a proof takes."""

N_RATE = 400
RATE_S = 20
"""Answers, or seconds, of a rate that proves: two standard errors are then a tenth."""

PENDING_MAX = 0.1
"""A level is judged when nine in ten of its callers have their answer: the quick come first."""

WAIT_MIN_S = 1e-6
"""A logarithm needs a floor."""

TINY = 1e-9

SATURATION_DTYPE = np.dtype(
    [
        ("n_open", np.int64),
        ("n_unanswered", np.int64),
        ("n_answers", np.int64),
        # the open second, and the rates of those closed
        ("open_arrivals", np.int64),
        ("open_answers", np.int64),
        ("demand_weight", np.float64),
        ("demand_sum", np.float64),
        ("drain_1s", np.float64),
        ("drain_10s", np.float64),
        ("drain_weight", np.float64),
        # the open window
        ("window_s", np.int64),
        ("least", np.int64),
        ("n", np.int64),
        ("wait_sum", np.float64),
        ("log_sum", np.float64),
        ("log_sq_sum", np.float64),
        ("met_sum", np.float64),
        ("met_sq_sum", np.float64),
        ("met_log_sum", np.float64),
        ("n_low", np.int64),
        ("low_wait_sum", np.float64),
        ("low_log_sum", np.float64),
        ("met_mean", np.float64),
        # elasticity
        ("slope_num", np.float64),
        ("slope_den", np.float64),
        ("slope_noise", np.float64),
        # base
        ("n_base", np.int64),
        ("base_log", np.float64),
        ("base_s", np.float64),
        ("spread", np.float64),
        ("flat_s", np.int64),
        ("excess_s", np.float64),
        # holds beyond the first byte
        ("n_stream", np.int64),
        ("stream_sum", np.float64),
        ("stream_s", np.float64),
        ("has_stream", np.int64),
        # judgement
        ("is_full", np.int64),
        ("n_queued", np.int64),
        ("is_saturated", np.int64),
        ("n_windows", np.int64),
        # capacity
        ("known_hz", np.float64),
        ("proven_hz", np.float64),
        ("run_s", np.float64),
        ("run_n", np.float64),
        ("slump_s", np.float64),
        ("slump_n", np.float64),
        ("rate_s", np.int64),
        ("rate_n", np.int64),
        # ln W by calls met
        ("level_pending", np.int64, (N_LEVELS,)),
        ("level_n", np.float64, (N_LEVELS,)),
        ("level_sum", np.float64, (N_LEVELS,)),
    ],
    align=True,
)
"""One upstream; 3.5 KB."""

READINGS = (
    ("capacity", "hz"),
    ("capacity_known", "bool"),
    ("drain_rate", "hz"),
    ("utilisation", "ratio"),
    ("saturated", "bool"),
    ("base_latency", "seconds"),
    ("queueing_delay", "seconds"),
    ("unanswered", "calls"),
)
"""Name and unit."""

DECAY_1S = math.exp(-1.0 / SECOND)
DECAY_10S = math.exp(-0.1 / SECOND)
"""Per bucket."""

DEMAND_DECAY = math.exp(-1.0 / 5.0)
"""Per second: demand of the last five seconds."""

N_DRAIN = 8.0
"""Answers within a second that make its rate worth saying; else ten seconds are asked."""

UTILISATION_MAX = 100.0


def make_saturation() -> Records:
    """Allocate one upstream's record."""
    saturation: Records = np.zeros(1, SATURATION_DTYPE)
    return saturation


@part
def find_level(n_met: int) -> int:
    """Return the level of a number of calls met."""
    return min(N_LEVELS - 1, int(LEVELS_PER_OCTAVE * math.log2(max(n_met, 1)) + 1e-9))


@part
def count_offered(saturation: Records, is_observed: bool) -> int:
    """Count an arrival; return how many calls are open with it (the call keeps that).

    A call beyond the table of open calls is demand and nothing else.
    """
    s = saturation[0]
    s["open_arrivals"] += 1
    if is_observed:
        s["n_open"] += 1
        s["n_unanswered"] += 1
        s["level_pending"][find_level(s["n_open"])] += 1
    return int(s["n_open"])


@part
def count_wait(saturation: Records, wait_ns: int, n_met: int) -> None:
    """Take in one latency to first byte of a good answer (an orphan's too)."""
    s = saturation[0]
    wait_s = max(wait_ns * 1e-9, WAIT_MIN_S)
    log_wait = math.log(wait_s)
    log_met = math.log(max(n_met, 1))
    s["n_answers"] += 1
    s["open_answers"] += 1
    s["n"] += 1
    s["wait_sum"] += wait_s
    s["log_sum"] += log_wait
    s["log_sq_sum"] += log_wait * log_wait
    s["met_sum"] += log_met
    s["met_sq_sum"] += log_met * log_met
    s["met_log_sum"] += log_met * log_wait
    if s["n_windows"] == 0 or n_met <= s["met_mean"]:
        s["n_low"] += 1
        s["low_wait_sum"] += wait_s
        s["low_log_sum"] += log_wait
    if s["is_full"] == 0:
        level = find_level(n_met)
        s["level_n"][level] += 1.0
        s["level_sum"][level] += log_wait


@part
def begin_answer(saturation: Records, wait_ns: int, n_met: int) -> None:
    """Take note of a first byte."""
    if n_met <= 0:
        return
    s = saturation[0]
    s["n_unanswered"] -= 1
    s["level_pending"][find_level(n_met)] -= 1
    count_wait(saturation, wait_ns, n_met)


@part
def end_work(
    saturation: Records, wait_ns: int, stream_ns: int, n_met: int, was_answered: bool, is_work: bool
) -> None:
    """Close a call.

    Parameters
    ----------
    wait_ns, stream_ns : int
        Time since its arrival; time since its first byte, if there was one.
    n_met : int
        What :func:`count_offered` returned; 0 for a call that was not counted.
    is_work : bool
        The upstream worked on it to a good end, whether or not its caller was still there.
    """
    if n_met <= 0:
        return
    s = saturation[0]
    s["n_open"] -= 1
    if not was_answered:
        s["n_unanswered"] -= 1
        s["level_pending"][find_level(n_met)] -= 1
        if is_work:
            count_wait(saturation, wait_ns, n_met)
    if is_work:
        s["n_stream"] += 1
        s["stream_sum"] += stream_ns * 1e-9 if was_answered else 0.0


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
def judge_queue(saturation: Records, window_s: int) -> None:
    """Say whether work waits at the upstream, and whether that is a queue or a slower service."""
    s = saturation[0]
    n = s["n"]
    rate_hz = n / window_s
    busy = rate_hz * s["base_s"]
    is_full = (
        s["n_base"] >= N_BASE_MIN
        and s["least"] > (FULL_RATIO + FULL_SD / math.sqrt(float(n))) * busy + 1.0
    )
    is_unexplained = s["least"] > EXPLAINED * s["wait_sum"] / window_s + 1.0
    s["is_full"] = 1 if is_full else 0
    if not is_full:
        s["n_queued"] = s["is_saturated"] = 0
    elif is_unexplained or has_slope(saturation, True):
        s["n_queued"] += 1
    if s["n_queued"] >= N_QUEUED:
        s["is_saturated"] = 1


@part
def close_window(saturation: Records) -> None:
    """Judge a filled window and open the next."""
    s = saturation[0]
    n = s["n"]
    window_s = s["window_s"]
    mean_log = s["log_sum"] / n
    within = max(0.0, s["log_sq_sum"] / n - mean_log * mean_log)
    gain = max(0.1, 1.0 / (s["n_windows"] + 1.0))
    s["spread"] += gain * (within - s["spread"])
    s["n_windows"] += 1
    if s["n_stream"] >= N_WINDOW_LATE:
        mean_s = s["stream_sum"] / s["n_stream"]
        s["stream_s"] += (STREAM_GAIN if s["has_stream"] == 1 else 1.0) * (mean_s - s["stream_s"])
        s["has_stream"] = 1
        s["n_stream"] = 0
        s["stream_sum"] = 0.0
    measure_slope(saturation)
    judge_queue(saturation, window_s)
    learn_base(saturation, window_s)
    s["excess_s"] = max(0.0, s["wait_sum"] / n - s["base_s"])
    if s["is_saturated"] == 1:
        measure_capacity(saturation, window_s)
    else:
        s["slump_s"] = s["slump_n"] = 0.0
        if s["is_full"] == 0:
            prove_places(saturation)
    prove_rate(saturation, window_s)
    s["met_mean"] = math.exp(s["met_sum"] / n)
    for level in range(N_LEVELS):
        s["level_n"][level] *= LEVEL_DECAY**window_s
        s["level_sum"][level] *= LEVEL_DECAY**window_s
    open_window(saturation)


@part
def open_window(saturation: Records) -> None:
    """Begin a window: no answers yet, and nobody counted as the least open."""
    s = saturation[0]
    s["window_s"] = 0
    s["least"] = s["n_unanswered"]
    s["n"] = s["n_low"] = 0
    s["wait_sum"] = s["log_sum"] = s["log_sq_sum"] = 0.0
    s["met_sum"] = s["met_sq_sum"] = s["met_log_sum"] = 0.0
    s["low_wait_sum"] = s["low_log_sum"] = 0.0


@part
def close_saturation(saturation: Records, bucket: int) -> None:
    """Fold a bucket; every hundredth ends a second, and may end the window."""
    s = saturation[0]
    s["drain_1s"] = s["drain_1s"] * DECAY_1S + s["open_answers"]
    s["drain_10s"] = s["drain_10s"] * DECAY_10S + s["open_answers"]
    s["drain_weight"] = s["drain_weight"] * DECAY_10S + 1.0
    if s["drain_10s"] < TINY:
        s["drain_1s"] = s["drain_10s"] = 0.0
    s["open_answers"] = 0
    s["least"] = min(s["least"], s["n_unanswered"])
    if (bucket + 1) % SECOND != 0:
        return
    s["demand_sum"] = s["demand_sum"] * DEMAND_DECAY + s["open_arrivals"]
    s["demand_weight"] = s["demand_weight"] * DEMAND_DECAY + 1.0
    if s["demand_sum"] < TINY:
        s["demand_sum"] = 0.0
    s["open_arrivals"] = 0
    s["proven_hz"] *= PROVEN_DECAY
    s["window_s"] += 1
    if s["n"] >= N_WINDOW or (s["n"] >= N_WINDOW_LATE and s["window_s"] >= LATE_S):
        close_window(saturation)
    elif s["window_s"] >= STALE_S:
        open_window(saturation)


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


@part
def get_drain_hz(saturation: Records) -> float:
    """Return answers per second now: the last second, or ten where that holds too few."""
    s = saturation[0]
    weight = max(s["drain_weight"], 1.0)
    if s["drain_1s"] >= N_DRAIN:
        return float(s["drain_1s"] * SECOND / min(weight, 100.0))
    return float(s["drain_10s"] * SECOND / max(weight, 100.0))


@part
def get_demand_hz(saturation: Records) -> float:
    """Return arrivals per second, organic and retries, over the last five seconds."""
    s = saturation[0]
    return float(s["demand_sum"] / max(s["demand_weight"], 1.0))


@part
def summarise_saturation(saturation: Records, out: Records) -> None:
    """Fill this detector's readings."""
    s = saturation[0]
    capacity_hz = get_capacity_hz(saturation)
    ratio = get_demand_hz(saturation) / capacity_hz if capacity_hz > 0.0 else 0.0
    is_ready = capacity_hz > 0.0
    n = s["n_answers"]
    has_base = s["n_base"] >= N_BASE_MIN
    put(out, 0, capacity_hz, n, is_ready)
    put(out, 1, 1.0 if s["known_hz"] > 0.0 else 0.0, n, is_ready)
    put(out, 2, get_drain_hz(saturation), n, s["drain_weight"] > 0.0)
    put(out, 3, min(ratio, UTILISATION_MAX), n, is_ready)
    put(out, 4, s["is_saturated"], n, has_base)
    put(out, 5, s["base_s"], n, has_base)
    put(out, 6, s["excess_s"], n, has_base)
    put(out, 7, s["n_unanswered"], n, True)
