"""When a caller that has failed will be back: one kernel per client family and attempt.

*Rule of this file*: the law of one return. Who is pending, and what their
returns add up to, is :mod:`signals.forecast`'s.

*Theory*: the lag from failure to return is a lifetime, so its law is learned as
one (Kaplan-Meier): bins of lag, four an octave; with d returns seen in a bin
and s failures that outlived it,

    hazard h = d / (d + s),   mass K = S h,   S <- S (1 - h).

"Not back yet" is evidence: a bin that no failure has reached teaches nothing, one
that was outlived counts at once, and callers that never return need no
parameter. A client that has given up never returns, and is known to from the
instant its program asks anew: that call is demand, its lag is thought, no
back-off. The prior is ``PRIOR_WEIGHT`` imagined failures per bin from the
family's published laws (:mod:`signals.families`), or from all laws where the
family is unknown. Within a bin returns are uniform over mean +- sqrt(3) sd of
the lags seen there: a client that sleeps 2 s sharp stays sharp although its
bin is 0.33 s wide.

Failures are told apart by the 50 ms bin they fell in, not by instant. With F
the distribution of lags and I its integral, a failure anywhere in bin 0
returns in bin d with chance

    M(d) = (I((d+1) w) - 2 I(d w) + I((d-1) w)) / w,   w = 50 ms,

the second difference of I: exact for any F, a return in the same bin included.

*Regime*: lags to 12.8 s are forecast (the first two retries of every client
known, the third of all but the slowest); longer ones are learned, not used.
*Cost*: a return O(1), some 10 ns; a kernel made anew 2 us, and that at most
``signals.generations.REBUILDS`` times a tick.
*Source*: Kaplan & Meier 1958; the project's detection study, section 4. The
study kept bins of one width and no moments.
*Considered and rejected*: a histogram of lags (blind to those still pending:
early returns look like the law); parametric fits (a family is a mixture).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from signals.families import N_ATTEMPTS, N_FAMILIES, SCHEDULES
from signals.kernel import part

Record = Any
"""One record of a structured array."""

BIN_NS = 50_000_000
"""Width of a forecast bin, and the pace of ticks: finer could not be acted upon."""

BIN_S = BIN_NS * 1e-9

N_LAGS = 64
"""Bins of lag: below 4 ms, then four an octave, the last open from 185 s."""

SHORTEST_LAG_NS = 4_000_000
"""Less than a network round trip between machines."""

N_AGES = 256
"""Forecast bins that a failure stays pending: 12.8 s."""

N_LAWS = N_FAMILIES + 1
"""Laws kept: one a family, and one for callers without identity."""

ANONYMOUS = N_FAMILIES
"""Callers whose return nobody can recognise: the prior of all clients, never taught."""

PRIOR_WEIGHT = 20.0
"""Imagined failures behind the prior in each bin: a herd of 100 outweighs it at its first
return, five stragglers do not (detection study, section 4)."""

DEFAULT_SHARE = 0.7
"""Prior share of a family's default law where it has several."""

GENERIC_SHARE = 0.05
"""Prior share of all other clients' laws in a family's own: names can lie."""

AGAIN_SHARE = 0.1
"""Share expected back beyond the client's last retry: loops around it ask again."""

SLACK_S = 0.010
"""Added to the longest delay: the way to the caller and back."""

TAIL_HAZARD = 0.001
"""Prior hazard of a lag that no law allows."""

HAZARD_MAX = 0.98
"""No prior is so sure that all return."""

FORGET_AT = 4_096.0
"""Returns after which all counts of a law are halved: clients are updated."""

LEARNED_MIN = 20
"""Returns of one law that count as learned: as many as the prior's weight."""


def compute_edges_ns() -> npt.NDArray[np.int64]:
    """Return the lower edges of the bins of lag, and the end of the last."""
    octaves = np.arange(N_LAGS) / 4.0
    return np.concatenate(([0], np.round(SHORTEST_LAG_NS * 2.0**octaves))).astype(np.int64)


EDGES_NS = compute_edges_ns()

