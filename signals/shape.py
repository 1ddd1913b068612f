"""What kind of load this is: demand, a surge, a cascade, a stuck caller.

*Rule of this file*: the verdict, the surge in it, and its hysteresis. Whether failures multiply
is in :mod:`signals.reproduction`.

*Theory*: overload by demand and overload by retries ask for opposite acts, and
dispersion cannot tell them apart; the retry share can. Judged every 50 ms on
closed buckets (share: retries over arrivals; distinct flows exact):

    cascade : share >= 0.2 and >= 5 distinct retrying flows, over 1 s or over 5 s;
              without identity: matched filter L >= 12
    mixed   : share >= 0.05 and >= 5 retrying flows, or a surge with such a share
    surge   : fresh demand rises (below), share < 0.05
    stuck   : share over 5 s >= 0.2, at least 3 retries, fewer than 5 flows
    organic : none of these

*Surge*: Page's test for a doubling of the distinct flows that arrive fresh (no
retries; silent for 0.64 s before), n a bin against their slow mean m:

    S <- min(20, max(0, S + (n ln 2 - m) / F)),   surge at S >= 10

F: variance over mean at 0.5 s or 5 s, the larger, winsorised. It takes at
least 15 callers; a threefold rise of 2/s needs 5 s, a tenfold rise of 20/s
0.1 s. It is no alarm, so e^-10 suffices. The mean follows with 60 s: after a
minute a surge is the new demand.

*Hysteresis*: a graver verdict (organic < stuck < surge < mixed < cascade) comes
at once. A verdict is left for a milder one only after a full second in which
not even half of what called for it was there (S falls by m a second by itself).

*Regime*: on a coarse clock verdicts are not ready.
*Cost*: O(1) an event and a 50 ms bin. 12 KB.
*Source*: detection study, section 5 (thresholds); E. S. Page, "Continuous
inspection schemes", Biometrika 1954.
*Considered and rejected*: a level threshold on the rate (any trace crosses it).
"""

from __future__ import annotations

import math

import numpy as np

from signals.decay import fade
from signals.kernel import part
from signals.matched import ALARM_NATS, is_anonymous
from signals.reproduction import (
    AGES,
    BIN_BUCKETS,
    BIN_NS,
    FATES_MIN,
    N_CLASSES,
    compute_return_share,
    give_up,
)
from signals.retry import CASCADE_FLOWS, CASCADE_SHARE
from signals.state import SECOND, Records, put
from signals.synchrony import is_clock_coarse

ORGANIC, SURGE, CASCADE, STUCK, MIXED = range(5)
SHAPES = ("organic", "surge", "cascade", "stuck_caller", "mixed")
"""Word by code."""

GRAVITY = (0, 2, 4, 1, 3)
"""By code: a graver verdict comes at once, a milder one waits."""

FRESH_NS = 640_000_000
"""A flow silent this long counts as another caller: the widest window of the scans."""

MIXED_SHARE = 0.05
"""Below this retries are noise: recorded organic demand has hardly any."""

STUCK_RETRIES = 3
"""One or two retries are ordinary bad luck."""

SURGE_NATS, SURGE_MAX = 10.0, 20.0
"""e^-10 a test and F on the safe side; the cap bounds how long a surge that is over is said."""

RISE = math.log(2.0)
"""The rise that is looked for: a doubling."""

SLOW_BINS = 1_200
"""60 s: time constant of the fresh callers' mean and of their dispersion."""

READY_BINS = 200
"""10 s of mean before a surge is looked for."""

HALF_BINS, WIDE_BINS = 10, 100
"""0.5 s and 5 s: windows of dispersion."""

WINSOR, DISPERSION_MEAN_FLOOR = 25.0, 0.2
"""As in :mod:`signals.synchrony`."""

HOLD_BUCKETS = SECOND
"""1 s: how long a verdict outlasts its last cause."""

AGE_MAX = 3_600 * SECOND
"""A verdict that has stood for an hour is as old as it gets."""

RETRYING_RING, RETRYING_BINS = 128, 100
"""Distinct retrying flows over 5 s, in bins of 50 ms."""

DECAY_2S = math.exp(-0.025)
DECAY_5S = math.exp(-0.01)

