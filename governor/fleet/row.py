"""The row: what one governor contributes to the view of one upstream, as integers that add up.

*Rule of this file*: places of the numbers in a row, and the bytes of a change. Every number is such
that the sum over governors means something; fractions are told in thousandths. A running total
counts as a difference between two exchanges, and only while the membership is the same.

*Cost*: a change is 10 bytes, and only what changed is told: of an endpoint's 42 numbers about 16
while it is busy, for of its four cohorts one or two change (:mod:`policies.limit.pool`).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from governor.core.others import N_WINDOWS
from policies.limit.pool import N_SLOTS, N_SUMS
from policies.share import N_BINS

FORMAT = "3"
"""Of rows and words; part of the key, for sums over two formats would mean nothing."""

MILLI = 1000

WAITING = 0
INVITED = 1
ORGANIC_MILLI_HZ = 2
AWAITED_MILLI = 3
RECENT = 4
DEMAND = 5
ARRIVED = 6
USEFUL_MS = 7
WASTED_MS = 8
ARRIVALS_MILLI = 16
RETURNS_MILLI = ARRIVALS_MILLI + N_WINDOWS
N_ASKING = RETURNS_MILLI + N_WINDOWS
ASKED = N_ASKING + N_BINS
ENDPOINTS = ASKED + N_BINS
"""Where the endpoints begin."""

IN_FLIGHT = 0
N_DEPARTED = 1
HELD_MS = 2
IN_STALL = 3
N_TAUGHT = 4
CEILING = 5
"""Whether refusals have taught a ceiling lately, and which."""
POOL = 6
"""Where the sums of cohorts begin."""
PER_ENDPOINT = POOL + N_SLOTS * N_SUMS

N_ENDPOINTS_MAX = 64

_CHANGE = Struct(">Hq")


def size_of(n_endpoints: int) -> int:
    """Return how many numbers a row has."""
    return ENDPOINTS + PER_ENDPOINT * min(n_endpoints, N_ENDPOINTS_MAX)


def pack_changes(before: Sequence[int], now: Sequence[int]) -> bytes:
    """Return what changed, as pairs of index and value.

    Examples
    --------
    >>> pack_changes([1, 2], [1, 3]).hex()
    '00010000000000000003'
    """
    pack = _CHANGE.pack
    return b"".join(
        pack(idx, value)
        for idx, (old, value) in enumerate(zip(before, now, strict=True))
        if old != value
    )


def unpack_changes(changes: bytes) -> list[tuple[int, int]]:
    """Return the pairs of :func:`pack_changes`."""
    return [(idx, value) for idx, value in _CHANGE.iter_unpack(changes)]
