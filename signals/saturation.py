"""How much an upstream can answer, and how near it is to that: capacity, known or proven.

*Rule of this file*: latency to first byte, calls open and answers of one upstream, judged window by
window. Demand and answers a second are in :mod:`signals.rates`, when demand will meet capacity is
in :mod:`signals.headroom`.

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

from signals.capacity import (
    PROVEN_DECAY,
    get_capacity_hz,
    measure_capacity,
    prove_places,
    prove_rate,
)
from signals.kernel import part
from signals.latency import (
    LEVELS_PER_OCTAVE,
    N_BASE_MIN,
    N_LEVELS,
    N_WINDOW,
    N_WINDOW_LATE,
    has_slope,
    learn_base,
    measure_slope,
)
from signals.rates import close_demand, close_drain, get_demand_hz, get_drain_hz
from signals.state import SECOND, Records, put

STALE_S = 600
"""A window that has not filled in ten minutes is dropped: it would mix two times of day."""

FULL_RATIO = 1.1
FULL_SD = 2.0
"""The least number open must exceed what is worked on by a tenth and the noise of X."""

EXPLAINED = 1.3
"""Open calls over X W beyond which those answered are not those who wait."""

N_QUEUED = 2
"""Full windows with proof of a queue before it is believed: calls grouped by their answer are a
biased choice while traffic changes."""

LEVEL_DECAY = 0.5 ** (1.0 / 120.0)
"""Memory of the levels: half in two minutes of answers."""

STREAM_GAIN = 0.2
"""Gain of the mean time from first byte to end, per window."""

WAIT_MIN_S = 1e-6
"""A logarithm needs a floor."""

LATE_S = 60
"""After a minute eight answers make a window: calls of a minute in four places end 4 a minute."""

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
    if is_full != (s["is_full"] == 1):
        # Slack says much more of e = 0 than a queue of e = 1: each is judged by its own windows.
        s["slope_num"] = s["slope_den"] = s["slope_noise"] = 0.0
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
    close_drain(saturation)
    s["least"] = min(s["least"], s["n_unanswered"])
    if (bucket + 1) % SECOND != 0:
        return
    close_demand(saturation)
    s["proven_hz"] *= PROVEN_DECAY
    s["window_s"] += 1
    if s["n"] >= N_WINDOW or (s["n"] >= N_WINDOW_LATE and s["window_s"] >= LATE_S):
        close_window(saturation)
    elif s["window_s"] >= STALE_S:
        open_window(saturation)


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
