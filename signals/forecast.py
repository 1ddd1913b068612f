"""The forecast of one upstream: what its parts are told, when they are drawn, what is read.

*Rule of this file*: memory, the order of work at an event and at the end of a
bin, and the readings. The parts: :mod:`signals.backoff` (when one caller is
back), :mod:`signals.pending` (who is out), :mod:`signals.patience` (who waits),
:mod:`signals.generations` (the curve), :mod:`signals.storm` (the alarm),
:mod:`signals.score` (how well it went).

*Cost*: a few nanoseconds an arrival, an end or a bin where nothing has failed.
*Source*: the project's detection study, section 4.
"""

from __future__ import annotations

import math

import numpy as np

from signals.backoff import BACKOFF_DTYPE, BIN_NS, BIN_S, LEARNED_MIN, N_LAWS, Record
from signals.decay import fade
from signals.families import N_ATTEMPTS
from signals.generations import HORIZON, draw_curves, draw_flat
from signals.kernel import part
from signals.pages import make_table
from signals.patience import (
    PATIENCE_DTYPE,
    add_waiting,
    close_pace,
    compute_patience_s,
    compute_wait_s,
    count_leaver,
    count_served,
    drop_orphan,
    remove_waiting,
)
from signals.pending import (
    PENDING_DTYPE,
    add_pending,
    close_pending,
    get_law,
    settle_pending,
)
from signals.score import N_WINDOWS, SCORE_DTYPE, WINDOWS, close_score, compute_error
from signals.state import BUCKET_NS, NOT_IN_SIGHT_S, Records, put
from signals.storm import STORM_DTYPE, count_recent, judge_storm

DECAY_FAST = math.exp(-BIN_S / 0.3)
"""Of refusals and arrivals: the state of the service, not its history."""

DECAY_NOW = math.exp(-BIN_S / 0.1)
"""Of the same, for the alarm: the first tick of a refusal must count in full."""

REFUSING_SHARE = 0.1
"""Of arrivals: less is no refusal."""

DECAY_SEEN = math.exp(-0.5 / 10.0)
"""Of arrivals by family and attempt, each half second."""

BLOCK = 10
"""Bins in half a second."""

N_BLOCKS = 16
"""Half seconds of fresh arrivals behind organic demand."""

N_RECENT_BLOCKS = 4
"""Half seconds of organic demand while callers are out: they ask for nothing new, so that
demand falls as the storm grows; never above the longer measure."""

N_TRIMMED = 2
"""Highest and lowest half seconds left out."""

PATIENCE_SHARE = 0.5
"""The line is looked at once it is half as long as patience allows."""

BUCKETS = BIN_NS // BUCKET_NS
"""Buckets in a bin."""

READY_BLOCKS = 4
"""Two seconds of arrivals before anything is forecast."""

READY_SCORES = 4
"""Half seconds scored before the score is shown."""

READINGS = (
    ("forecast_500ms", "hz"),
    ("forecast_1s", "hz"),
    ("forecast_2s", "hz"),
    ("forecast_4s", "hz"),
    ("forecast_peak", "hz"),
    ("storm_alarm", "bool"),
    ("storm_alarms", "count"),
    ("storm_crossing", "seconds"),
    ("storm_excess", "hz"),
    ("storm_returns", "count"),
    ("pending_failures", "count"),
    ("granted_slots", "count"),
    ("patience", "seconds"),
    ("kernels_learned", "count"),
    ("returns_within_tick", "ratio"),
    ("forecast_error", "ratio"),
    ("persistence_error", "ratio"),
)
"""Name and unit. The first four: mean rate 0-0.5, 0.5-1, 1-2, 2-4 s from now."""

N_READINGS = len(READINGS)

FORECAST_DTYPE = np.dtype(
    [
        ("backoff", BACKOFF_DTYPE),
        ("pending", PENDING_DTYPE),
        ("patience", PATIENCE_DTYPE),
        ("storm", STORM_DTYPE),
        ("score", SCORE_DTYPE),
        # capacity that is known for certain, 0 if it must be estimated
        ("told_hz", np.float64),
        # counts of the open bin
        ("open_arrivals", np.int64),
        ("open_fresh", np.int64),
        ("open_refused", np.int64),
        ("open_granted", np.int64),
        # decayed sums over closed bins
        ("arrivals", np.float64),
        ("refused", np.float64),
        ("granted", np.float64),
        ("arrivals_now", np.float64),
        ("refused_now", np.float64),
        # bins since a tenth or more of arrivals has been refused
        ("refusing", np.int64),
        ("seen", np.float64, (N_LAWS, N_ATTEMPTS)),
        # organic demand
        ("blocks", np.float64, (N_BLOCKS,)),
        ("block", np.float64),
        ("n_blocks", np.int64),
        ("organic", np.float64),
        ("busy_organic", np.float64),
        # law of all callers mixed
        ("mix", np.float64, (N_ATTEMPTS, HORIZON)),
        ("next_rebuild", np.int64),
        # the forecast, arrivals per bin: by attempt (of the run last made), and in all
        ("is_active", np.int64),
        ("known", np.float64, (N_ATTEMPTS + 1, HORIZON)),
        ("by_attempt", np.float64, (N_ATTEMPTS + 1, HORIZON)),
        ("leaving", np.float64, (N_ATTEMPTS, HORIZON)),
        ("planned", np.float64, (N_ATTEMPTS, HORIZON)),
        ("faded", np.float64, (HORIZON,)),
        ("unfaded", np.float64, (HORIZON,)),
        ("returns", np.float64, (HORIZON,)),
        ("n_failing", np.float64),
    ],
    align=True,
)
"""Of one upstream; 600 KB, of which 30 KB are touched where nothing fails."""


