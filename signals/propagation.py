"""Whose trouble it is: the service whose own time has risen, among all that look slow.

*Rule of this file*: what is normal, what has shifted, who is named, what is read.

*Theory*: own times (:mod:`signals.nesting`) of the last 5, 10, 20 and 60 s are
compared with those of 25 minutes, per service, at the median and the 90th
percentile, each shift in units of its own noise:

    d_p = ln Q_p(now) - ln Q_p(past)
    noise_p^2 = drift_p^2 + floor_p^2 + se(p, n)^2          z_p = d_p / noise_p

``drift`` is how much the quantile of 10 s has varied in the past beyond what so
few calls make it vary; ``se`` what so few calls as are seen now make it vary
(:func:`signals.logbins.find_error`). **Named** is the service with the largest
z90 among those with (z50 + z90) / 2 at or above the gate and z50 >= 2. Else, if
the calls of some service make far fewer calls than they used to and end sooner,
it is named as **cut short** (it returns early). Else nobody.

With fewer than 8 calls in a window (at least 3) both shifts are ln Q_25(now) -
ln Q_90(past): the fast ones must be slower than nine tenths of the past.

Two readings: *early*, from all windows at once, 5-22 s after a fault, to show;
and *named*, from 20 s and 60 s, the same service for ``STREAK_S`` seconds, to
act upon. What is abnormal does not become normal: 240 s after a name begins
nothing joins the past, nor does, for at most as long, a sub-window that is
abnormal for its own service. After that it is the new normal.

*Regime*: needs trees (a trace id or a session) and, for services that call
through this process, callers; without them own time is inclusive time and a
slow service's callers look slow too. Silent with less than ``HISTORY_MIN``
calls or ``SUBS_MIN`` sub-windows of past. Faults that change no timing are not
seen; nor are calls that never end before their callers leave.
*Cost*: O(1) a call; once a second about O(14 x 192) for a service with calls.
*Source*: the project's detection study, section 7. Ours: noise, two readings.
*Considered and rejected*: inclusive time (blames the caller in one of four);
largest added seconds (misses small services that others wait for).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from signals.kernel import part
from signals.logbins import find_error, find_quantile
from signals.nesting import compute_own_ns
from signals.owntime import (
    CALLS,
    CHILDREN,
    LAG_SUBS,
    LN_TIME,
    N_HISTORY,
    N_WINDOWS,
    RING_S,
    RING_SUBS,
    SECOND_NS,
    SQUARES,
    SUB_MIN,
    SUB_S,
    WINDOWS_S,
    close_sub,
    count_call,
    join_history,
    leave_history,
    slide_windows,
)
from signals.reach import count_visitors, visit
from signals.state import Records, put

GATES = (6.0, 5.0, 5.0, 4.0)
"""Least (z50 + z90) / 2 by window: the shorter the window, the more of them there are."""

N_EARLY = 2
"""The first two windows, 5 and 10 s, only show; the others may be acted upon."""

GATE_P50 = 2.0
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
"""Sub-windows of past without which its spread is not known."""

PRIOR_SUBS, PRIOR_DRIFT = 0.0, 0.5
"""The drift of an unknown service, and how many sub-windows outweigh that guess."""

STREAK_S = 5
"""Seconds that the same service must lead before it is named for action."""

LEFT_OUT_S = 240
"""Seconds after a name begins that do not become the past."""

PAUSE_S = 60
"""A name after a longer pause is a new one."""

CUT_GATE = 4.0
CUT_CALLS = 60
CUT_CHILDREN = 0.5
CUT_FLOOR = 0.05
"""Cut short: z of the fall in children per call, over at least 60 calls in 20 s or 60 s, where it
was 0.5 at least; a fall of 5 % is never more than one noise unit."""

SLOW, CUT_SHORT = 1, 2
"""Kinds of trouble."""

NOBODY = -1

READINGS = (
    ("propagation_service", "index"),
    ("propagation_z", "noise units"),
    ("propagation_kind", "index"),
    ("propagation_since", "seconds"),
    ("propagation_early_service", "index"),
    ("propagation_early_z", "noise units"),
    ("propagation_own_p50", "seconds"),
    ("propagation_own_p90", "seconds"),
    ("propagation_past_p50", "seconds"),
    ("propagation_past_p90", "seconds"),
    ("propagation_flows", "flows"),
    ("propagation_tenants", "tenants"),
    ("propagation_trees", "trees"),
)
"""Named service (-1: nobody), its z90, kind (1 slow, 2 cut short) and for how long; whom the short
windows point at; the named one's own time now and in the past; who has passed it in a minute."""

