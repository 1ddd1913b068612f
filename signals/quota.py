"""When a provider's quota will be empty: the headers that tell what is left.

*Rule of this file*: remaining and limit as told with each answer; nothing is counted here.

*Theory*: a provider that tells what is left of a quota tells its own saturation before it refuses.
The slope of the remaining amount, over the notes of the last ten seconds, is use less refill
(token buckets refill all the time), so it needs no knowledge of what a call costs::

    empty in = (remaining - slope * age of the note) / slope,  if that is before the reset

A rise by half of the limit is a reset, not a refill, and starts afresh. Each credential has its
own quotas and each of those its own kind (requests, tokens, input, output): 16 rows, the longest
unheard of makes room; the soonest to be empty is reported.

*Regime*: notes more often than every minute; answers that come out of order add noise of one call.
*Cost*: 16 comparisons a note, 16 rows a tick.
*Source*: the project's notes on providers' headers. *Considered and rejected*: remaining over
limit as a level (0.1 left is harmless a second before the reset).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.state import NOT_IN_SIGHT_S, Records, put

N_QUOTAS = 16
"""Rows: four credentials with four kinds each."""

QUOTA_REQUESTS, QUOTA_TOKENS, QUOTA_INPUT, QUOTA_OUTPUT = range(4)
"""Kinds; any other small number is a kind of its own."""

N_KINDS = 8

MEMORY_S = 10.0
"""Memory of the slope."""

FRESH_S = 60.0
"""A note older than this says nothing: minute quotas have been reset."""

RESET_SHARE = 0.5
"""A rise by this share of the limit is a reset."""

NS = 1e-9

QUOTA_DTYPE = np.dtype(
    [
        ("key", np.int64),
        ("noted_ns", np.int64),
        ("reset_ns", np.int64),
        ("limit", np.float64),
        ("remaining", np.float64),
        ("used", np.float64),
        ("seconds", np.float64),
        ("n_notes", np.int64),
    ],
    align=True,
)
"""One quota of one credential; ``key`` 0 is a free row, ``reset_ns`` 0 unknown."""

READINGS = (
    ("quota_seconds", "seconds"),
    ("quota_left", "ratio"),
)
"""Name and unit: of the quota that will be empty first; the least share left."""


def make_quotas() -> Records:
    """Allocate one upstream's rows."""
    return np.zeros(N_QUOTAS, QUOTA_DTYPE)


@part
def find_quota(quotas: Records, key: int) -> int:
    """Return the row of a quota, or the one that makes room for it."""
    oldest = 0
    for idx in range(N_QUOTAS):
        if quotas[idx]["key"] == key:
            return idx
        if quotas[idx]["noted_ns"] < quotas[oldest]["noted_ns"]:
            oldest = idx
    q = quotas[oldest]
    q["key"] = key
    q["n_notes"] = 0
    return oldest


@part
def note_quota(
    quotas: Records,
    t_ns: int,
    tenant: int,
    kind: int,
    limit: float,
    remaining: float,
    reset_ns: int,
) -> None:
    """Take in what one answer said.

    Parameters
    ----------
    limit, remaining : float
        Requests or tokens; a limit of 0 is unknown.
    reset_ns : int
        Until the quota is whole again, from now; 0 if not told.
    """
    if not 0.0 <= remaining < 1e15 or not 0.0 <= limit < 1e15:
        return
    key = 1 + max(tenant, 0) * N_KINDS + max(0, min(kind, N_KINDS - 1))
    q = quotas[find_quota(quotas, key)]
    used = q["remaining"] - remaining
    whole = max(q["limit"], limit)
    is_reset = -used > RESET_SHARE * whole and whole > 0.0
    if q["n_notes"] == 0 or is_reset or (t_ns - q["noted_ns"]) * NS > FRESH_S:
        q["used"] = 0.0
        q["seconds"] = 0.0
    else:
        elapsed_s = (t_ns - q["noted_ns"]) * NS
        keep = math.exp(-elapsed_s / MEMORY_S)
        q["used"] = q["used"] * keep + used
        q["seconds"] = q["seconds"] * keep + elapsed_s
    q["n_notes"] += 1
    q["noted_ns"] = t_ns
    q["limit"] = limit
    q["remaining"] = remaining
    q["reset_ns"] = t_ns + reset_ns if reset_ns > 0 else 0


@part
def compute_empty_s(quotas: Records, idx: int, t_ns: int) -> float:
    """Return the seconds until one quota is empty; ``NOT_IN_SIGHT_S`` if its reset comes first."""
    q = quotas[idx]
    age_s = (t_ns - q["noted_ns"]) * NS
    if q["reset_ns"] > 0 and t_ns >= q["reset_ns"]:
        return NOT_IN_SIGHT_S
    if q["remaining"] <= 0.0:
        return 0.0
    if q["used"] <= 0.0 or q["seconds"] <= 0.0:
        return NOT_IN_SIGHT_S
    empty_s = max(0.0, q["remaining"] * q["seconds"] / q["used"] - age_s)
    if q["reset_ns"] > 0 and empty_s >= (q["reset_ns"] - t_ns) * NS:
        return NOT_IN_SIGHT_S
    return float(min(empty_s, NOT_IN_SIGHT_S))


@part
def summarise_quotas(quotas: Records, t_ns: int, out: Records) -> None:
    """Fill this detector's readings."""
    soonest_s = NOT_IN_SIGHT_S
    least = 1.0
    n = 0
    for idx in range(N_QUOTAS):
        q = quotas[idx]
        if q["key"] == 0 or (t_ns - q["noted_ns"]) * NS > FRESH_S:
            continue
        n += q["n_notes"]
        soonest_s = min(soonest_s, compute_empty_s(quotas, idx, t_ns))
        if q["limit"] > 0.0 and (q["reset_ns"] == 0 or t_ns < q["reset_ns"]):
            least = min(least, q["remaining"] / q["limit"])
    put(out, 0, soonest_s, n, n >= 2)
    put(out, 1, max(0.0, least), n, n >= 1)
