"""What is normal for a service, and how far the present has shifted from it.

*Rule of this file*: one service, its past, its present. Whom to name is
:mod:`signals.propagation`'s.

*Theory*: own times of the last 5, 10, 20 and 60 s are compared with those of
25 minutes, at the median and the 90th percentile, each shift in units of its
own noise:

    d_p = ln Q_p(now) - ln Q_p(past)
    noise_p^2 = drift_p^2 + floor_p^2 + se(p, n)^2          z_p = d_p / noise_p

``drift`` is how much the quantile of 10 s varies in the past; a service of
which little is known is taken for one that varies by 0.4. ``se`` is what so few
calls as are seen now make it vary (:func:`signals.logbins.find_error`).
A service is *shifted* when (z50 + z90) / 2 reaches the window's gate and z50
is at least 1.

With fewer than 8 calls in a window (at least 3) both shifts are ln Q_25(now) -
ln Q_90(past): the fast ones must be slower than nine tenths of the past.

*Cut short*: a service that returns early makes fewer calls than it used to and
ends sooner. z of the fall in children per call, against its spread over
sub-windows and over calls.

*Regime*: silent with less than ``HISTORY_MIN`` calls or ``SUBS_MIN`` sub-windows
of past.
*Cost*: O(192) a window and quantile, once a second.
*Source*: the project's detection study, section 7. Gates and prior
chosen on two recordings of faults (bench detect propagation).
*Considered and rejected*: taking sampling noise out of the drift (finds two
more faults and three times the innocents where calls are few).
"""

from __future__ import annotations

import math

from signals.kernel import part
from signals.logbins import find_error, find_quantile
from signals.owntime import (
    CALLS,
    CHILDREN,
    LN_TIME,
    N_WINDOWS,
    RING_S,
    RING_SUBS,
    SQUARES,
    SUB_MIN,
    WINDOWS_S,
)
from signals.state import Records

GATES = (6.0, 5.0, 5.0, 3.5)
"""Least (z50 + z90) / 2 by window: the shorter the window, the more of them there are."""

N_EARLY = 2
"""The first two windows, 5 and 10 s, only show; the others may be acted upon."""

GATE_P50 = 1.0
"""The median must have moved as well: a few slow calls are no slow service."""

FLOOR_P50, FLOOR_P90 = 0.15, 0.25
"""Shifts of 16 % and 28 % are never more than one noise unit (detection study, section 7)."""

FEW = 8
"""Fewer calls than this in a window are judged by their fast quarter."""

FEWEST = 3
"""Fewer calls than this say nothing."""

HISTORY_MIN = 8
"""Calls of past without which a service is never named."""

SUBS_MIN = 4
"""Sub-windows with calls in the past without which a service is never named."""

PRIOR_SUBS, PRIOR_DRIFT = 1.0, 0.4
"""The drift of an unknown service, and how many sub-windows outweigh that guess."""

CUT_GATE = 4.0
CUT_CALLS = 60
CUT_CHILDREN = 0.5
CUT_FLOOR = 0.05
"""Cut short: z of the fall in children per call, over at least 60 calls in 20 s or 60 s, where it
was 0.5 at least; a fall of 5 % is never more than one noise unit."""


# -- what is normal ----------------------------------------------------------------


@part
def combine(squares: float, n: int) -> float:
    """Return the drift that ``n`` quantiles with this sum of squared deviations show."""
    weight = PRIOR_SUBS + max(n - 1, 0)
    return math.sqrt((PRIOR_SUBS * PRIOR_DRIFT * PRIOR_DRIFT + squares) / weight)


