"""A calendar queue: what is due next among millions, in constant time, compiled.

*Rule of this file*: instants and links in arrays that the caller owns; no allocation, no clock.
Every node is in the queue at most once; it can be taken out in place. A time-out that is
answered in time is moved, not left behind as a dead entry.

*Theory*: an array of buckets, each a sorted list of what is due within a width of
time, the whole a year; what lies a year or more ahead waits in the bucket of its day
(R. Brown, "Calendar Queues", CACM 31, 1988). With about one entry a bucket, putting in and
taking out cost a constant. Width and number of buckets are powers of two and fixed for a
run, for the number of entries is: one an agent, and one a job in service.
What is due at one instant comes in the order in which it was put.

*Regime*: instants never lie before the last one taken. An empty year is jumped over by
looking at all buckets once.

*Considered and rejected*: a binary heap (20 levels of cache misses for a million entries);
resizing as Brown does (the population is known); a radix heap (no entry can be
taken out).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.simulate.compiled import part

MASK, SHIFT, CURSOR, TOP, COUNT = range(5)
"""Places in the array of numbers that goes with the buckets."""

NOTHING = -1


def make_calendar(n_entries: int, span_ns: int) -> tuple[Any, Any]:
    """Return (buckets, numbers) for about so many entries due within ``span_ns``."""
    n_buckets = 1 << max(4, int(n_entries).bit_length())
    width_ns = max(1, span_ns // n_buckets)
    shift = max(0, int(width_ns).bit_length() - 1)
    buckets = np.full(n_buckets, NOTHING, dtype=np.int32)
    numbers = np.zeros(5, dtype=np.int64)
    numbers[MASK], numbers[SHIFT], numbers[TOP] = n_buckets - 1, shift, 1 << shift
    return buckets, numbers


@part
def put(buckets: Any, numbers: Any, nodes: Any, node: int, at_ns: int) -> None:
    """Put a node that is not in the queue in, due at ``at_ns``."""
    bucket = (at_ns >> numbers[SHIFT]) & numbers[MASK]
    nodes[node]["at"] = at_ns
    before = NOTHING
    after = buckets[bucket]
    while after != NOTHING and nodes[after]["at"] <= at_ns:
        before = after
        after = nodes[after]["next"]
    nodes[node]["next"] = after
    nodes[node]["prev"] = before
    if after != NOTHING:
        nodes[after]["prev"] = node
    if before != NOTHING:
        nodes[before]["next"] = node
    else:
        buckets[bucket] = node
    numbers[COUNT] += 1


@part
def take_out(buckets: Any, numbers: Any, nodes: Any, node: int) -> None:
    """Take a node out that is in the queue."""
    before = nodes[node]["prev"]
    after = nodes[node]["next"]
    if before != NOTHING:
        nodes[before]["next"] = after
    else:
        bucket = (nodes[node]["at"] >> numbers[SHIFT]) & numbers[MASK]
        buckets[bucket] = after
    if after != NOTHING:
        nodes[after]["prev"] = before
    numbers[COUNT] -= 1


@part
def take_next(buckets: Any, numbers: Any, nodes: Any) -> int:
    """Take out what is due next; ``NOTHING`` if the queue is empty."""
    if numbers[COUNT] == 0:
        return NOTHING
    mask = numbers[MASK]
    width = 1 << numbers[SHIFT]
    cursor = numbers[CURSOR]
    top = numbers[TOP]
    for _ in range(mask + 1):
        node = buckets[cursor]
        if node != NOTHING and nodes[node]["at"] < top:
            numbers[CURSOR], numbers[TOP] = cursor, top
            take_out(buckets, numbers, nodes, node)
            return int(node)
        cursor = (cursor + 1) & mask
        top += width
    first = NOTHING
    for bucket in range(mask + 1):
        node = buckets[bucket]
        if node != NOTHING and (first == NOTHING or nodes[node]["at"] < nodes[first]["at"]):
            first = node
    day = nodes[first]["at"] >> numbers[SHIFT]
    numbers[CURSOR], numbers[TOP] = day & mask, (day + 1) << numbers[SHIFT]
    take_out(buckets, numbers, nodes, first)
    return int(first)
