"""Memory that several detectors read: clock, counts, flows, calls. Declared once.

*Rule of this file*: layout, sizes and the inner clock. No detector; what only
one detector needs stands in that detector's file.

*Theory*: every detector works on counts in buckets of 10 ms. A ring keeps
running totals, so the count of any window is one difference of two entries.
Only closed buckets are ever read; an arrival that opens a new bucket closes
those before it, so readings do not depend on when or how often ``tick`` runs.

*The clock*: one per process, shared by the banks of all upstreams. Kernels live
on an inner time that starts at ``EPOCH_NS`` with the
first call, never runs backwards and never leaps by more than ``LEAP_MAX_NS``.
So shifting all instants changes nothing; a small step back stands still; a
large one re-anchors; a machine that slept an hour costs 6,000 empty buckets
(under a millisecond), not 360,000.

*State*: gathered in :mod:`signals.memory`; one writer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from signals.kernel import part
from signals.pages import make_table

BUCKET_NS = 10_000_000
"""10 ms: half the narrowest window of the scan (detection study, section 1.1)."""

RING = 512
"""Buckets kept (5.12 s, a power of two): four widest windows and the null's lag fit."""

RING_MASK = RING - 1

N_SCALES = 6
"""Window widths 20 ms x 2^s: 20, 40, 80, 160, 320, 640 ms."""

N_STREAMS = 2
FRESH, RETRY = 0, 1
"""The two scanned streams: all arrivals; retries only."""

N_GAPS = 256
"""Interarrival times kept for the coarse-clock guard."""

SECOND = 100
"""Buckets in a second."""

RETRYING_RING = 128
"""Ring of the distinct retrying flows; a power of two above ``SECOND``."""

N_FAILURES = 4
"""Failed calls remembered per flow. Recorded agents have at most 5 calls live at once."""

EPOCH_NS = 3_600_000_000_000
"""Inner time of the first call: an hour, so that a zeroed 'last seen' lies long ago."""

LEAP_MAX_NS = 60_000_000_000
"""A longer silence counts as one minute; every memory here is shorter."""

STEP_BACK_MAX_NS = 1_000_000_000
"""A clock set back further than this re-anchors; less stands still until caught up."""

PROCESS_DTYPE = np.dtype(
    [
        ("has_started", np.int64),
        ("shift_ns", np.int64),
        ("now_ns", np.int64),
        # the table of open calls (calls.py)
        ("free_call", np.int64),
        ("n_calls_used", np.int64),
        ("n_calls_open", np.int64),
        ("n_calls_overflowed", np.int64),
        # the pool of flows' rows (rows.py)
        ("n_rows_used", np.int64),
        ("row_hand", np.int64),
        ("n_rows_reclaimed", np.int64),
        ("n_rows_overflowed", np.int64),
    ],
    align=True,
)
"""What all upstreams of a process share: the inner clock, the head of the calls' free list,
the clock hand over the pool of rows."""

BANK_DTYPE = np.dtype(
    [
        ("upstream", np.int64),
        ("n_flows", np.int64),  # flows are numbered below this; others are unknown
        # time
        ("has_started", np.int64),
        ("bucket", np.int64),
        ("n_closed", np.int64),
        # counts of the open bucket
        ("open_arrivals", np.int64),
        ("open_unidentified", np.int64),
        ("open_retries", np.int64),
        ("open_failures", np.int64),
        ("open_fresh", np.int64, (N_STREAMS, N_SCALES)),
        # running totals at the end of each closed bucket
        ("cum_arrivals", np.int64, (RING,)),
        ("cum_unidentified", np.int64, (RING,)),
        ("cum_fresh", np.int64, (RING, N_STREAMS, N_SCALES)),
        # lifetime totals
        ("n_arrivals", np.int64),
        ("n_retries", np.int64),
        ("n_failures", np.int64),
        # decayed sums over closed buckets (retry.py)
        ("weight_1s", np.float64),
        ("arrivals_1s", np.float64),
        ("retries_1s", np.float64),
        ("failures_1s", np.float64),
        ("weight_10s", np.float64),
        ("organic_10s", np.float64),
        # distinct flows by the bucket of their latest retry
        ("retrying", np.int64, (RETRYING_RING,)),
        ("n_retrying", np.int64),
        # coarse-clock guard
        ("last_arrival_ns", np.int64),
        ("n_gaps", np.int64),
        ("gaps", np.int64, (N_GAPS,)),
        # scans (synchrony.py)
        ("slow_n", np.int64),
        ("slow_mean", np.float64, (N_STREAMS, N_SCALES)),
        ("dispersion", np.float64, (N_STREAMS, N_SCALES)),
        ("peak_nats", np.float64, (N_STREAMS,)),
        ("peak_count", np.int64, (N_STREAMS,)),
        ("peak_expected", np.float64, (N_STREAMS,)),
        ("peak_scale", np.int64, (N_STREAMS,)),
        ("peak_bucket", np.int64, (N_STREAMS,)),
        ("alarm_bucket", np.int64, (N_STREAMS,)),
        ("n_alarms", np.int64, (N_STREAMS,)),
        ("hint_bucket", np.int64),
        ("n_hints", np.int64),
        ("n_coarse", np.int64),
    ],
    align=True,
)
"""Everything about one upstream that is not about one flow; 70 KB."""

