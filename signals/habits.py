"""Which client a caller uses, told by how long it waits before each retry.

*Rule of this file*: from the lags of one flow's retries to a family. Asked only
where no header tells.

*Theory*: maximum likelihood over the listed laws. A law's delay before retry a
is uniform on an interval of width w, so a lag inside it has the likelihood
1/w, and one outside it rules the law out. What is left of a flow's past is
therefore small and exact: the set of laws that are still possible (one bit
each) and how many lags of each attempt were seen:

    log L(law) = -(sum over a of n_a log(w_a + 10 ms))
                 - 3 if some lag was late, - 3 if the law gives up earlier by default

The lag at the proxy is the delay and a little more (the answer's way out, the
request's way in). Up to 15 ms more is as good as none; up to 60 ms (25 ms where
a delay may be 0) is late and leaves the law possible. An
unlisted law is one more candidate: any lag from 4 ms to 60 s, evenly in its
logarithm, at 4 nats below the others. If no law is left the flow has changed
its client, or one lag was no retry: it starts again from this lag alone.

*Regime*: laws with the same intervals cannot be told apart (OpenAI and Claude
Code; full jitter under 1 s * 2^n of three libraries): the first listed is
named. Lags that a hint decided say nothing and are not told.
*Cost*: 22 comparisons and 22 sums at a retry, nothing elsewhere; 32 bytes a flow.
*Source*: the intervals of :mod:`signals.families`.
*Considered and rejected*: one histogram a flow (512 bytes); one for all flows
(says which laws are about, not who uses which).
"""

from __future__ import annotations

import math

import numpy as np

from signals.families import N_ATTEMPTS, OTHER, SCHEDULES, UNKNOWN
from signals.kernel import part
from signals.state import Records

N_LAWS = len(SCHEDULES)
ALL_LAWS = (1 << N_LAWS) - 1

EARLY_NS = 2_000_000
"""Timers fire a little early, and a proxy learns of a failure a little after its caller."""

PROMPT_NS = 15_000_000
LATE_NS = 60_000_000
LATE_AT_ONCE_NS = 25_000_000
LATE_SHARE = 0.02
"""Network, scheduling and a new connection come on top of the delay."""

LATE_NATS = 3.0
"""Charged once: a slow network is slow for all laws, so lags go on to decide."""

JITTER_S = 0.01
"""What that adds as a rule; it gives fixed delays a width."""

SHALLOW_NATS = 3.0
"""A limit on retries is often raised: one in twenty."""

OTHER_NATS = 4.0
"""A law that nobody has listed is the last guess, not the first."""

OTHER_LOG = math.log(math.log(60.0 / 0.004))
"""Logarithm of the range of lags on which an unlisted law is even."""

SHORTEST_NS = 4_000_000
"""What is shorter is as good as at once."""

COUNT_BITS = 12
COUNT_MAX = (1 << COUNT_BITS) - 1
"""Lags counted of one attempt; then the flow is known well enough."""

_intervals_ns = np.array([schedule.intervals_s for schedule in SCHEDULES]) * 1e9
LOW_NS = _intervals_ns[:, :, 0] - EARLY_NS
PROMPT_HIGH_NS = _intervals_ns[:, :, 1] + PROMPT_NS
HIGH_NS = _intervals_ns[:, :, 1] * (1.0 + LATE_SHARE) + np.where(
    _intervals_ns[:, :, 0] > 0.0, LATE_NS, LATE_AT_ONCE_NS
)
LOG_WIDTH = np.log((_intervals_ns[:, :, 1] - _intervals_ns[:, :, 0]) * 1e-9 + JITTER_S)
FAMILY = np.array([schedule.family for schedule in SCHEDULES])
N_RETRIES = np.array([schedule.n_retries for schedule in SCHEDULES])


@part
def find_laws(attempt: int, lag_ns: int) -> int:
    """Return the laws that allow this lag before this retry, and those for which it is late.

    Two sets in one number: the second stands ``N_LAWS`` bits higher.
    """
    laws = 0
    for law in range(N_LAWS):
        if LOW_NS[law, attempt - 1] <= lag_ns <= HIGH_NS[law, attempt - 1]:
            laws |= 1 << law
            if lag_ns > PROMPT_HIGH_NS[law, attempt - 1]:
                laws |= 1 << (N_LAWS + law)
    return laws


@part
def read_count(counts: int, idx: int) -> int:
    """Return how many lags of an attempt are in a packed count."""
    return (counts >> (COUNT_BITS * idx)) & COUNT_MAX


@part
def choose_family(laws: int, counts: int, sum_log: float) -> int:
    """Return the family of the likeliest law."""
    n = 0
    deepest = 0
    for idx in range(N_ATTEMPTS):
        if read_count(counts, idx) > 0:
            n += read_count(counts, idx)
            deepest = idx + 1
    if n == 0:
        return UNKNOWN
    family = OTHER
    best = -sum_log - n * OTHER_LOG - OTHER_NATS
    for law in range(N_LAWS):
        if (laws >> law) & 1 == 0:
            continue
        nats = -SHALLOW_NATS if deepest > N_RETRIES[law] else 0.0
        if (laws >> (N_LAWS + law)) & 1:
            nats -= LATE_NATS
        for idx in range(N_ATTEMPTS):
            nats -= read_count(counts, idx) * LOG_WIDTH[law, idx]
        if nats > best + 1e-9:
            best = nats
            family = FAMILY[law]
    return int(family)


@part
def tell_lag(flows: Records, flow: int, attempt: int, lag_ns: int) -> None:
    """Let the lag before a flow's retry (1 is the first) narrow down which client it uses."""
    f = flows[flow]
    if attempt > N_ATTEMPTS or read_count(f["lag_counts"], attempt - 1) == COUNT_MAX:
        return
    allowed = find_laws(attempt, lag_ns)
    laws = allowed
    if f["lag_counts"] != 0:
        possible = f["lag_laws"] & allowed & ALL_LAWS
        late = (f["lag_laws"] | allowed) & (possible << N_LAWS)
        laws = possible | late
        if possible == 0:
            laws = allowed
            f["lag_counts"] = 0
            f["lag_sum_log"] = 0.0
    f["lag_laws"] = laws
    f["lag_counts"] += 1 << (COUNT_BITS * (attempt - 1))
    f["lag_sum_log"] += math.log(max(lag_ns, SHORTEST_NS) * 1e-9)
    f["family"] = choose_family(laws, f["lag_counts"], f["lag_sum_log"])