SHAPE_DTYPE = np.dtype(
    [
        ("n_bins", np.int64),
        # counts of the open bin
        ("open_arrivals", np.int64),
        ("open_retries", np.int64),
        ("open_failures", np.int64),
        ("open_fresh", np.int64),
        # decayed sums over closed bins
        ("arrivals_2s", np.float64),
        ("failures_2s", np.float64),
        ("arrivals_5s", np.float64),
        ("retries_5s", np.float64),
        # distinct flows by the bin of their latest retry
        ("retrying", np.int64, (RETRYING_RING,)),
        ("n_retrying", np.int64),
        # surge
        ("mean", np.float64),
        ("sums", np.float64, (2,)),
        ("means", np.float64, (2,)),
        ("dispersion", np.float64, (2,)),
        ("nats", np.float64),
        # verdict
        ("verdict", np.int64),
        ("since_bucket", np.int64),
        ("held_bucket", np.int64),
        ("n_verdicts", np.int64, (5,)),
        ("n_buckets", np.int64, (5,)),
        # fates of failures
        ("away", np.int64, (AGES,)),
        ("n_away", np.int64),
        ("returned", np.float64, (N_CLASSES,)),
        ("lost", np.float64),
        ("still_away", np.float64, (N_CLASSES,)),
    ],
    align=True,
)
"""One upstream; 12 KB."""

READINGS = (
    ("load_shape", "code"),
    ("load_shape_age", "seconds"),
    ("surge", "nats"),
    ("return_share", "ratio"),
    ("reproduction", "ratio"),
)


def make_shape() -> Records:
    """Allocate the verdict of one upstream; dispersion starts at Poisson's 1."""
    shape: Records = np.zeros(1, SHAPE_DTYPE)
    shape["dispersion"] = 1.0
    return shape


@part
def count_demand(shape: Records, silent_ns: int, is_retry: bool) -> None:
    """Count an arrival; ``silent_ns``: since its flow's last one (long, if it is unknown)."""
    if not is_retry and silent_ns >= FRESH_NS:
        shape[0]["open_fresh"] += 1


@part
def count_retrying_flow(shape: Records, t_ns: int, previous_ns: int) -> None:
    """Count a flow's retry in the open bin, moving it from its previous retry's."""
    s = shape[0]
    idx, previous = t_ns // BIN_NS, previous_ns // BIN_NS
    if previous == idx:
        return
    if idx - previous <= RETRYING_BINS:
        s["retrying"][previous & (RETRYING_RING - 1)] -= 1
        s["n_retrying"] -= 1
    s["retrying"][idx & (RETRYING_RING - 1)] += 1
    s["n_retrying"] += 1


@part
def share_of(part_of: float, whole: float) -> float:
    """Divide, calling less than a hundredth of an event nothing at all."""
    return min(1.0, part_of / whole) if whole >= 0.01 else 0.0


@part
def judge(shape: Records, bank: Records, matched: Records, half: float) -> int:
    """Return what the load looks like now.

    Parameters
    ----------
    half : float
        1 to enter a verdict; 0.5 asks for half of everything, to stay in it.
    """
    s = shape[0]
    b = bank[0]
    share = share_of(b["retries_1s"], b["arrivals_1s"])
    wide_share = share_of(s["retries_5s"], s["arrivals_5s"])
    n_min = math.ceil(half * CASCADE_FLOWS)
    is_matched = matched[0]["nats"] >= half * ALARM_NATS and is_anonymous(bank)
    is_surge = s["nats"] >= half * SURGE_NATS and s["n_bins"] > READY_BINS
    many = s["n_retrying"] >= n_min
    if share >= half * CASCADE_SHARE and b["n_retrying"] >= n_min:
        return CASCADE
    if wide_share >= half * CASCADE_SHARE and many:
        return CASCADE
    if is_matched:
        return CASCADE
    if share >= half * MIXED_SHARE and (many or is_surge):
        return MIXED
    if is_surge:
        return SURGE
    if wide_share >= half * CASCADE_SHARE and s["retries_5s"] >= half * STUCK_RETRIES:
        return STUCK
    return ORGANIC


