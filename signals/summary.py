"""From the bank's state to numbers that can be believed: every reading, once a tick.

*Rule of this file*: what each reading is made of, and when it is ready.
Computed inside the kernel, so that asking between ticks costs nothing and a
reading is the same however often it is asked for.
"""

from __future__ import annotations

from itertools import accumulate, chain

from signals import (
    contention,
    fanout,
    forecast,
    headroom,
    matched,
    propagation,
    quota,
    recognition,
    saturation,
    shape,
)
from signals.contention import summarise_contention
from signals.fanout import summarise_fanout
from signals.forecast import summarise_forecast
from signals.headroom import summarise_headroom
from signals.kernel import inlined, part
from signals.matched import summarise_matched
from signals.memory import State
from signals.propagation import summarise_propagation
from signals.quota import summarise_quotas
from signals.recognition import summarise_recognition
from signals.retry import CASCADE_FLOWS, CASCADE_SHARE
from signals.saturation import summarise_saturation
from signals.shape import summarise_shape
from signals.state import FRESH, N_GAPS, N_STREAMS, RING_MASK, SECOND, Records, put
from signals.synchrony import LAG, MERGE_BUCKETS, NARROWEST_NS, READY_BUCKETS, is_clock_coarse

RATES = (
    ("arrival_rate", "hz"),
    ("organic_rate", "hz"),
    ("retry_share", "ratio"),
    ("retrying_flows", "flows"),
    ("failure_share", "ratio"),
    ("cascade", "bool"),
)
SCANS = (
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
)
QUALITY = (
    ("synchrony_hint", "bool"),
    ("identified_share", "ratio"),
    ("coarse_clock", "bool"),
)
GROUPS = (
    RATES,
    SCANS,
    QUALITY,
    matched.READINGS,
    shape.READINGS,
    forecast.READINGS,
    fanout.READINGS,
    saturation.READINGS,
    headroom.READINGS,
    quota.READINGS,
    contention.READINGS,
    recognition.READINGS,
    propagation.READINGS,
)
READINGS = tuple(chain.from_iterable(GROUPS))
"""Name and unit, in the order of the state's ``readings``."""

(
    FIRST_RATE,
    FIRST_SCAN,
    FIRST_QUALITY,
    FIRST_MATCHED,
    FIRST_SHAPE,
    FIRST_FORECAST,
    FIRST_FANOUT,
    FIRST_SATURATION,
    FIRST_HEADROOM,
    FIRST_QUOTA,
    FIRST_CONTENTION,
    FIRST_RECOGNITION,
    FIRST_PROPAGATION,
    N_READINGS,
) = accumulate((0, *map(len, GROUPS)))
"""Where each group begins."""

N_PER_SCAN = len(SCANS) // N_STREAMS

ORGANIC_RATE = 1
RETRY_SHARE = 2
SYNCHRONY = FIRST_SCAN
RETRY_SYNCHRONY = FIRST_SCAN + N_PER_SCAN


@part
def compute_rate_hz(total: float, weight: float) -> float:
    """Turn a decayed sum over buckets into a rate; at least one second stands behind it."""
    return total * SECOND / max(weight, float(SECOND))


@part
def compute_ratio(share: float, whole: float) -> float:
    """Divide, calling less than a hundredth of an event nothing at all."""
    return min(1.0, share / whole) if whole >= 0.01 else 0.0


@part
def summarise_rates(bank: Records, out: Records) -> None:
    """Rates and shares of the last second (organic demand: ten)."""
    s = bank[0]
    n, n_retries = s["n_arrivals"], s["n_retries"]
    n_retrying = s["n_retrying"]
    share = compute_ratio(s["retries_1s"], s["arrivals_1s"])
    is_cascade = share >= CASCADE_SHARE and n_retrying >= CASCADE_FLOWS
    is_ready = s["n_closed"] >= SECOND
    put(out, 0, compute_rate_hz(s["arrivals_1s"], s["weight_1s"]), n, is_ready)
    put(out, 1, compute_rate_hz(s["organic_10s"], s["weight_10s"]), n - n_retries, is_ready)
    put(out, 2, share, n, is_ready)
    put(out, 3, n_retrying, n_retries, is_ready)
    put(out, 4, compute_ratio(s["failures_1s"], s["arrivals_1s"]), n, is_ready)
    put(out, 5, 1.0 if is_cascade else 0.0, n_retries, is_ready)