FLOW_DTYPE = np.dtype(
    [
        # whose row it is, and its place in the pool (rows.py)
        ("flow", np.int32),
        ("upstream", np.int32),
        ("generation", np.int32),
        ("next", np.int32),
        ("n_open", np.int32),
        ("tenant", np.int32),
        ("tree", np.int32),
        ("n_failed", np.int8, (N_FAILURES,)),
        ("last_ns", np.int64),
        ("last_retry_ns", np.int64),
        # failed calls not yet repeated (retry.py), as many as n_failed of each shape; due:
        # the instant that an answer asked the caller to come back at, 0 if none did
        ("failed_fingerprint", np.float64, (N_FAILURES,)),
        ("failed_ns", np.int64, (N_FAILURES,)),
        ("failed_due_ns", np.int64, (N_FAILURES,)),
        ("failed_attempt", np.int8, (N_FAILURES,)),
        ("failed_family", np.int8, (N_FAILURES,)),
        # one success at a time, watched for a repetition of its shape (retry.py)
        ("watched_ns", np.int64),
        ("watched_fingerprint", np.float64),
        ("watched_told", np.int8),
        # which client the flow uses, told by the lags of its retries (habits.py)
        ("family", np.int8),
        ("n_lags", np.int16),
        ("lag_late", np.int32),
        ("lag_misfits", np.int64),
        ("lag_counts", np.int64),
        ("lag_sum_log", np.float64),
    ],
    align=True,
)
"""One flow at one upstream; 200 bytes. Row 0 is the shared overflow entry."""

CALL_DTYPE = np.dtype(
    [
        ("is_open", np.int32),
        ("has_left", np.int32),
        ("next_free", np.int32),
        ("row", np.int32),
        ("upstream", np.int32),
        ("tenant", np.int32),
        ("flow", np.int32),
        ("tree", np.int32),
        ("attempt", np.int32),
        ("family", np.int32),
        ("told", np.int32),
        ("n_met", np.int32),
        ("fingerprint", np.float64),
        ("arrived_ns", np.int64),
        ("answered_ns", np.int64),
        ("left_ns", np.int64),
        ("patience_ns", np.int64),
    ],
    align=True,
)
"""One open call. ``answered_ns`` is 0 before the first byte, ``patience_ns`` 0 if unknown;
``told`` is the family that headers tell, ``family`` that or else the flow's, by its habits;
``flow`` and ``row`` (its memory at this upstream) are 0 together, for an unknown caller;
``n_met`` is how many were open at its upstream when it arrived, itself included (saturation.py).
Index 0 stands for calls beyond the table: it is never open."""

READING_DTYPE = np.dtype(
    [("value", np.float64), ("samples", np.float64), ("ready", np.float64)], align=True
)
"""One reading as of the last tick."""

Records = npt.NDArray[Any]
"""A structured array: one record, or a table of them."""


def array_of(dtype: np.dtype[Any]) -> Any:
    """Return the type, to kernels, of a contiguous array of such records."""
    return types.Array(from_dtype(dtype), 1, "C")


def make_bank(n_flows: int) -> Records:
    """Allocate the state of one bank; dispersion starts at Poisson's 1."""
    if n_flows < 1:
        raise ValueError(f"n_flows is {n_flows}: must be at least 1 (0 is the unknown flow)")
    bank: Records = np.zeros(1, BANK_DTYPE)
    bank["n_flows"] = n_flows
    bank["dispersion"] = 1.0
    for name in ("peak_bucket", "alarm_bucket", "hint_bucket"):
        bank[name] = -RING
    return bank


def make_flows(n_rows: int) -> Records:
    """Allocate the pool of flows' rows; pages are touched only as rows are taken."""
    if n_rows < 1:
        raise ValueError(f"n_rows is {n_rows}: must be at least 1 (row 0 is the overflow)")
    return make_table(n_rows, FLOW_DTYPE)


def make_calls(n_calls: int) -> Records:
    """Allocate the table of open calls; pages are touched only as calls overlap."""
    if n_calls < 1:
        raise ValueError(f"n_calls is {n_calls}: must be at least 1 (entry 0 is the overflow)")
    return make_table(n_calls, CALL_DTYPE)


@part
def read_clock(process: Records, now_ns: int) -> int:
    """Return the inner time of an instant: monotonic, anchored, without long leaps."""
    p = process[0]
    if p["has_started"] == 0:
        p["has_started"] = 1
        p["shift_ns"] = EPOCH_NS - now_ns
        p["now_ns"] = EPOCH_NS
        return EPOCH_NS
    last_ns = p["now_ns"]
    inner_ns = now_ns + p["shift_ns"]
    if inner_ns < last_ns:
        if inner_ns < last_ns - STEP_BACK_MAX_NS:
            p["shift_ns"] += last_ns - inner_ns
        return int(last_ns)
    if inner_ns > last_ns + LEAP_MAX_NS:
        p["shift_ns"] -= inner_ns - last_ns - LEAP_MAX_NS
        inner_ns = last_ns + LEAP_MAX_NS
    p["now_ns"] = inner_ns
    return int(inner_ns)


NOT_IN_SIGHT_S = 3_600.0
"""Said of a crossing when none is in sight; later than this nothing is ever said."""


@part
def put(readings: Records, idx: int, value: float, samples: float, is_ready: bool) -> None:
    """Write one reading."""
    r = readings[idx]
    r["value"] = value
    r["samples"] = samples
    r["ready"] = 1.0 if is_ready else 0.0