PROPAGATION_DTYPE = np.dtype(
    [
        ("has_started", np.int64),
        ("second", np.int64),
        ("n_history", np.int64),
        ("n_seconds", np.int64),
        ("left_out_from", np.int64),
        ("left_out_until", np.int64),
        ("last_named", np.int64),
        ("leader", np.int64),
        ("streak", np.int64),
        ("n_names", np.int64),
        # what is read
        ("named", np.int64),
        ("kind", np.int64),
        ("since", np.int64),
        ("z", np.float64),
        ("early", np.int64),
        ("early_z", np.float64),
        ("flows", np.float64),
        ("tenants", np.float64),
        ("trees", np.float64),
    ],
    align=True,
)
"""What is known of all services together."""


def make_propagation(n_history: int = N_HISTORY) -> Records:
    """Allocate it; ``n_history`` is the length of the past in sub-windows of 10 s."""
    if not 1 <= n_history <= N_HISTORY:
        raise ValueError(f"n_history is {n_history}: must be 1 to {N_HISTORY} (25 minutes)")
    propagation = np.zeros(1, PROPAGATION_DTYPE)
    propagation["n_history"] = n_history
    for name in ("named", "early", "leader"):
        propagation[name] = NOBODY
    for name in ("last_named", "left_out_from", "left_out_until"):
        propagation[name] = -(1 << 32)
    return propagation


# -- events ----------------------------------------------------------------------


@part
def note_visit(services: Records, roots: Records, calls: Records, t_ns: int, idx: int) -> None:
    """Note who passes a service: the tree, and the flow and tenant that began it."""
    c = calls[idx]
    upstream = c["upstream"]
    if not 0 <= upstream < len(services):
        return
    s = services[upstream]
    second = t_ns // SECOND_NS
    tree = c["tree"]
    flow = c["flow"]
    tenant = c["tenant"]
    if 0 < tree < len(roots):
        flow = roots[tree]["flow"]
        tenant = roots[tree]["tenant"]
    visit(s["flows"], flow, second)
    visit(s["tenants"], tenant, second)
    visit(s["trees"], tree, second)


@part
def count_own(services: Records, nesting: Records, calls: Records, t_ns: int, idx: int) -> None:
    """Count the own time of a call: at its end, or when its caller left unanswered. Once."""
    n = nesting[idx]
    c = calls[idx]
    upstream = c["upstream"]
    if n["is_counted"] == 1 or not 0 <= upstream < len(services):
        return
    n["is_counted"] = 1
    own_ns = compute_own_ns(nesting, t_ns, idx, c["arrived_ns"])
    count_call(services, upstream, t_ns, own_ns, t_ns - c["arrived_ns"], n["n_children"])


# -- what is normal ----------------------------------------------------------------


@part
def combine(spread: float, n: int, error: float) -> float:
    """Return the drift behind a spread of ``n`` quantiles of which ``error`` is sampling."""
    seen = max(0.0, spread * spread - error * error)
    weight = PRIOR_SUBS + max(n - 1, 0)
    prior = PRIOR_SUBS * PRIOR_DRIFT * PRIOR_DRIFT
    return math.sqrt((prior + max(n - 1, 0) * seen) / weight) if weight > 0.0 else 0.0


@part
def learn_normal(services: Records, upstream: int) -> None:
    """Renew what the past says of a service's own times and children."""
    s = services[upstream]
    n_history = float(s["history_n"])
    if n_history < 1.0:
        s["n_subs"] = 0
        return
    n = 0
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
    s["n_subs"] = n
    s["p50"] = find_quantile(s["history"], n_history, 0.5)
    s["p90"] = find_quantile(s["history"], n_history, 0.9)
    s["ln_time"] = ln_time / total
    s["children"] = children / total
    s["children_variance"] = max(0.0, squares / total - (children / total) ** 2)
    s["noise_p50"] = s["noise_p90"] = s["children_noise"] = 0.0
    if n >= 2:
        typical = n / inverse
        e50 = find_error(s["history"], n_history, 0.5, typical)
        e90 = find_error(s["history"], n_history, 0.9, typical)
        s["noise_p50"] = combine(math.sqrt(m50 / (n - 1)), n, e50)
        s["noise_p90"] = combine(math.sqrt(m90 / (n - 1)), n, e90)
        spread = m_k / (n - 1) - s["children_variance"] / typical
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


# -- once a second -----------------------------------------------------------------


@part
def renew_history(services: Records, propagation: Records, upstream: int, sub: int) -> None:
    """Let the sub-window of a minute ago join the past unless abnormal, and the oldest leave."""
    p = propagation[0]
    s = services[upstream]
    close_sub(services, upstream, sub)
    leave_history(services, upstream, sub - LAG_SUBS - p["n_history"])
    new = sub - LAG_SUBS
    start = new * SUB_S
    if start < s["first_second"] - SUB_S + 1:
        return
    is_left_out = start < p["left_out_until"] and start + SUB_S > p["left_out_from"]
    if not is_left_out:
        here = new % RING_SUBS
        n = s["sub_sums"][here, CALLS]
        z50, z90 = judge(services, upstream, s["subs"][here], n)
        if (z50 + z90) / 2.0 >= GATES[N_WINDOWS - 1] and s["n_left_out"] < LEFT_OUT_S // SUB_S:
            s["n_left_out"] += 1
        else:
            if n >= SUB_MIN:
                s["n_left_out"] = 0
            join_history(services, upstream, new)
    learn_normal(services, upstream)