OUTLIVED_AT = -(-EDGES_NS[1:] // BIN_NS)
"""Age in forecast bins at which a whole bin of failures has outlived each bin of lag."""

N_OUTLIVED = np.searchsorted(OUTLIVED_AT, np.arange(N_AGES + 1), side="right")
"""Bins of lag that failures of each age have outlived."""

LAWS_S = np.array([schedule.intervals_s for schedule in SCHEDULES], np.float64)
"""By published law and retry: shortest and longest delay."""


def compute_law_weights() -> npt.NDArray[np.float64]:
    """Return, by family, published law and failed attempt, the prior share that returns by it."""
    generic = np.full(len(SCHEDULES), 1.0 / len(SCHEDULES))
    shares = np.tile(generic, (N_LAWS, 1))
    for family in range(N_FAMILIES):
        own = [idx for idx, law in enumerate(SCHEDULES) if law.family == family]
        if own:
            shares[family] *= GENERIC_SHARE
            rest = (1.0 - DEFAULT_SHARE) / (len(own) - 1) if len(own) > 1 else 0.0
            for rank, idx in enumerate(own):
                share = (DEFAULT_SHARE if len(own) > 1 else 1.0) if rank == 0 else rest
                shares[family, idx] += (1.0 - GENERIC_SHARE) * share
    allowed = np.array(
        [
            [1.0 if q < law.n_retries else AGAIN_SHARE for q in range(N_ATTEMPTS)]
            for law in SCHEDULES
        ]
    )
    return np.asarray(shares[:, :, None] * allowed[None, :, :], np.float64)


LAW_WEIGHTS = compute_law_weights()

BACKOFF_DTYPE = np.dtype(
    [
        ("is_primed", np.int64, (N_LAWS, N_ATTEMPTS)),
        ("is_stale", np.int64, (N_LAWS, N_ATTEMPTS)),
        ("n_returns", np.int64, (N_LAWS, N_ATTEMPTS)),
        ("weight", np.float64, (N_LAWS, N_ATTEMPTS)),
        ("returned", np.float64, (N_LAWS, N_ATTEMPTS, N_LAGS)),
        ("outlived", np.float64, (N_LAWS, N_ATTEMPTS, N_LAGS)),
        # of the returns: sums of place within the bin (0: lower edge, 1: upper) and its square
        ("place", np.float64, (N_LAWS, N_ATTEMPTS, N_LAGS)),
        ("place_square", np.float64, (N_LAWS, N_ATTEMPTS, N_LAGS)),
        # chance of return in each forecast bin after the failure's, and where that ends
        ("mass", np.float64, (N_LAWS, N_ATTEMPTS, N_AGES)),
        ("stop", np.int64, (N_LAWS, N_ATTEMPTS)),
    ],
    align=True,
)
"""The laws as one upstream has seen them; 360 KB, of which a page is touched as a law is met.

All zero is the right start: a law is primed when first met. Functions here take one such record.
"""


@part
def find_lag(lag_ns: int) -> int:
    """Return the bin of a lag."""
    low, high = 0, N_LAGS - 1
    while low < high:
        middle = (low + high + 1) // 2
        if EDGES_NS[middle] <= lag_ns:
            low = middle
        else:
            high = middle - 1
    return low


@part
def prime_law(backoff: Record, law: int, attempt: int) -> None:
    """Add to a law, once, what the clients' published laws expect."""
    backoff["is_primed"][law, attempt] = 1
    backoff["is_stale"][law, attempt] = 1
    alive = 1.0
    for lag in range(N_LAGS):
        low_s, high_s = EDGES_NS[lag] * 1e-9, EDGES_NS[lag + 1] * 1e-9
        width_s = high_s - low_s
        mass, place, square = 0.0, 0.0, 0.0
        for idx in range(len(LAWS_S)):
            start_s, stop_s = LAWS_S[idx, attempt, 0], LAWS_S[idx, attempt, 1] + SLACK_S
            left_s, right_s = max(start_s, low_s), min(stop_s, high_s)
            if right_s > left_s:
                share = LAW_WEIGHTS[law, idx, attempt] * (right_s - left_s) / (stop_s - start_s)
                left, right = (left_s - low_s) / width_s, (right_s - low_s) / width_s
                mass += share
                place += share * 0.5 * (left + right)
                square += share * (left * left + left * right + right * right) / 3.0
        hazard = TAIL_HAZARD
        if mass > 0.0:
            hazard = min(HAZARD_MAX, max(TAIL_HAZARD, mass / max(alive, mass)))
            place, square = place / mass, square / mass
        else:
            place, square = 0.5, 1.0 / 3.0
        alive = max(0.0, alive - mass)
        backoff["returned"][law, attempt, lag] += PRIOR_WEIGHT * hazard
        backoff["outlived"][law, attempt, lag] += PRIOR_WEIGHT * (1.0 - hazard)
        backoff["place"][law, attempt, lag] += PRIOR_WEIGHT * hazard * place
        backoff["place_square"][law, attempt, lag] += PRIOR_WEIGHT * hazard * square


@part
def forget_half(backoff: Record, law: int, attempt: int) -> None:
    """Halve all counts of a law, which leaves it as it is and easier to change."""
    backoff["weight"][law, attempt] *= 0.5
    for lag in range(N_LAGS):
        backoff["returned"][law, attempt, lag] *= 0.5
        backoff["outlived"][law, attempt, lag] *= 0.5
        backoff["place"][law, attempt, lag] *= 0.5
        backoff["place_square"][law, attempt, lag] *= 0.5


@part
def count_return(backoff: Record, law: int, attempt: int, lag_ns: int, age: int) -> None:
    """Teach a law one return.

    Parameters
    ----------
    law, attempt : int
        Family and attempt of the failed call.
    lag_ns : int
        From failure to return, >= 0.
    age : int
        Closed forecast bins since the failure's, as last given to :func:`count_outlived`
        for the bin that held this failure; negative if that is still open.
    """
    lag = find_lag(lag_ns)
    for before in range(N_OUTLIVED[min(max(age, 0), N_AGES)], lag):
        backoff["outlived"][law, attempt, before] += 1.0
    width_ns = EDGES_NS[lag + 1] - EDGES_NS[lag]
    place = min(1.0, (lag_ns - EDGES_NS[lag]) / width_ns)
    backoff["returned"][law, attempt, lag] += 1.0
    backoff["place"][law, attempt, lag] += place
    backoff["place_square"][law, attempt, lag] += place * place
    backoff["n_returns"][law, attempt] += 1
    backoff["weight"][law, attempt] += 1.0
    backoff["is_stale"][law, attempt] = 1
    if backoff["weight"][law, attempt] >= FORGET_AT:
        forget_half(backoff, law, attempt)


@part
def count_outlived(backoff: Record, law: int, attempt: int, lag: int, n_failures: int) -> None:
    """Teach a law that so many failures have outlived a bin of lag."""
    backoff["outlived"][law, attempt, lag] += n_failures
    backoff["is_stale"][law, attempt] = 1


@part
def count_given_up(backoff: Record, law: int, attempt: int, age: int) -> None:
    """Teach a law a failure whose client has given up: it outlives whatever it had not yet.

    Parameters
    ----------
    age : int
        As for :func:`count_return`.
    """
    for lag in range(N_OUTLIVED[min(max(age, 0), N_AGES)], N_OUTLIVED[N_AGES - 1]):
        backoff["outlived"][law, attempt, lag] += 1.0
    backoff["is_stale"][law, attempt] = 1


@part
def integrate_lag(at_s: float, low_s: float, high_s: float) -> float:
    """Integrate to ``at_s`` the distribution of a lag that is uniform over an interval."""
    if at_s <= low_s:
        return 0.0
    if at_s >= high_s:
        return at_s - 0.5 * (low_s + high_s)
    return 0.5 * (at_s - low_s) * (at_s - low_s) / (high_s - low_s)


@part
def build_kernel(backoff: Record, law: int, attempt: int) -> None:
    """Make the chance of return per forecast bin anew from the counts."""
    if backoff["is_primed"][law, attempt] == 0:
        prime_law(backoff, law, attempt)
    mass = backoff["mass"][law, attempt]
    mass[:] = 0.0
    backoff["is_stale"][law, attempt] = 0
    alive = 1.0
    stop = 0
    for lag in range(N_LAGS):
        low_s = EDGES_NS[lag] * 1e-9
        if low_s >= N_AGES * BIN_S:
            break
        returned = backoff["returned"][law, attempt, lag]
        hazard = returned / (returned + backoff["outlived"][law, attempt, lag])
        share = alive * hazard
        alive -= share
        mean = backoff["place"][law, attempt, lag] / returned
        variance = max(0.0, backoff["place_square"][law, attempt, lag] / returned - mean * mean)
        reach = (3.0 * variance) ** 0.5
        width_s = EDGES_NS[lag + 1] * 1e-9 - low_s
        left_s = low_s + width_s * max(0.0, mean - reach)
        right_s = low_s + width_s * min(1.0, mean + reach)
        first = int(left_s / BIN_S)
        last = min(N_AGES - 1, int(right_s / BIN_S) + 1)
        before = integrate_lag((first - 1) * BIN_S, left_s, right_s)
        here = integrate_lag(first * BIN_S, left_s, right_s)
        for d in range(first, last + 1):
            after = integrate_lag((d + 1) * BIN_S, left_s, right_s)
            mass[d] += share * max(0.0, after - 2.0 * here + before) / BIN_S
            before, here = here, after
        stop = last + 1
    backoff["stop"][law, attempt] = stop