def make_forecast() -> Records:
    """Allocate the forecast of one upstream."""
    return make_table(1, FORECAST_DTYPE)


@part
def note_arrival(
    f: Record, t_ns: int, attempt: int, family: int, is_known: bool, patience_ns: int
) -> None:
    """Count an arrival whose call is observed to its end."""
    f["open_arrivals"] += 1
    if attempt == 0:
        f["open_fresh"] += 1
    f["seen"][get_law(family, is_known), min(attempt, N_ATTEMPTS - 1)] += 1.0
    add_waiting(f["patience"], t_ns, attempt, patience_ns)


@part
def note_return(
    f: Record,
    t_ns: int,
    failed_ns: int,
    due_ns: int,
    attempt: int,
    family: int,
    is_retry: bool,
) -> None:
    """Take note that an arrival answers a failure: when, by whom, and which attempt that was."""
    settle_pending(f["pending"], f["backoff"], t_ns, failed_ns, due_ns, attempt, family, is_retry)


@part
def note_first_byte(f: Record, t_ns: int, arrived_ns: int, attempt: int, has_left: bool) -> None:
    """Take note of a call's first byte."""
    count_served(f["patience"], t_ns, arrived_ns, attempt, has_left)


@part
def note_leave(
    f: Record, t_ns: int, arrived_ns: int, attempt: int, family: int, is_known: bool
) -> None:
    """Take note of a caller that left before its first byte."""
    count_leaver(f["patience"], t_ns, arrived_ns, attempt)
    add_pending(f["pending"], t_ns, attempt, family, is_known, 0)


@part
def note_drop(f: Record, t_ns: int, arrived_ns: int, attempt: int, has_left: bool) -> None:
    """Take note of a call that ended without a first byte, refused, broken or dropped."""
    if has_left:
        drop_orphan(f["patience"])
    else:
        remove_waiting(f["patience"], t_ns, arrived_ns, attempt)


@part
def note_failure(
    f: Record, t_ns: int, attempt: int, family: int, is_known: bool, due_ns: int
) -> None:
    """Take note of a failure handed to a caller, by the upstream or by Governor."""
    f["open_refused"] += 1
    if add_pending(f["pending"], t_ns, attempt, family, is_known, due_ns):
        f["open_granted"] += 1


@part
def close_shares(f: Record) -> None:
    """Fold a bin's counts into the decayed sums."""
    f["arrivals"] = fade(f["arrivals"], DECAY_FAST, f["open_arrivals"])
    f["refused"] = fade(f["refused"], DECAY_FAST, f["open_refused"])
    f["granted"] = fade(f["granted"], DECAY_FAST, f["open_granted"])
    f["arrivals_now"] = fade(f["arrivals_now"], DECAY_NOW, f["open_arrivals"])
    f["refused_now"] = fade(f["refused_now"], DECAY_NOW, f["open_refused"])
    is_refusing = f["refused"] > REFUSING_SHARE * f["arrivals"] and f["refused"] > 1.0
    f["refusing"] = f["refusing"] + 1 if is_refusing else 0
    f["open_refused"] = 0
    f["open_granted"] = 0


@part
def close_forecast(forecast: Records, bucket: int, capacity_hz: float) -> None:
    """End a bucket; every fifth ends a bin, and the forecast is drawn anew.

    Parameters
    ----------
    bucket : int
        The bucket that has ended.
    capacity_hz : float
        Calls per second that the upstream can serve; 0 if unknown (then no storm is told).
    """
    if (bucket + 1) % BUCKETS != 0:
        return
    f = forecast[0]
    if f["told_hz"] > 0.0:
        capacity_hz = f["told_hz"]
    bin_idx = bucket // BUCKETS
    close_shares(f)
    close_pending(f["pending"], f["backoff"], bin_idx)
    close_pace(f["patience"], bin_idx)
    is_half_second = close_organic(f, bin_idx)
    count_recent(f["storm"], bin_idx, f["open_arrivals"])
    f["open_arrivals"] = 0
    f["open_fresh"] = 0
    was_active = f["is_active"]
    f["is_active"] = 1 if is_needed(f) else 0
    if f["is_active"] == 1:
        draw_curves(f, bin_idx)
    elif was_active == 1 or is_half_second:
        draw_flat(f)
    if f["is_active"] == 1 or f["storm"]["is_on"] == 1:
        n_awaited = f["pending"]["n_out"] + f["pending"]["n_due"] + f["n_failing"]
        judge_storm(f["storm"], bin_idx, capacity_hz, f["unfaded"], f["returns"], n_awaited)
    if is_half_second:
        close_score(f["score"], bin_idx, f["storm"]["totals"], f["faded"], f["is_active"] == 1)


