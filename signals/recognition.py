"""Which attempt an arrival is: by its mark, else by memory, shape and lag; and whose client it is.

*Rule of this file*: the order in which the evidence is heard, and what is read of
it. The memory of failures is in :mod:`signals.retry`, the verdict on a lag in
:mod:`signals.calibration`, the family of clients in :mod:`signals.habits`.

*Theory*: an arrival that repeats the shape of a failed call of its flow is

1. what its mark says, if it has one (the lag then teaches what retries look like);
2. a retry, if it was asked to come back about now (a hint leaves its own mark);
3. a retry, if the calibration of its family finds that likelier than not.

Else it is fresh: its client has given up and its program asks again, so that the
chain of attempts is cut here. In either case the failure is used up. The lag
counts from the failure, which for a caller that left is the instant of leaving.

*The control*: one success of a flow at a time is **watched** until its shape is
repeated or ``MEMORY_NS`` has passed, just as a failure is remembered; so both
histograms are made in the same way, also where a flow has many calls at once.

*Regime*, *Source*: see the three. *Cost*: O(1) an event; sixteen additions a second.
"""

from __future__ import annotations

import math

import numpy as np

from signals.calibration import (
    RETRY_P,
    ROW_MIN,
    begin_watch,
    find_depth,
    is_in_use,
    judge_return,
    learn_failure,
    learn_return,
    learn_success,
)
from signals.decay import fade
from signals.families import N_FAMILIES, UNKNOWN
from signals.habits import tell_lag
from signals.kernel import part
from signals.retry import ATTEMPT_MAX, DECAY_10S, MEMORY_NS, find_failure
from signals.state import SECOND, Records, put

INVITED_EARLY_NS = 20_000_000
INVITED_LATE_NS = 1_000_000_000
INVITED_LATE_SHARE = 0.25
"""Clients that obey a hint come when it says or up to a fifth later, or add up to 0.75 s."""

DECAY_10S_A_SECOND = math.exp(-0.1)
"""Families are forgotten once a second, with 10 s."""

RECOGNITION_DTYPE = np.dtype(
    [
        # counts of the open bucket
        ("open_retries", np.int64),
        ("open_marked", np.int64),
        ("open_attempts", np.int64),
        ("open_returns", np.int64),
        ("open_turned", np.int64),
        ("open_families", np.int64, (N_FAMILIES,)),
        # decayed sums over closed buckets
        ("retries_10s", np.float64),
        ("marked_10s", np.float64),
        ("attempts_10s", np.float64),
        ("returns_10s", np.float64),
        ("turned_10s", np.float64),
        ("families_10s", np.float64, (N_FAMILIES,)),
        # lifetime totals
        ("n_retries", np.int64),
        ("n_returns", np.int64),
    ],
    align=True,
)
"""What is counted of retries; turned: returns to a failure that are taken for fresh calls."""

READINGS = (
    ("retry_marked_share", "ratio"),
    ("retry_mean_attempt", "attempts"),
    ("retry_turned_share", "ratio"),
    ("retry_family", "family"),
    ("retry_family_share", "ratio"),
    ("repeat_share", "ratio"),
    ("retry_calibrated", "bool"),
)
"""Of the retries of the last 10 s: share that a header marked, mean attempt; of returns to a
failure the share that the lag tells to be fresh; the commonest family and its share of the
retries. Ever: share of successes that were followed by the same shape, and whether that is
enough for lags to be judged."""


def make_recognition() -> Records:
    """Allocate the counts of one upstream."""
    return np.zeros(1, RECOGNITION_DTYPE)


@part
def is_invited(t_ns: int, failed_ns: int, due_ns: int) -> bool:
    """Return whether a call comes when its failed predecessor was asked to come back."""
    late_ns = max(INVITED_LATE_NS, int(INVITED_LATE_SHARE * (due_ns - failed_ns)))
    return due_ns > 0 and due_ns - INVITED_EARLY_NS <= t_ns <= due_ns + late_ns


@part
def choose_row(calibration: Records, told: int, family: int, attempt: int) -> int:
    """Return whose lags a return is judged by: its family's if they are many, else those of all.

    Only callers of whom no header tells may have a family beside the one told.
    """
    n_returned = calibration[0]["n_returned"][family, find_depth(attempt)]
    return family if n_returned >= ROW_MIN else told


@part
def weigh_return(
    flows: Records,
    calibration: Records,
    row: int,
    idx: int,
    marked_attempt: int,
    told: int,
    t_ns: int,
) -> int:
    """Return the attempt of a call that repeats a failed one, and learn from its lag."""
    f = flows[row]
    failed_ns, due_ns = f["failed_ns"][idx], f["failed_due_ns"][idx]
    attempt, family = int(f["failed_attempt"][idx]), int(f["failed_family"][idx])
    lag_ns = t_ns - failed_ns
    is_retry = marked_attempt > 0 or is_invited(t_ns, failed_ns, due_ns)
    if not is_retry:
        judge = choose_row(calibration, told, family, attempt)
        is_retry = judge_return(calibration, told, judge, attempt, lag_ns) > RETRY_P
    if due_ns == 0:
        learn_return(calibration, told, told, attempt, lag_ns)
        if family != told:
            learn_return(calibration, told, family, attempt, lag_ns)
        if is_retry and told == UNKNOWN:
            tell_lag(flows, row, attempt + 1, lag_ns)
    return int(min(attempt + 1, ATTEMPT_MAX)) if is_retry else 0


