"""From the bank's state to numbers that can be believed: every reading, once a tick.

*Rule of this file*: what each reading is made of, and when it is ready.
Computed inside the kernel, so that asking between ticks costs nothing and a
reading is the same however often it is asked for.
"""

from __future__ import annotations

from signals.kernel import part
from signals.retry import CASCADE_FLOWS, CASCADE_SHARE
from signals.state import FRESH, N_GAPS, N_READINGS, N_STREAMS, RING_MASK, SECOND, Records
from signals.synchrony import LAG, MERGE_BUCKETS, NARROWEST_NS, READY_BUCKETS, is_clock_coarse

READINGS = (
    ("arrival_rate", "hz"),
    ("organic_rate", "hz"),
    ("retry_share", "ratio"),
    ("retrying_flows", "flows"),
    ("failure_share", "ratio"),
    ("cascade", "bool"),
    ("synchrony", "nats"),
    ("synchrony_excess", "flows"),
    ("synchrony_width", "seconds"),
    ("synchrony_alarm", "bool"),
    ("synchrony_alarms", "count"),
    ("retry_synchrony", "nats"),
    ("retry_synchrony_excess", "flows"),
    ("retry_synchrony_width", "seconds"),
    ("retry_synchrony_alarm", "bool"),
    ("retry_synchrony_alarms", "count"),
    ("synchrony_hint", "bool"),
    ("identified_share", "ratio"),
    ("coarse_clock", "bool"),
)
"""Name and unit, in the order of the state's ``values``."""

(
    ARRIVAL_RATE,
    ORGANIC_RATE,
    RETRY_SHARE,
    RETRYING_FLOWS,
    FAILURE_SHARE,
    CASCADE,
    SYNCHRONY,
    *_,
    SYNCHRONY_HINT,
    IDENTIFIED_SHARE,
    COARSE_CLOCK,
) = range(N_READINGS)

N_PER_SCAN = 5
"""Readings of one scan: nats, excess, width, alarm, alarms."""

RETRY_SYNCHRONY = SYNCHRONY + N_PER_SCAN


@part
def compute_rate_hz(total: float, weight: float) -> float:
    """Turn a decayed sum over buckets into a rate; at least one second stands behind it."""
    return total * SECOND / max(weight, float(SECOND))


@part
def compute_ratio(share: float, whole: float) -> float:
    """Divide, calling less than a hundredth of an event nothing at all."""
    return min(1.0, share / whole) if whole >= 0.01 else 0.0


@part
def summarise_rates(bank: Records) -> None:
    """Rates and shares of the last second (organic demand: ten)."""
    s = bank[0]
    values, samples = s["values"], s["samples"]
    n_retrying = s["n_retrying"]
    share = compute_ratio(s["retries_1s"], s["arrivals_1s"])
    is_cascade = share >= CASCADE_SHARE and n_retrying >= CASCADE_FLOWS
    values[ARRIVAL_RATE] = compute_rate_hz(s["arrivals_1s"], s["weight_1s"])
    values[ORGANIC_RATE] = compute_rate_hz(s["organic_10s"], s["weight_10s"])
    values[RETRY_SHARE] = share
    values[RETRYING_FLOWS] = n_retrying
    values[FAILURE_SHARE] = compute_ratio(s["failures_1s"], s["arrivals_1s"])
    values[CASCADE] = 1.0 if is_cascade else 0.0
    for idx in range(ARRIVAL_RATE, CASCADE + 1):
        samples[idx] = s["n_arrivals"]
        s["ready"][idx] = s["n_closed"] >= SECOND
    samples[ORGANIC_RATE] = s["n_arrivals"] - s["n_retries"]
    samples[RETRYING_FLOWS] = s["n_retries"]
    samples[CASCADE] = s["n_retries"]


@part
def summarise_scans(bank: Records) -> None:
    """The strongest window of the last second in each stream, and its alarms."""
    s = bank[0]
    values = s["values"]
    for stream in range(N_STREAMS):
        first = SYNCHRONY if stream == FRESH else RETRY_SYNCHRONY
        has_peak = s["bucket"] - s["peak_bucket"][stream] <= MERGE_BUCKETS + 1
        has_peak = has_peak and s["peak_nats"][stream] > 0.0
        for idx in range(first, first + N_PER_SCAN):
            values[idx] = 0.0
            s["samples"][idx] = s["peak_count"][stream] if has_peak else 0
            s["ready"][idx] = s["slow_n"] >= READY_BUCKETS or (
                stream != FRESH and s["n_closed"] > 0
            )
        if has_peak:
            values[first] = s["peak_nats"][stream]
            values[first + 1] = max(0.0, s["peak_count"][stream] - s["peak_expected"][stream])
            values[first + 2] = (NARROWEST_NS << s["peak_scale"][stream]) * 1e-9
        if s["bucket"] - s["alarm_bucket"][stream] <= MERGE_BUCKETS:
            values[first + 3] = 1.0
        values[first + 4] = s["n_alarms"][stream]


@part
def summarise_quality(bank: Records) -> None:
    """How far the scans can be trusted: identity and clock."""
    s = bank[0]
    values, samples, ready = s["values"], s["samples"], s["ready"]
    values[SYNCHRONY_HINT] = 1.0 if s["bucket"] - s["hint_bucket"] <= MERGE_BUCKETS else 0.0
    samples[SYNCHRONY_HINT] = s["n_hints"]
    ready[SYNCHRONY_HINT] = s["slow_n"] >= READY_BUCKETS
    newest = (s["bucket"] - 1) & RING_MASK
    oldest = (s["bucket"] - 1 - LAG) & RING_MASK
    seen = s["cum_arrivals"][newest] - s["cum_arrivals"][oldest]
    unidentified = s["cum_unidentified"][newest] - s["cum_unidentified"][oldest]
    values[IDENTIFIED_SHARE] = 1.0 - unidentified / seen if seen > 0 else 0.0
    samples[IDENTIFIED_SHARE] = seen
    ready[IDENTIFIED_SHARE] = seen > 0
    values[COARSE_CLOCK] = 1.0 if is_clock_coarse(bank) else 0.0
    samples[COARSE_CLOCK] = min(s["n_gaps"], N_GAPS)
    ready[COARSE_CLOCK] = s["n_gaps"] >= N_GAPS


@part
def summarise(bank: Records) -> None:
    """Compute every reading from the closed buckets."""
    summarise_rates(bank)
    summarise_scans(bank)
    summarise_quality(bank)


assert len(READINGS) == N_READINGS