@part
def summarise_scans(bank: Records, is_coarse: bool, out: Records) -> None:
    """The strongest window of the last second in each stream, and its alarms."""
    s = bank[0]
    for stream in range(N_STREAMS):
        first = N_PER_SCAN * stream
        has_peak = s["bucket"] - s["peak_bucket"][stream] <= MERGE_BUCKETS + 1
        has_peak = has_peak and s["peak_nats"][stream] > 0.0
        is_ready = s["slow_n"] >= READY_BUCKETS or (stream != FRESH and s["n_closed"] > 0)
        is_ready = is_ready and not is_coarse
        nats = excess = width_s = 0.0
        n = 0
        if has_peak:
            n = s["peak_count"][stream]
            nats = s["peak_nats"][stream]
            excess = max(0.0, n - s["peak_expected"][stream])
            width_s = (NARROWEST_NS << s["peak_scale"][stream]) * 1e-9
        is_alarm = s["bucket"] - s["alarm_bucket"][stream] <= MERGE_BUCKETS
        put(out, first, nats, n, is_ready)
        put(out, first + 1, excess, n, is_ready)
        put(out, first + 2, width_s, n, is_ready)
        put(out, first + 3, 1.0 if is_alarm else 0.0, n, is_ready)
        put(out, first + 4, s["n_alarms"][stream], n, is_ready)


@part
def summarise_quality(bank: Records, is_coarse: bool, out: Records) -> None:
    """How far the scans can be trusted: identity and clock."""
    s = bank[0]
    is_hint = s["bucket"] - s["hint_bucket"] <= MERGE_BUCKETS
    is_ready = s["slow_n"] >= READY_BUCKETS and not is_coarse
    put(out, 0, 1.0 if is_hint else 0.0, s["n_hints"], is_ready)
    newest = (s["bucket"] - 1) & RING_MASK
    oldest = (s["bucket"] - 1 - LAG) & RING_MASK
    seen = s["cum_arrivals"][newest] - s["cum_arrivals"][oldest]
    unidentified = s["cum_unidentified"][newest] - s["cum_unidentified"][oldest]
    share = 1.0 - unidentified / seen if seen > 0 else 0.0
    put(out, 1, share, seen, seen > 0)
    put(out, 2, 1.0 if is_coarse else 0.0, min(s["n_gaps"], N_GAPS), s["n_gaps"] >= N_GAPS)


@inlined
def summarise(state: State) -> None:
    """Compute every reading from the closed buckets."""
    out = state.readings
    bank = state.bank
    now_ns = state.process[0]["now_ns"]
    is_coarse = is_clock_coarse(bank)
    summarise_rates(bank, out[FIRST_RATE:FIRST_SCAN])
    summarise_scans(bank, is_coarse, out[FIRST_SCAN:FIRST_QUALITY])
    summarise_quality(bank, is_coarse, out[FIRST_QUALITY:FIRST_MATCHED])
    summarise_matched(state.matched, bank, is_coarse, out[FIRST_MATCHED:FIRST_SHAPE])
    summarise_shape(state.shape, bank, is_coarse, out[FIRST_SHAPE:FIRST_FORECAST])
    summarise_forecast(state.forecast, out[FIRST_FORECAST:FIRST_FANOUT])
    summarise_fanout(state.fanout, state.trees, now_ns, out[FIRST_FANOUT:FIRST_SATURATION])
    summarise_saturation(state.saturation, out[FIRST_SATURATION:FIRST_HEADROOM])
    summarise_headroom(state.headroom, out[FIRST_HEADROOM:FIRST_QUOTA])
    summarise_quotas(state.quotas, now_ns, out[FIRST_QUOTA:FIRST_CONTENTION])
    summarise_contention(state.contention, out[FIRST_CONTENTION:FIRST_RECOGNITION])
    summarise_recognition(
        state.calibration, state.recognition, out[FIRST_RECOGNITION:FIRST_PROPAGATION]
    )
    summarise_propagation(state.services, state.propagation, out[FIRST_PROPAGATION:N_READINGS])
