"""Buckets open and close here: what happens when time passes a 10 ms boundary.

*Rule of this file*: the order of work at a boundary, nothing else.

*Theory*: before whatever comes next, all buckets that have ended are closed, one
by one. So a late tick, two ticks in place of one, or no tick at all between two
arrivals leave the same state.

*Cost*: O(1) per closed bucket, amortised; see :mod:`signals.synchrony`.
"""

from __future__ import annotations

from signals.capacity import get_capacity_hz, get_capacity_var
from signals.contention import close_contention
from signals.forecast import close_forecast
from signals.headroom import close_headroom
from signals.kernel import inlined
from signals.matched import close_matched, settle_hint
from signals.memory import State
from signals.propagation import pass_seconds
from signals.recognition import close_recognition
from signals.retry import close_rates
from signals.saturation import close_saturation
from signals.shape import close_shape
from signals.state import BUCKET_NS, N_SCALES, N_STREAMS, RING_MASK
from signals.synchrony import scan


@inlined
def fold(state: State, bucket: int) -> None:
    """Add the closing bucket's counts to the running totals."""
    s = state.bank[0]
    now = bucket & RING_MASK
    before = (bucket - 1) & RING_MASK
    s["cum_arrivals"][now] = s["cum_arrivals"][before] + s["open_arrivals"]
    s["cum_unidentified"][now] = s["cum_unidentified"][before] + s["open_unidentified"]
    cum = s["cum_fresh"]
    for stream in range(N_STREAMS):
        fresh = 0
        for scale in range(N_SCALES - 1, -1, -1):
            # A flow silent long enough for a wide window is fresh in all narrower ones.
            fresh += s["open_fresh"][stream, scale]
            s["open_fresh"][stream, scale] = 0
            cum[now, stream, scale] = cum[before, stream, scale] + fresh


@inlined
def close_bucket(state: State, bucket: int) -> None:
    """Let every detector see the bucket that has ended, and open the next."""
    s = state.bank[0]
    fold(state, bucket)
    s["n_closed"] += 1
    close_rates(state.bank, bucket)
    close_recognition(state.recognition, bucket)
    scan(state.bank, bucket)
    close_saturation(state.saturation, bucket)
    close_headroom(
        state.headroom,
        bucket,
        get_capacity_hz(state.saturation),
        get_capacity_var(state.saturation),
        state.saturation[0]["known_hz"] > 0.0,
    )
    close_contention(state.contention, state.tenants, bucket)
    close_matched(state.matched, state.bank, bucket)
    settle_hint(state.matched, state.bank, bucket)
    close_shape(state.shape, state.bank, state.matched, bucket)
    close_forecast(state.forecast, bucket, get_capacity_hz(state.saturation))
    s["open_arrivals"] = 0
    s["open_unidentified"] = 0
    s["open_retries"] = 0
    s["open_failures"] = 0
    s["bucket"] = bucket + 1


@inlined
def advance(state: State, t_ns: int) -> None:
    """Close every bucket that ended at or before the inner time."""
    s = state.bank[0]
    target = t_ns // BUCKET_NS
    if s["has_started"] == 0:
        s["has_started"] = 1
        s["bucket"] = target
        s["last_arrival_ns"] = t_ns
    while s["bucket"] < target:
        close_bucket(state, s["bucket"])
    pass_seconds(state.services, state.propagation, t_ns)