@part
def settle_watch(
    flows: Records, calibration: Records, row: int, fingerprint: float, t_ns: int
) -> None:
    """End the watch of a flow's success: its shape is repeated, or it is too long ago."""
    f = flows[row]
    if f["watched_ns"] == 0:
        return
    lag_ns = t_ns - f["watched_ns"]
    if lag_ns >= MEMORY_NS:
        learn_success(calibration, f["watched_told"], -1)
        f["watched_ns"] = 0
    elif f["watched_fingerprint"] == fingerprint:
        learn_success(calibration, f["watched_told"], lag_ns)
        f["watched_ns"] = 0


@part
def watch_success(
    flows: Records, calibration: Records, row: int, fingerprint: float, told: int, t_ns: int
) -> None:
    """Watch for a repetition of a call that went well, unless an earlier one is watched."""
    f = flows[row]
    if f["watched_ns"] != 0 and t_ns - f["watched_ns"] >= MEMORY_NS:
        learn_success(calibration, f["watched_told"], -1)
        f["watched_ns"] = 0
    if f["watched_ns"] == 0:
        begin_watch(calibration, told)
        f["watched_ns"] = t_ns
        f["watched_fingerprint"] = fingerprint
        f["watched_told"] = told


@part
def recognise(
    flows: Records,
    calibration: Records,
    recognition: Records,
    row: int,
    fingerprint: float,
    marked_attempt: int,
    told: int,
    t_ns: int,
) -> tuple[int, int]:
    """Return an arrival's attempt, and which remembered failure of its flow it answers (or -1).

    A call that is marked fresh answers none. A failure may be answered by a
    fresh call (attempt 0): nothing more comes of it then.
    """
    r = recognition[0]
    attempt = 0
    found = -1
    if row != 0:
        if marked_attempt != 0:
            found = find_failure(flows, row, fingerprint, t_ns)
        if found >= 0:
            attempt = weigh_return(flows, calibration, row, found, marked_attempt, told, t_ns)
            r["open_returns"] += 1
            r["n_returns"] += 1
            if attempt == 0:
                r["open_turned"] += 1
        else:
            settle_watch(flows, calibration, row, fingerprint, t_ns)
    if marked_attempt >= 0:
        attempt = min(marked_attempt, ATTEMPT_MAX)
    if attempt > 0:
        r["n_retries"] += 1
        r["open_retries"] += 1
        r["open_attempts"] += attempt
        if marked_attempt > 0:
            r["open_marked"] += 1
        r["open_families"][told if told != UNKNOWN else flows[row]["family"]] += 1
    return attempt, found


@part
def await_return(calibration: Records, told: int, family: int, attempt: int, due_ns: int) -> None:
    """Count a failure that its client may repeat in its own time."""
    if due_ns == 0:
        learn_failure(calibration, told, attempt)
        if family != told:
            learn_failure(calibration, family, attempt)


@part
def close_recognition(recognition: Records, bucket: int) -> None:
    """Fold the closing bucket into the decayed sums."""
    r = recognition[0]
    r["retries_10s"] = fade(r["retries_10s"], DECAY_10S, r["open_retries"])
    r["marked_10s"] = fade(r["marked_10s"], DECAY_10S, r["open_marked"])
    r["attempts_10s"] = fade(r["attempts_10s"], DECAY_10S, r["open_attempts"])
    r["returns_10s"] = fade(r["returns_10s"], DECAY_10S, r["open_returns"])
    r["turned_10s"] = fade(r["turned_10s"], DECAY_10S, r["open_turned"])
    if bucket % SECOND == 0:
        for family in range(N_FAMILIES):
            r["families_10s"][family] = fade(r["families_10s"][family], DECAY_10S_A_SECOND, 0)
    if r["open_retries"] > 0:
        for family in range(N_FAMILIES):
            r["families_10s"][family] += r["open_families"][family]
            r["open_families"][family] = 0
    r["open_retries"] = 0
    r["open_marked"] = 0
    r["open_attempts"] = 0
    r["open_returns"] = 0
    r["open_turned"] = 0


@part
def divide(share: float, whole: float, least: float) -> float:
    """Divide, calling less than the least whole nothing at all."""
    return share / whole if whole >= least else 0.0


@part
def summarise_recognition(calibration: Records, recognition: Records, out: Records) -> None:
    """Tell what retries are made of, in the order of ``READINGS``."""
    r, c = recognition[0], calibration[0]
    n_retries, retries = r["n_retries"], r["retries_10s"]
    has_retries = retries >= 0.01
    put(out, 0, divide(r["marked_10s"], retries, 0.01), n_retries, has_retries)
    put(out, 1, divide(r["attempts_10s"], retries, 0.01), n_retries, has_retries)
    turned = divide(r["turned_10s"], r["returns_10s"], 0.01)
    put(out, 2, turned, r["n_returns"], r["returns_10s"] >= 0.01)
    commonest = 0
    in_all = watched = repeated = 0.0
    is_calibrated = False
    for family in range(N_FAMILIES):
        in_all += r["families_10s"][family]
        if r["families_10s"][family] > r["families_10s"][commonest]:
            commonest = family
        watched += c["n_watched"][family]
        repeated += c["n_repeated"][family]
        is_calibrated = is_calibrated or is_in_use(calibration, family)
    put(out, 3, commonest, n_retries, in_all >= 0.01)
    share = divide(r["families_10s"][commonest], in_all, 0.01)
    put(out, 4, share, n_retries, in_all >= 0.01)
    put(out, 5, divide(repeated, watched, 1.0), watched, watched >= 1.0)
    put(out, 6, 1.0 if is_calibrated else 0.0, repeated, watched >= 1.0)
