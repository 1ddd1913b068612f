"""Which client a caller uses, told by how long it waits before each retry.

*Rule of this file*: from the lags of one flow's retries to a family. Asked only
where no header tells.

*Theory*: maximum likelihood over the listed laws. A law's delay before retry a
is uniform on an interval of width w, so a lag inside it has the likelihood
1/w. What is left of a flow's past is therefore small: how many lags of each
attempt were seen, and for each law how many did not fit (two bits) and
whether one was late (one bit):

    log L(law) = -(sum over a of n_a log(w_a + 10 ms)) - 5 x misfits
                 - 3 if some lag was late, - 3 if the law gives up earlier by default

A misfit may be no retry at all (a program that asks again), so one does not
rule a law out; three do, and one is forgiven every sixteen lags.

The lag at the proxy is the delay and a little more (the answer's way out, the
request's way in). Up to 15 ms more is as good as none; up to 60 ms (20 ms where
a delay may be 0) is late but fits. An unlisted law is one more candidate: any
lag from 4 ms to 60 s, evenly in its logarithm, at 4 nats below the others.

*Regime*: laws with the same intervals cannot be told apart (OpenAI and Claude
Code; full jitter under 1 s * 2^n of three libraries): the first listed is
named. Lags that a hint decided say nothing and are not told.
*Cost*: 22 comparisons and 22 sums at a retry, nothing elsewhere; 36 bytes a flow.
*Source*: the intervals of :mod:`signals.families`.
*Considered and rejected*: one histogram a flow (512 bytes); one for all flows
(says which laws are about, not who uses which).
"""

from __future__ import annotations

import math

import numpy as np

from signals.families import N_ATTEMPTS, OTHER, SCHEDULES
from signals.kernel import part
from signals.state import Records

N_LAWS = len(SCHEDULES)

MISFIT_MAX = 3
MISFIT_NATS = 5.0
FORGIVE_EVERY = 16
"""Misfits that rule a law out, what one costs, and lags after which one is forgiven."""

EARLY_NS = 2_000_000
"""Timers fire a little early, and a proxy learns of a failure a little after its caller."""

PROMPT_NS = 15_000_000
LATE_NS = 60_000_000
LATE_AT_ONCE_NS = 20_000_000
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
"""Lags counted of a flow; then it is known well enough."""

TIE_NATS = 1e-9
"""Equal laws differ by rounding only: the first stands."""

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
def does_fit(law: int, attempt: int, lag_ns: int) -> bool:
    """Return whether a law allows this lag before this retry (1 is the first)."""
    return bool(LOW_NS[law, attempt - 1] <= lag_ns <= HIGH_NS[law, attempt - 1])


@part
def read_misfits(misfits: int, law: int) -> int:
    """Return how many lags did not fit a law, from the packed counts."""
    return (misfits >> (2 * law)) & MISFIT_MAX


@part
def read_count(counts: int, idx: int) -> int:
    """Return how many lags of an attempt were seen, from the packed counts."""
    return (counts >> (COUNT_BITS * idx)) & COUNT_MAX


@part
def compute_nats(law: int, misfits: int, late: int, counts: int) -> float:
    """Return the logarithm of a law's likelihood."""
    n_misfits = read_misfits(misfits, law)
    nats = -MISFIT_NATS * n_misfits
    if (late >> law) & 1:
        nats -= LATE_NATS
    deepest = 0
    for idx in range(N_ATTEMPTS):
        n = read_count(counts, idx)
        if n > 0:
            deepest = idx + 1
            nats -= n * LOG_WIDTH[law, idx]
    # A misfit beyond the last retry was probably no retry, and says nothing of limits.
    is_too_deep = n_misfits == 0 and deepest > N_RETRIES[law]
    return nats - SHALLOW_NATS if is_too_deep else nats


@part
def choose_family(misfits: int, late: int, counts: int, n_lags: int, sum_log: float) -> int:
    """Return the family of the likeliest law; of equals the first listed."""
    family = OTHER
    best = -sum_log - n_lags * OTHER_LOG - OTHER_NATS
    for law in range(N_LAWS):
        if read_misfits(misfits, law) < MISFIT_MAX:
            nats = compute_nats(law, misfits, late, counts)
            if nats > best + TIE_NATS:
                best = nats
                family = FAMILY[law]
    return int(family)


@part
def tell_lag(flows: Records, row: int, attempt: int, lag_ns: int) -> None:
    """Let the lag before a flow's retry (1 is the first) narrow down which client it uses."""
    f = flows[row]
    if attempt > N_ATTEMPTS or f["n_lags"] >= COUNT_MAX:
        return
    misfits, late = f["lag_misfits"], f["lag_late"]
    f["n_lags"] += 1
    is_forgiving = f["n_lags"] % FORGIVE_EVERY == 0
    for law in range(N_LAWS):
        n = read_misfits(misfits, law)
        if not does_fit(law, attempt, lag_ns):
            misfits += 1 << (2 * law) if n < MISFIT_MAX else 0
        elif is_forgiving and n > 0:
            misfits -= 1 << (2 * law)
        elif lag_ns > PROMPT_HIGH_NS[law, attempt - 1]:
            late |= 1 << law
    f["lag_misfits"] = misfits
    f["lag_late"] = late
    f["lag_counts"] += 1 << (COUNT_BITS * (attempt - 1))
    f["lag_sum_log"] += math.log(max(lag_ns, SHORTEST_NS) * 1e-9)
    f["family"] = choose_family(misfits, late, f["lag_counts"], f["n_lags"], f["lag_sum_log"])