@part
def choose(services: Records, propagation: Records) -> tuple[int, float, int]:
    """Return who is to be named for action this second, its z and kind; renew who is early."""
    p = propagation[0]
    p["early"] = NOBODY
    p["early_z"] = 0.0
    slow = cut = NOBODY
    slow_z = cut_z = 0.0
    for upstream in range(len(services)):
        s = services[upstream]
        if s["n_calls"] == 0:
            continue
        if s["early_z"] > p["early_z"]:
            p["early"] = upstream
            p["early_z"] = s["early_z"]
        if s["act_z"] > slow_z:
            slow = upstream
            slow_z = s["act_z"]
        if s["cut_z"] >= CUT_GATE and s["cut_z"] > cut_z:
            cut = upstream
            cut_z = s["cut_z"]
    if slow != NOBODY:
        return slow, slow_z, SLOW
    if cut != NOBODY and p["early"] == NOBODY:
        return cut, cut_z, CUT_SHORT
    return NOBODY, 0.0, 0


@part
def settle(services: Records, propagation: Records, second: int) -> None:
    """Name whoever has led for long enough, and keep what follows out of the past."""
    p = propagation[0]
    leader, z, kind = choose(services, propagation)
    p["streak"] = p["streak"] + 1 if leader == p["leader"] else 1
    p["leader"] = leader
    if leader == NOBODY or p["streak"] < STREAK_S:
        p["named"] = NOBODY
        p["kind"] = 0
        p["z"] = 0.0
        return
    if p["named"] != leader:
        p["since"] = second
        p["n_names"] += 1
    if second - p["last_named"] > PAUSE_S:
        p["left_out_from"] = second - WINDOWS_S[N_WINDOWS - 1]
        p["left_out_until"] = second + LEFT_OUT_S
    p["last_named"] = second
    p["named"] = leader
    p["kind"] = kind
    p["z"] = z
    s = services[leader]
    p["flows"] = count_visitors(s["flows"], second)
    p["tenants"] = count_visitors(s["tenants"], second)
    p["trees"] = count_visitors(s["trees"], second)


@part
def close_second(services: Records, propagation: Records, second: int) -> None:
    """Do what is due at the end of a second."""
    propagation[0]["n_seconds"] += 1
    for upstream in range(len(services)):
        if services[upstream]["n_calls"] == 0:
            continue
        slide_windows(services, upstream, second)
        if (second + 1) % SUB_S == 0:
            renew_history(services, propagation, upstream, (second + 1) // SUB_S - 1)
        judge_windows(services, upstream)
        judge_children(services, upstream, second)
    settle(services, propagation, second)


@part
def pass_seconds(services: Records, propagation: Records, t_ns: int) -> None:
    """Close every second that has ended; before any event of a later one."""
    p = propagation[0]
    target = t_ns // SECOND_NS
    if p["has_started"] == 0:
        p["has_started"] = 1
        p["second"] = target
    while p["second"] < target:
        close_second(services, propagation, p["second"])
        p["second"] += 1


# -- readings ----------------------------------------------------------------------


@part
def summarise_propagation(services: Records, propagation: Records, out: Records) -> None:
    """Write every reading."""
    p = propagation[0]
    n = p["n_seconds"]
    is_ready = n >= SUB_S * (LAG_SUBS + SUBS_MIN)
    named = p["named"]
    put(out, 0, named, n, is_ready)
    put(out, 1, p["z"], n, is_ready)
    put(out, 2, p["kind"], n, is_ready)
    put(out, 3, p["second"] - p["since"] if named >= 0 else 0.0, n, is_ready)
    put(out, 4, p["early"], n, is_ready)
    put(out, 5, p["early_z"], n, is_ready)
    for idx in range(6, len(READINGS)):
        put(out, idx, 0.0, 0.0, False)
    if named >= 0:
        s = services[named]
        last = N_WINDOWS - 1
        n = s["window_n"][last]
        if n > 0:
            put(out, 6, math.exp(find_quantile(s["windows"][last], n, 0.5)), n, True)
            put(out, 7, math.exp(find_quantile(s["windows"][last], n, 0.9)), n, True)
        put(out, 8, math.exp(s["p50"]), s["history_n"], True)
        put(out, 9, math.exp(s["p90"]), s["history_n"], True)
        put(out, 10, p["flows"], n, True)
        put(out, 11, p["tenants"], n, True)
        put(out, 12, p["trees"], n, True)