@part
def is_needed(f: Record) -> bool:
    """Tell whether anything but organic demand can come."""
    if f["pending"]["n_out"] > 0 or f["pending"]["n_due"] > 0:
        return True
    patience_s = compute_patience_s(f["patience"])
    if patience_s == 0.0:
        return False
    n = f["patience"]["n_waiting"] + f["patience"]["n_orphans"]
    return bool(compute_wait_s(f["patience"], n) > PATIENCE_SHARE * patience_s)


@part
def close_organic(f: Record, bin_idx: int) -> bool:
    """Fold a bin's fresh arrivals into organic demand; tell whether a half second has ended."""
    f["block"] += f["open_fresh"]
    if (bin_idx + 1) % BLOCK != 0:
        return False
    blocks = f["blocks"]
    blocks[f["n_blocks"] % N_BLOCKS] = f["block"]
    f["n_blocks"] += 1
    f["block"] = 0.0
    n = min(f["n_blocks"], N_BLOCKS)
    f["organic"] = compute_trimmed_mean(blocks[:n]) / BLOCK
    recent = 0.0
    for back in range(1, N_RECENT_BLOCKS + 1):
        recent += blocks[(f["n_blocks"] - back) % N_BLOCKS]
    f["busy_organic"] = min(f["organic"], recent / (N_RECENT_BLOCKS * BLOCK))
    seen = f["seen"]
    for law in range(N_LAWS):
        for q in range(N_ATTEMPTS):
            if seen[law, q] != 0.0:
                seen[law, q] = fade(seen[law, q], DECAY_SEEN, 0.0)
    return True


@part
def compute_trimmed_mean(values: Records) -> float:
    """Return the mean without the extremes; of few values the mean of all."""
    n = len(values)
    if n <= 4 * N_TRIMMED:
        return float(np.sum(values) / n)
    ordered = np.sort(values)
    return float(np.sum(ordered[N_TRIMMED : n - N_TRIMMED]) / (n - 2 * N_TRIMMED))


@part
def summarise_forecast(forecast: Records, out: Records) -> None:
    """Give the readings, as of the last bin."""
    f = forecast[0]
    storm, score, pending = f["storm"], f["score"], f["pending"]
    n_out, n_due = pending["n_out"], pending["n_due"]
    is_ready = f["n_blocks"] >= READY_BLOCKS
    curve = f["faded"]
    for k in range(N_WINDOWS):
        start, stop = WINDOWS[k]
        total = 0.0
        for h in range(start, stop):
            total += curve[h]
        put(out, k, total / ((stop - start) * BIN_S), n_out + n_due, is_ready)
    has_capacity = storm["capacity_hz"] > 0.0
    put(out, 4, storm["peak_hz"], n_out + n_due, is_ready and has_capacity)
    put(out, 5, 1.0 if storm["is_on"] == 1 else 0.0, n_out + n_due, is_ready and has_capacity)
    put(out, 6, storm["n_alarms"], n_out + n_due, is_ready)
    put(out, 7, storm["crossing_s"] if is_ready else NOT_IN_SIGHT_S, n_out + n_due, has_capacity)
    put(out, 8, storm["excess_hz"], n_out + n_due, is_ready and has_capacity)
    put(out, 9, storm["n_returns"], n_out + n_due, is_ready)
    put(out, 10, n_out, n_out, True)
    put(out, 11, n_due, n_due, True)
    patience = f["patience"]
    patience_s = compute_patience_s(patience)
    put(out, 12, patience_s, patience["n_leavers"], patience_s > 0.0)
    learned = 0
    n_returns = 0
    for law in range(N_LAWS):
        for q in range(N_ATTEMPTS):
            n = f["backoff"]["n_returns"][law, q]
            n_returns += n
            learned += 1 if n >= LEARNED_MIN else 0
    put(out, 13, learned, n_returns, True)
    put(out, 14, compute_late_share(f), n_out, f["is_active"] == 1)
    error = compute_error(score["error"], score["actual"])
    baseline = compute_error(score["persistence"], score["actual"])
    put(out, 15, error, score["n"], score["n"] >= READY_SCORES)
    put(out, 16, baseline, score["n"], score["n"] >= READY_SCORES)


@part
def compute_late_share(f: Record) -> float:
    """Return the share of returns that come within a tick of the failure: nothing leads those."""
    law = f["mix"][0]
    total = np.sum(law)
    return min(1.0, (law[0] + law[1] * 0.5) / total) if total > 0.0 else 0.0
