"""Whose trouble it is: the service whose own time has risen, among all that look slow.

*Rule of this file*: what is counted when, who is named, what is read.

*Theory*: own times (:mod:`signals.nesting`) tell a slow service from one that
waits for it; :mod:`signals.shifts` says by how much each has shifted, in units
of its own noise. **Named** is the service with the largest z90 among the
shifted. Else, if the calls of some service make far fewer calls than they used
to and end sooner, it is named as **cut short** (it returns early). Else nobody.

Two readings: *early*, from all windows at once, 5-22 s after a fault, to show;
and *named*, from 20 s and 60 s, the same service for ``STREAK_S`` seconds, to
act upon. What is abnormal does not become normal: 240 s after a name begins
nothing joins the past, nor does, for at most as long, a sub-window that is
abnormal for its own service. After that it is the new normal.

*Regime*: needs trees (a trace id or a session) and, for services that call
through this process, callers; without them own time is inclusive time and a
slow service's callers look slow too. Faults that change no timing are not
seen, nor are calls that never end and whose callers never leave.
*Cost*: O(1) a call; once a second about O(14 x 192) for a service with calls.
*Source*: the project's detection study, section 7. Ours: noise, two readings.
*Considered and rejected*: inclusive time (blames the caller in one of four);
largest added seconds (misses small services that others wait for).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from signals.kernel import get_plain, part
from signals.logbins import find_quantile
from signals.nesting import compute_own_ns
from signals.owntime import (
    CALLS,
    LAG_SUBS,
    N_HISTORY,
    N_WINDOWS,
    RING_SUBS,
    SECOND_NS,
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
from signals.shifts import (
    CUT_GATE,
    GATES,
    SUBS_MIN,
    judge,
    judge_children,
    judge_windows,
    learn_normal,
)
from signals.state import Records, put

STREAK_S = 10
"""Seconds that the same service must lead before it is named for action."""

LEFT_OUT_S = 240
"""Seconds after a name begins that do not become the past."""

PAUSE_S = 60
"""A name after a longer pause is a new one."""

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


class ServiceRow(NamedTuple):
    """One service as people are told of it; seconds."""

    upstream: int
    calls: int
    """In the last minute."""
    own_p50: float
    own_p90: float
    past_p50: float
    past_p90: float
    inclusive_p90: float
    z50: float
    z90: float
    """Shift of the last minute in units of noise; 0 where it has not risen or little is known."""
    children: float
    """Calls that a call used to make."""


def describe_services(services: Records) -> list[ServiceRow]:
    """Return a row for each service that has had calls, the most shifted first.

    For people: about 0.1 ms a service, and nothing is compiled.
    """
    rows = []
    last = N_WINDOWS - 1
    quantile = get_plain(find_quantile)
    for upstream in np.flatnonzero(services["n_calls"]).tolist():
        s = services[upstream]
        n, n_history = int(s["window_n"][last]), int(s["history_n"])
        inclusive = s["inclusive"].sum(axis=0)
        own = [math.exp(quantile(s["windows"][last], n, p)) if n else 0.0 for p in (0.5, 0.9)]
        past = [math.exp(float(s[name])) if n_history else 0.0 for name in ("p50", "p90")]
        n_inclusive = int(inclusive.sum())
        longest = math.exp(quantile(inclusive, n_inclusive, 0.9)) if n_inclusive else 0.0
        z = (float(s["z50"]), float(s["z90"]))
        rows.append(
            ServiceRow(
                upstream, n, own[0], own[1], past[0], past[1], longest, *z, float(s["children"])
            )
        )
    return sorted(rows, key=lambda row: (-row.z90, row.upstream))