@part
def learn_normal(services: Records, upstream: int) -> None:
    """Renew what the past says of a service's own times and children."""
    s = services[upstream]
    n_history = float(s["history_n"])
    if n_history < 1.0:
        s["n_subs"] = 0
        return
    n = 0
    n_subs = 0
    mean50 = mean90 = mean_k = inverse = total = children = squares = ln_time = 0.0
    m50 = m90 = m_k = 0.0
    for idx in range(RING_SUBS):
        if s["sub_joined"][idx] == 0:
            continue
        calls = s["sub_sums"][idx, CALLS]
        total += calls
        children += s["sub_sums"][idx, CHILDREN]
        squares += s["sub_sums"][idx, SQUARES]
        ln_time += s["sub_sums"][idx, LN_TIME]
        n_subs += 1 if calls > 0 else 0
        if calls < SUB_MIN:
            continue
        n += 1
        inverse += 1.0 / calls
        # Welford: the spread of quantiles that hardly differ must not be lost in rounding.
        d = s["sub_p50"][idx] - mean50
        mean50 += d / n
        m50 += d * (s["sub_p50"][idx] - mean50)
        d = s["sub_p90"][idx] - mean90
        mean90 += d / n
        m90 += d * (s["sub_p90"][idx] - mean90)
        k = s["sub_sums"][idx, CHILDREN] / calls
        d = k - mean_k
        mean_k += d / n
        m_k += d * (k - mean_k)
    s["n_subs"] = n_subs
    s["p50"] = find_quantile(s["history"], n_history, 0.5)
    s["p90"] = find_quantile(s["history"], n_history, 0.9)
    s["ln_time"] = ln_time / total
    s["children"] = children / total
    s["children_variance"] = max(0.0, squares / total - (children / total) ** 2)
    s["noise_p50"] = combine(m50, n)
    s["noise_p90"] = combine(m90, n)
    s["children_noise"] = 0.0
    if n >= 2:
        spread = m_k / (n - 1) - s["children_variance"] * inverse / n
        s["children_noise"] = math.sqrt(max(0.0, spread))


# -- what has shifted --------------------------------------------------------------


@part
def judge(services: Records, upstream: int, counts: Records, n: float) -> tuple[float, float]:
    """Return z50 and z90 of some calls' own times; zeros where nothing can be said.

    Parameters
    ----------
    counts : int array, shape (N_BINS,)
        The calls' own times in bins.
    n : float
        How many they are.
    """
    s = services[upstream]
    n_history = float(s["history_n"])
    if n < FEWEST or n_history < HISTORY_MIN or s["n_subs"] < SUBS_MIN:
        return 0.0, 0.0
    if n < FEW:
        d50 = d90 = find_quantile(counts, n, 0.25) - s["p90"]
        if d50 < 0.0:
            return 0.0, 0.0
    else:
        d50 = find_quantile(counts, n, 0.5) - s["p50"]
        d90 = find_quantile(counts, n, 0.9) - s["p90"]
    if d50 <= 0.0 and d90 <= 0.0:
        return 0.0, 0.0
    e50 = find_error(s["history"], n_history, 0.5, n)
    e90 = find_error(s["history"], n_history, 0.9, n)
    z50 = d50 / math.sqrt(s["noise_p50"] ** 2 + FLOOR_P50**2 + e50 * e50)
    z90 = d90 / math.sqrt(s["noise_p90"] ** 2 + FLOOR_P90**2 + e90 * e90)
    return z50, z90


@part
def judge_windows(services: Records, upstream: int) -> None:
    """Renew the shifts of a service: the strongest that passes its gate, early and to act upon."""
    s = services[upstream]
    s["early_z"] = 0.0
    s["act_z"] = 0.0
    s["z50"] = 0.0
    s["z90"] = 0.0
    for window in range(N_WINDOWS):
        z50, z90 = judge(services, upstream, s["windows"][window], float(s["window_n"][window]))
        s["z50"] = z50  # of the longest window, after the last round
        s["z90"] = z90
        if (z50 + z90) / 2.0 >= GATES[window] and z50 >= GATE_P50:
            s["early_z"] = max(s["early_z"], z90)
            if window >= N_EARLY:
                s["act_z"] = max(s["act_z"], z90)


@part
def judge_children(services: Records, upstream: int, second: int) -> None:
    """Renew how far a service's calls fall short of the calls they used to make."""
    s = services[upstream]
    s["cut_z"] = 0.0
    if s["n_subs"] < SUBS_MIN or s["children"] < CUT_CHILDREN:
        return
    n = children = ln_time = 0.0
    for age in range(WINDOWS_S[N_WINDOWS - 1]):
        sums = s["second_sums"][(second - age) % RING_S]
        n += sums[CALLS]
        children += sums[CHILDREN]
        ln_time += sums[LN_TIME]
        if age + 1 not in (WINDOWS_S[N_EARLY], WINDOWS_S[N_WINDOWS - 1]) or n < CUT_CALLS:
            continue
        if ln_time / n >= s["ln_time"]:
            continue
        floor = CUT_FLOOR * s["children"]
        variance = s["children_noise"] ** 2 + floor * floor + s["children_variance"] / n
        s["cut_z"] = max(s["cut_z"], (s["children"] - children / n) / math.sqrt(variance))
