"""Buckets open and close here: what happens when time passes a 10 ms boundary.

*Rule of this file*: the order of work at a boundary, nothing else.

*Theory*: whichever call first sees a later bucket, an arrival, a departure or
a tick, closes all buckets up to it, one by one. So a late tick, two ticks in
place of one, or no tick at all between two arrivals leave the same state.

*Cost*: O(1) per closed bucket, amortised; see :mod:`signals.synchrony`.
"""

from __future__ import annotations

from signals.kernel import part
from signals.retry import close_rates
from signals.state import BUCKET_NS, N_SCALES, N_STREAMS, RING_MASK, Records
from signals.synchrony import scan


@part
def close_bucket(bank: Records) -> None:
    """Fold the open bucket into the running totals, scan, and open the next."""
    s = bank[0]
    bucket = s["bucket"]
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
    s["n_closed"] += 1
    close_rates(bank, bucket)
    scan(bank, bucket)
    s["open_arrivals"] = 0
    s["open_unidentified"] = 0
    s["open_retries"] = 0
    s["open_failures"] = 0
    s["bucket"] = bucket + 1


@part
def advance(bank: Records, inner_ns: int) -> None:
    """Close every bucket that ended at or before the inner time."""
    target = inner_ns // BUCKET_NS
    while bank[0]["bucket"] < target:
        close_bucket(bank)
