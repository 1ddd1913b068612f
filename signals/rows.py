"""Where it is kept what one flow did at one upstream: one pool of rows for a whole process.

*Rule of this file*: which pair has which row, and when a row is given away. What
stands in a row is the detectors'.

*Theory*: rows are taken from the pool in order, as pairs appear, so memory is
touched only as they do and is bounded by the pool whatever the number of
upstreams. Pairs are found through a table of lists: pair (u, f) is in bucket
(f + u * ``STRIDE``) mod size. Flows are numbered in order of appearance, so at
one upstream no two share a bucket (up to 131,072 of them), and a list is never
longer than there are upstreams; the stride (size over the golden ratio) lays the
upstreams' low numbers, which are the commonest, evenly round the table.

A full pool gives away rows as a clock does: a hand goes round, looks at
``N_PROBES`` rows for each new pair and takes the first that is **silent**: no
open call, no arrival for a minute, no failure that a retry could still be
recognised by, no success being watched. Then nothing is lost but the guess
which client the flow uses. If none is, the pair shares row 0: its caller counts
as unknown at this upstream until there is room, and that is counted.

A flow's number that stands for another caller from now on has a new
*generation*; its rows are found to be old, and cleared, when they are next used.

*Regime*: pairs active within a minute fit in the pool (131,071). A success that
was watched when its row was given away is settled by nobody: as if its flow had
never come back.
*Cost*: a find touches one bucket and 1.0-1.5 rows on average, by counting: 100,000 agents over
64 upstreams in turn 1.0, 2,000 agents that each call 64 1.1, random pairs in a full pool 1.5.
*Source*: second chance: Corbató, "A paging experiment with the Multics system", 1968.
*Considered and rejected*: one table per upstream (22 MB each where every flow calls
it, 1.4 GB at 64); a table of row numbers by upstream and flow (16 MB at 64
upstreams, nothing beyond); a set-associative pool (full sets in a half-empty pool).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from signals.kernel import part
from signals.pages import make_table
from signals.retry import MEMORY_NS
from signals.state import N_FAILURES, Records

N_ROWS = 131_072
"""26 MB. One for each of 100,000 agents, or for 2,000 agents that each call 64 upstreams."""

NO_ROW = 0
"""The row that all pairs share for whom there was no place, and unknown callers."""

STRIDE = 81_006
"""2^17 over the golden ratio, even: agents dealt out to upstreams in turn (f = u modulo their
number) then keep apart; with 81,007 a find met 6.6 rows where 100,000 call 64 upstreams so."""

N_PROBES = 8
"""Rows looked at for a new pair in a full pool."""

Heads = npt.NDArray[np.int32]


class RowUse(NamedTuple):
    """How a process's pool of rows is used."""

    used: int
    capacity: int
    reclaimed: int
    """Silent rows that were given to another pair."""
    overflowed: int
    """Arrivals whose caller counted as unknown because no row was to be had."""


def make_heads(n_rows: int) -> Heads:
    """Allocate the lists' heads for a pool: as many as rows, rounded up to a power of two."""
    return make_table(1 << max(n_rows - 1, 1).bit_length(), np.dtype(np.int32))


@part
def find_bucket(heads: Heads, upstream: int, flow: int) -> int:
    """Return the list that a pair's row is in."""
    return (flow + upstream * STRIDE) & (len(heads) - 1)


@part
def find_row(heads: Heads, flows: Records, upstream: int, flow: int) -> int:
    """Return a pair's row, ``NO_ROW`` if it has none."""
    row = int(heads[find_bucket(heads, upstream, flow)])
    while row != NO_ROW and (flows[row]["flow"] != flow or flows[row]["upstream"] != upstream):
        row = int(flows[row]["next"])
    return row


@part
def is_silent(flows: Records, row: int, t_ns: int) -> bool:
    """Return whether a row holds nothing that any signal still needs."""
    f = flows[row]
    if f["n_open"] > 0 or t_ns - f["last_ns"] < MEMORY_NS:
        return False
    for idx in range(N_FAILURES):
        if f["n_failed"][idx] > 0 and t_ns - f["failed_ns"][idx] < MEMORY_NS:
            return False
    return bool(f["watched_ns"] == 0 or t_ns - f["watched_ns"] >= MEMORY_NS)


@part
def clear_row(flows: Records, row: int) -> None:
    """Forget what a row's flow did; whose row it is and its open calls stay."""
    f = flows[row]
    f["tenant"] = 0
    f["tree"] = 0
    f["last_ns"] = 0
    f["last_retry_ns"] = 0
    for idx in range(N_FAILURES):
        f["n_failed"][idx] = 0
        f["failed_fingerprint"][idx] = 0.0
        f["failed_ns"][idx] = 0
        f["failed_due_ns"][idx] = 0
        f["failed_attempt"][idx] = 0
        f["failed_family"][idx] = 0
    f["watched_ns"] = 0
    f["watched_fingerprint"] = 0.0
    f["watched_told"] = 0
    f["family"] = 0
    f["n_lags"] = 0
    f["lag_late"] = 0
    f["lag_misfits"] = 0
    f["lag_counts"] = 0
    f["lag_sum_log"] = 0.0


@part
def unlink_row(heads: Heads, flows: Records, row: int) -> None:
    """Take a row out of its list."""
    bucket = find_bucket(heads, flows[row]["upstream"], flows[row]["flow"])
    after = flows[row]["next"]
    before = int(heads[bucket])
    if before == row:
        heads[bucket] = after
        return
    while flows[before]["next"] != row:
        before = int(flows[before]["next"])
    flows[before]["next"] = after


@part
def find_place(process: Records, heads: Heads, flows: Records, t_ns: int) -> int:
    """Return an empty row, a new one or one that was silent; ``NO_ROW`` if there is none."""
    p = process[0]
    if p["n_rows_used"] + 1 < len(flows):
        p["n_rows_used"] += 1
        return int(p["n_rows_used"])
    for _ in range(min(N_PROBES, len(flows) - 1)):
        row = int(p["row_hand"] % (len(flows) - 1) + 1)
        p["row_hand"] = row
        if is_silent(flows, row, t_ns):
            unlink_row(heads, flows, row)
            clear_row(flows, row)
            p["n_rows_reclaimed"] += 1
            return row
    p["n_rows_overflowed"] += 1
    return NO_ROW


@part
def take_row(
    process: Records,
    heads: Heads,
    flows: Records,
    agents: Records,
    upstream: int,
    flow: int,
    t_ns: int,
) -> int:
    """Return the row of a flow that calls an upstream, a new one if it has none.

    ``NO_ROW`` if there is no place, or if the flow is unknown (0).
    """
    if flow == 0:
        return NO_ROW
    generation = agents[flow]["generation"] if flow < len(agents) else 0
    row = find_row(heads, flows, upstream, flow)
    if row == NO_ROW:
        row = find_place(process, heads, flows, t_ns)
        if row == NO_ROW:
            return NO_ROW
        bucket = find_bucket(heads, upstream, flow)
        f = flows[row]
        f["flow"] = flow
        f["upstream"] = upstream
        f["generation"] = generation
        f["next"] = heads[bucket]
        heads[bucket] = row
    elif flows[row]["generation"] != generation:
        clear_row(flows, row)
        flows[row]["generation"] = generation
    return row


def describe_rows(process: Records, flows: Records) -> RowUse:
    """Return how the pool is used; for people, not per tick."""
    p = process[0]
    return RowUse(
        int(p["n_rows_used"]),
        len(flows) - 1,
        int(p["n_rows_reclaimed"]),
        int(p["n_rows_overflowed"]),
    )
