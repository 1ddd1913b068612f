"""From the bank's state to numbers that can be believed: every reading, once a tick.

*Rule of this file*: what each reading is made of, and when it is ready.
Computed inside the kernel, so that asking between ticks costs nothing and a
reading is the same however often it is asked for.
"""

from __future__ import annotations

from signals.kernel import part
from signals.retry import CASCADE_FLOWS, CASCADE_SHARE
from signals.state import FRESH, N_GAPS, N_READINGS, RETRY, RING_MASK, SECOND, Records
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

RETRY_SYNCHRONY = SYNCHRONY + 5
"""Each scan has five readings: nats, excess, width, alarm, alarms."""


@part
def put(bank: Records, idx: int, value: float, samples: int, is_ready: bool) -> None:
    """Set one reading."""
    s = bank[0]
    s["values"][idx] = value
    s["samples"][idx] = samples
    s["ready"][idx] = is_ready


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
    n, n_retries = s["n_arrivals"], s["n_retries"]
    is_ready = s["n_closed"] >= SECOND
    share = compute_ratio(s["retries_1s"], s["arrivals_1s"])
    n_retrying = s["n_retrying"]
    is_cascade = share >= CASCADE_SHARE and n_retrying >= CASCADE_FLOWS
    failed = compute_ratio(s["failures_1s"], s["arrivals_1s"])
    put(bank, ARRIVAL_RATE, compute_rate_hz(s["arrivals_1s"], s["weight_1s"]), n, is_ready)
    organic_hz = compute_rate_hz(s["organic_10s"], s["weight_10s"])
    put(bank, ORGANIC_RATE, organic_hz, n - n_retries, is_ready)
    put(bank, RETRY_SHARE, share, n, is_ready)
    put(bank, RETRYING_FLOWS, float(n_retrying), n_retries, is_ready)
    put(bank, FAILURE_SHARE, failed, n, is_ready)
    put(bank, CASCADE, 1.0 if is_cascade else 0.0, n_retries, is_ready)


@part
def summarise_scan(bank: Records, stream: int, first: int, is_ready: bool) -> None:
    """The strongest window of the last second in one stream, and its alarms."""
    s = bank[0]
    nats = 0.0
    if s["bucket"] - s["peak_bucket"][stream] <= MERGE_BUCKETS + 1:
        nats = s["peak_nats"][stream]
    count = s["peak_count"][stream] if nats > 0.0 else 0
    excess = max(0.0, count - s["peak_expected"][stream]) if nats > 0.0 else 0.0
    width_s = (NARROWEST_NS << s["peak_scale"][stream]) * 1e-9 if nats > 0.0 else 0.0
    is_alarm = s["bucket"] - s["alarm_bucket"][stream] <= MERGE_BUCKETS
    put(bank, first, nats, count, is_ready)
    put(bank, first + 1, excess, count, is_ready)
    put(bank, first + 2, width_s, count, is_ready)
    put(bank, first + 3, 1.0 if is_alarm else 0.0, count, is_ready)
    put(bank, first + 4, float(s["n_alarms"][stream]), count, is_ready)


@part
def summarise_quality(bank: Records) -> None:
    """How far the scans can be trusted: identity and clock."""
    s = bank[0]
    newest = (s["bucket"] - 1) & RING_MASK
    oldest = (s["bucket"] - 1 - LAG) & RING_MASK
    seen = s["cum_arrivals"][newest] - s["cum_arrivals"][oldest]
    unidentified = s["cum_unidentified"][newest] - s["cum_unidentified"][oldest]
    identified = 1.0 - unidentified / seen if seen > 0 else 0.0
    n_gaps = min(s["n_gaps"], N_GAPS)
    is_coarse = is_clock_coarse(bank)
    put(bank, IDENTIFIED_SHARE, identified, seen, seen > 0)
    put(bank, COARSE_CLOCK, 1.0 if is_coarse else 0.0, n_gaps, n_gaps == N_GAPS)


@part
def summarise(bank: Records) -> None:
    """Compute every reading from the closed buckets."""
    s = bank[0]
    is_ready = s["slow_n"] >= READY_BUCKETS
    summarise_rates(bank)
    summarise_scan(bank, FRESH, SYNCHRONY, is_ready)
    summarise_scan(bank, RETRY, RETRY_SYNCHRONY, s["n_closed"] > 0)
    is_hint = s["bucket"] - s["hint_bucket"] <= MERGE_BUCKETS
    put(bank, SYNCHRONY_HINT, 1.0 if is_hint else 0.0, s["n_hints"], is_ready)
    summarise_quality(bank)


assert len(READINGS) == N_READINGS
