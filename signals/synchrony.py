"""Many callers in step: a scan for windows with more distinct flows than chance explains.

*Rule of this file*: the scan and its null. It alarms; what to do is a policy's.

*Theory*: independent callers give counts that are at most over-dispersed
(bursty), never distinct flows that coincide by the dozen. So count **fresh**
flows: an arrival counts at width w only if its flow was silent for at least w,
which makes the count one of distinct flows without keeping a set. Its null in
a window is a negative binomial whose mean m is the largest of four: the slow
mean, the window after, half of the two windows before, a floor. The dispersion
F is learned slowly per width. Chernoff bounds the tail by exp(-D) with

    D = k ln(k/m) - (k + r) ln((k + r)/(m + r)),   r = m/(F - 1)
    D = k ln(k/m) - (k - m)                        when F = 1 (Poisson)

Alarm: D >= 20 nats and k >= k_min. At 100 buckets/s and 6 widths there are
2.2 million tests an hour; e^-20 leaves 0.005 false alarms an hour.

Two streams are scanned:

- ``FRESH``, all arrivals, *two-sided*: the window judged lies one width in the
  past, so that a surge (which goes on) is told from a wave (which passes).
  With most of a window's arrivals unidentified it is a **hint**, no alarm:
  without identity, bursts of one caller look the same.
- ``RETRY``, retries only, *one-sided*: a lasting step of retries is itself
  the thing sought, so nothing is compared with what follows.

*Coarse-clock guard*: stamps rounded to g make false coincidence. With g the
smallest non-zero gap of the last n = 256 and rate lambda, independent arrivals
leave no gap below g with chance exp(-lambda g n); a scan is void when g > 5 ms
and lambda g n > 20.

*Regime*: needs identity (headers) or retry evidence; blind by construction to
fewer than 8 callers (5 retriers), which are harmless.
*Cost*: O(1) an arrival; under 0.5 us per closed 10 ms bucket (a hundred a second).
*Source*: the project's detection study, sections 1.1 and 1.2 (measured on
28.7 h of recorded traffic: no false alarm; with requests in place of flows and
a Poisson null: 92 an hour). Scan statistics: Glaz, Naus & Wallenstein 2001.
*Considered and rejected*: index of dispersion alone (organic traffic reaches
the storms' values); phase over candidate periods (finds pollers, not herds).
"""

from __future__ import annotations

import math

from signals.kernel import part
from signals.state import (
    BUCKET_NS,
    FRESH,
    N_GAPS,
    N_SCALES,
    N_STREAMS,
    RETRY,
    RING_MASK,
    SECOND,
    Records,
)

NARROWEST_NS = 20_000_000
"""Width at scale 0. Common back-offs without jitter arrive within 10-20 ms of each other."""

ALARM_NATS = 20.0
"""2.2 M tests an hour x e^-20 = 0.005 false alarms an hour; organic maximum seen: 9."""

FRESH_MIN = 8
"""Fewer callers in step cannot hurt."""

RETRY_MIN = 5
"""5 ln(5/0.02) - 5 = 22.6 passes the threshold at the floor; 4 (17.2) could not."""

MEAN_FLOOR = 0.02
"""Expected flows per window where nothing is known: one per second at 20 ms."""

LAG = 256
"""Buckets (2.56 s) by which the slow mean lags, so that a wave does not teach its own null."""

SLOW_BUCKETS = 3_000
"""30 s: time constant of the slow mean."""

DISPERSION_BUCKETS = 6_000
"""60 s: time constant of the dispersion."""

DISPERSION_MEAN_FLOOR = 0.2
"""Below this mean a single arrival would swamp the variance-to-mean ratio."""

WINSOR = 25.0
"""A squared deviation counts for at most 25 F M (five sigma): keeps waves out of the null."""

READY_BUCKETS = 500
"""5 s of slow mean before the all-arrivals scan says anything: 7.6 s after the first event."""

MERGE_BUCKETS = SECOND
"""Alarms less than 1 s apart are one."""

COARSE_NS = 5_000_000
"""A clock finer than 5 ms is fine enough for windows of 20 ms."""

COARSE_NATS = 20.0
"""Chance e^-20 that independent arrivals leave no smaller gap."""


@part
def compute_surprise(count: float, mean: float, dispersion: float) -> float:
    """Return D, the Chernoff exponent of seeing ``count`` or more; 0 if not above the mean.

    Parameters
    ----------
    count : float
        Flows seen in the window.
    mean : float
        Expected flows, > 0.
    dispersion : float
        Variance over mean of the null, >= 1.
    """
    if count <= mean:
        return 0.0
    poisson = count * math.log(count / mean)
    if dispersion < 1.0 + 1e-6:
        return poisson - (count - mean)
    r = mean / (dispersion - 1.0)
    return max(0.0, poisson - (count + r) * math.log1p((count - mean) / (mean + r)))


@part
def is_clock_coarse(bank: Records) -> bool:
    """Tell whether the latest arrivals' stamps are too coarse to scan; O(256)."""
    s = bank[0]
    n = min(s["n_gaps"], N_GAPS)
    smallest_ns = 0
    total_ns = 0
    for idx in range(n):
        gap_ns = s["gaps"][idx]
        total_ns += gap_ns
        if gap_ns > 0 and (smallest_ns == 0 or gap_ns < smallest_ns):
            smallest_ns = gap_ns
    if smallest_ns <= COARSE_NS:
        return False
    return bool(smallest_ns * (n / total_ns) * n > COARSE_NATS)