@part
def decide(shape: Records, bank: Records, matched: Records, bucket: int) -> None:
    """Renew the verdict: a graver one at once, a milder one when nothing holds the old."""
    s = shape[0]
    found = judge(shape, bank, matched, 1.0)
    if found != ORGANIC and is_clock_coarse(bank):
        found = ORGANIC
    verdict = s["verdict"]
    if GRAVITY[found] <= GRAVITY[verdict]:
        if GRAVITY[judge(shape, bank, matched, 0.5)] >= GRAVITY[verdict]:
            s["held_bucket"] = bucket
        if found == verdict or bucket - s["held_bucket"] <= HOLD_BUCKETS:
            return
    s["verdict"] = found
    s["since_bucket"] = bucket
    s["held_bucket"] = bucket
    s["n_verdicts"][found] += 1


@part
def watch_demand(shape: Records) -> None:
    """Look for a doubling of fresh callers in the bin that ends, then teach its null."""
    s = shape[0]
    count = float(s["open_fresh"])
    mean = s["mean"]
    n_bins = min(s["n_bins"], SLOW_BINS)
    if s["n_bins"] > READY_BINS:
        f = max(s["dispersion"][0], s["dispersion"][1])
        s["nats"] = min(max(0.0, s["nats"] + (count * RISE - mean) / f), SURGE_MAX)
    for idx in range(2):
        width = HALF_BINS if idx == 0 else WIDE_BINS
        s["sums"][idx] += count
        s["means"][idx] += mean
        if s["n_bins"] % width == 0:
            floor = max(s["means"][idx], DISPERSION_MEAN_FLOOR)
            f = s["dispersion"][idx]
            off = s["sums"][idx] - s["means"][idx]
            square = min(off * off, WINSOR * f * floor)
            s["dispersion"][idx] = max(1.0, f + (square / floor - f) * width / n_bins)
            s["sums"][idx] = 0.0
            s["means"][idx] = 0.0
    s["mean"] += (count - mean) / n_bins


@part
def expire_retrying(shape: Records, idx: int) -> None:
    """Let the flows expire whose latest retry is 5 s old."""
    s = shape[0]
    expired = (idx - RETRYING_BINS) & (RETRYING_RING - 1)
    s["n_retrying"] -= s["retrying"][expired]
    s["retrying"][expired] = 0


@part
def close_shape(shape: Records, bank: Records, matched: Records, bucket: int) -> None:
    """Take the closing bucket in; at the end of a bin renew the verdict."""
    s = shape[0]
    b = bank[0]
    s["n_buckets"][s["verdict"]] += 1
    s["open_arrivals"] += b["open_arrivals"]
    s["open_retries"] += b["open_retries"]
    s["open_failures"] += b["open_failures"]
    if bucket % BIN_BUCKETS != BIN_BUCKETS - 1:
        return
    s["n_bins"] += 1
    s["arrivals_2s"] = fade(s["arrivals_2s"], DECAY_2S, s["open_arrivals"])
    s["failures_2s"] = fade(s["failures_2s"], DECAY_2S, s["open_failures"])
    s["arrivals_5s"] = fade(s["arrivals_5s"], DECAY_5S, s["open_arrivals"])
    s["retries_5s"] = fade(s["retries_5s"], DECAY_5S, s["open_retries"])
    watch_demand(shape)
    give_up(shape, bucket // BIN_BUCKETS)
    expire_retrying(shape, bucket // BIN_BUCKETS)
    decide(shape, bank, matched, bucket)
    s["open_arrivals"] = 0
    s["open_retries"] = 0
    s["open_failures"] = 0
    s["open_fresh"] = 0


@part
def summarise_shape(shape: Records, bank: Records, is_coarse: bool, out: Records) -> None:
    """The verdict with the arrivals behind it, and the reproduction number."""
    s = shape[0]
    b = bank[0]
    n = s["arrivals_5s"]
    is_ready = s["n_bins"] > READY_BINS and not is_coarse
    put(out, 0, s["verdict"], n, b["n_closed"] >= SECOND and not is_coarse)
    age = min(b["bucket"] - s["since_bucket"], b["n_closed"], AGE_MAX)
    put(out, 1, age / SECOND, n, is_ready)
    put(out, 2, s["nats"], n, is_ready)
    fates = s["lost"] + s["returned"].sum()
    p = compute_return_share(shape, b["bucket"] // BIN_BUCKETS)
    phi = share_of(s["failures_2s"], s["arrivals_2s"])
    put(out, 3, p, fates, fates >= FATES_MIN)
    put(out, 4, phi * p, fates, fates >= FATES_MIN)
