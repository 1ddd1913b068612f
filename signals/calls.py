"""The table of open calls: what the end of a call needs to know of its beginning.

*Rule of this file*: places and handles. What a call means is the detectors'.

*Theory*: an end is told by a handle, so one number crosses from Python where
seven would; the record holds the rest. Free places form a list through the
table; new places are taken in order, so memory is touched only as calls
overlap. A full table loses nothing but detail: the call goes on as number 0,
unobserved, and is counted.

*Cost*: O(1), 88 bytes an open call.
"""

from __future__ import annotations

from signals.kernel import part
from signals.state import Records

ATTEMPT_BITS = 7
ATTEMPT_MASK = (1 << ATTEMPT_BITS) - 1
"""A handle carries its call's attempt in its low bits."""

PLACE_MASK = (1 << 32) - 1
"""What is above it in a handle is not this table's (:mod:`signals.tape`)."""

UNOBSERVED = 0
"""The place of calls that found the table full."""


@part
def open_call(process: Records, calls: Records) -> int:
    """Return a place for a new call, ``UNOBSERVED`` if there is none."""
    p = process[0]
    idx = p["free_call"]
    if idx > 0:
        p["free_call"] = calls[idx]["next_free"]
    elif p["n_calls_used"] + 1 < len(calls):
        p["n_calls_used"] += 1
        idx = p["n_calls_used"]
    else:
        p["n_calls_overflowed"] += 1
        return UNOBSERVED
    p["n_calls_open"] += 1
    calls[idx]["is_open"] = 1
    return int(idx)


@part
def find_call(calls: Records, handle: int) -> int:
    """Return the place of an open call; ``UNOBSERVED`` for a handle that is not open."""
    idx = (handle & PLACE_MASK) >> ATTEMPT_BITS
    if 0 < idx < len(calls) and calls[idx]["is_open"] == 1:
        return idx
    return UNOBSERVED


@part
def close_call(process: Records, calls: Records, idx: int) -> None:
    """Give a place back."""
    p = process[0]
    calls[idx]["is_open"] = 0
    calls[idx]["next_free"] = p["free_call"]
    p["free_call"] = idx
    p["n_calls_open"] -= 1