@part
def learn_null(bank: Records, stream: int, bucket: int) -> None:
    """Teach the slow mean from ``LAG`` ago, and each width's dispersion once per window."""
    s = bank[0]
    cum = s["cum_fresh"]
    alpha = max(1.0 / s["slow_n"], 1.0 / SLOW_BUCKETS)
    new = (bucket - LAG) & RING_MASK
    old = (bucket - LAG - 1) & RING_MASK
    for scale in range(N_SCALES):
        seen = cum[new, stream, scale] - cum[old, stream, scale]
        s["slow_mean"][stream, scale] += alpha * (seen - s["slow_mean"][stream, scale])
        width = 2 << scale
        if bucket % width == 0:
            start = cum[(bucket - width) & RING_MASK, stream, scale]
            n = cum[bucket & RING_MASK, stream, scale] - start
            mean = s["slow_mean"][stream, scale] * width
            floor = max(mean, DISPERSION_MEAN_FLOOR)
            f = s["dispersion"][stream, scale]
            square = min((n - mean) * (n - mean), WINSOR * f * floor)
            f += (width / DISPERSION_BUCKETS) * (square / floor - f)
            s["dispersion"][stream, scale] = max(f, 1.0)


@part
def note_peak(
    bank: Records, stream: int, bucket: int, scale: int, count: int, mean: float, nats: float
) -> None:
    """Keep the strongest window of the last second for the readings."""
    s = bank[0]
    if nats > s["peak_nats"][stream] or bucket - s["peak_bucket"][stream] > MERGE_BUCKETS:
        s["peak_nats"][stream] = nats
        s["peak_count"][stream] = count
        s["peak_expected"][stream] = mean
        s["peak_scale"][stream] = scale
        s["peak_bucket"][stream] = bucket


@part
def raise_alarm(bank: Records, bucket: int, is_fresh: bool) -> None:
    """Record an alarm of one stream; within ``MERGE_BUCKETS`` it is the same one."""
    s = bank[0]
    stream = FRESH if is_fresh else RETRY
    if bucket - s["alarm_bucket"][stream] > MERGE_BUCKETS:
        s["n_alarms"][stream] += 1
    s["alarm_bucket"][stream] = bucket


@part
def judge_fresh(bank: Records, bucket: int, width: int) -> None:
    """Alarm or hint on the all-arrivals window one width ago."""
    s = bank[0]
    if is_clock_coarse(bank):
        s["n_coarse"] += 1
        return
    stop = (bucket - width) & RING_MASK
    start = (bucket - 2 * width) & RING_MASK
    n_all = s["cum_arrivals"][stop] - s["cum_arrivals"][start]
    n_unidentified = s["cum_unidentified"][stop] - s["cum_unidentified"][start]
    if 2 * n_unidentified > n_all:
        if bucket - s["hint_bucket"] > MERGE_BUCKETS:
            s["n_hints"] += 1
        s["hint_bucket"] = bucket
    else:
        raise_alarm(bank, bucket, True)


@part
def scan_fresh(bank: Records, bucket: int) -> None:
    """Judge, at each width, the window before the last against what came before and after."""
    s = bank[0]
    cum = s["cum_fresh"]
    for scale in range(N_SCALES):
        width = 2 << scale
        after_stop = cum[bucket & RING_MASK, FRESH, scale]
        stop = cum[(bucket - width) & RING_MASK, FRESH, scale]
        start = cum[(bucket - 2 * width) & RING_MASK, FRESH, scale]
        before_start = cum[(bucket - 4 * width) & RING_MASK, FRESH, scale]
        count = stop - start
        mean = max(s["slow_mean"][FRESH, scale] * width, MEAN_FLOOR)
        mean = max(mean, max(float(after_stop - stop), 0.5 * (start - before_start)))
        nats = compute_surprise(float(count), mean, s["dispersion"][FRESH, scale])
        note_peak(bank, FRESH, bucket, scale, count, mean, nats)
        if nats >= ALARM_NATS and count >= FRESH_MIN:
            judge_fresh(bank, bucket, width)


@part
def scan_retries(bank: Records, bucket: int) -> None:
    """Judge, at each width, the latest window of retries against what came before."""
    s = bank[0]
    cum = s["cum_fresh"]
    for scale in range(N_SCALES):
        width = 2 << scale
        stop = cum[bucket & RING_MASK, RETRY, scale]
        start = cum[(bucket - width) & RING_MASK, RETRY, scale]
        before_start = cum[(bucket - 3 * width) & RING_MASK, RETRY, scale]
        count = stop - start
        mean = max(s["slow_mean"][RETRY, scale] * width, MEAN_FLOOR)
        mean = max(mean, 0.5 * (start - before_start))
        nats = compute_surprise(float(count), mean, s["dispersion"][RETRY, scale])
        note_peak(bank, RETRY, bucket, scale, count, mean, nats)
        if nats >= ALARM_NATS and count >= RETRY_MIN:
            if is_clock_coarse(bank):
                s["n_coarse"] += 1
            else:
                raise_alarm(bank, bucket, False)


@part
def scan(bank: Records, bucket: int) -> None:
    """Run both scans on a bucket that has just closed, then teach their nulls."""
    s = bank[0]
    if s["slow_n"] >= READY_BUCKETS:
        scan_fresh(bank, bucket)
    scan_retries(bank, bucket)
    if s["n_closed"] > LAG:
        s["slow_n"] += 1
        for stream in range(N_STREAMS):
            learn_null(bank, stream, bucket)


@part
def classify_gap(gap_ns: int) -> int:
    """Return the widest scale at which a flow silent for ``gap_ns`` is fresh; -1 for none."""
    scale = -1
    width_ns = NARROWEST_NS
    while scale < N_SCALES - 1 and gap_ns >= width_ns:
        scale += 1
        width_ns *= 2
    return scale


assert NARROWEST_NS == 2 * BUCKET_NS  # scans take 2 << scale buckets as a width
