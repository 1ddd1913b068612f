"""What each tenant costs the others at one upstream: waiting caused and waiting suffered.

*Rule of this file*: who waited beyond the usual, and who held the places meanwhile.

*Theory*: a call that waits does so because the places are taken; whoever holds them caused it, in
proportion to the time held. Over windows of one second, with a_i the in-flight seconds of tenant i,
e_i its waiting beyond its own usual latency, A and E their sums::

    caused_i   = a_i / A * (E - e_i)        what i costs the others
    suffered_i = e_i * (1 - a_i / A)        what the others cost i

Both sum to the same total; what a tenant does to itself is left out. All sums are linear in time:
it makes no difference when time is passed. Excess is only counted while the upstream is contended:
the mean excess over about ten seconds is more than three standard errors above nothing, else the
natural spread of latencies would pass for waiting. The usual latency is each tenant's own, for
tenants ask for different things; until eight calls are known it is the upstream's.

    Jain's index of a_i: 1 if all active tenants hold alike, 1/n if one of n holds everything

*Regime*: calls in the line hold a place in it, so under a backlog the share is that of the backlog.
Tenants beyond the table share entry 0. A tenant has a row of the table from its first call on, in
order of appearance, so that memory is touched only as tenants appear, however they are numbered.
*Cost*: O(1) an event; a second in which nobody waits costs
nothing, else O(active tenants).
*Source*: R. Jain, D. Chiu, W. Hawe, "A quantitative measure of fairness", DEC-TR-301, 1984; the
attribution is ours. *Considered and rejected*: marginal cost by removing a tenant (needs a model of
the service); Shapley values (the same for linear sums).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.pages import make_table
from signals.state import BUCKET_NS, SECOND, Records, put

WINDOW_NS = SECOND * BUCKET_NS
"""One second."""

NS = 1e-9

DECAY = math.exp(-0.1)
"""Per window: readings are those of about ten seconds."""

CONTENDED_SD = 3.0
"""Standard errors of the summed excess."""

N_USUAL = 8
USUAL_GAIN = 1.0 / 32.0
"""Calls after which a tenant's own usual latency counts, and the least gain of its mean."""

TINY = 1e-9

TENANT_DTYPE = np.dtype(
    [
        ("n_open", np.int64),
        ("window", np.int32),
        ("tenant", np.int32),
        ("touched_ns", np.int64),
        ("held_ns", np.int64),
        ("excess_s", np.float64),
        ("usual_s", np.float64),
        ("n_usual", np.int64),
        ("stamp", np.int64),
        ("caused_s", np.float64),
        ("suffered_s", np.float64),
        ("is_listed", np.int32),
        ("listed", np.int32),
    ],
    align=True,
)
"""One tenant at one upstream; 88 bytes. ``listed`` of row k is the row of the k-th active one."""

N_TENANTS = 4_096
"""Tenants at most; a row number of each costs 16 KB an upstream."""

CONTENTION_DTYPE = np.dtype(
    [
        ("rows", np.int32, (N_TENANTS,)),
        ("n_rows", np.int64),
        ("n_active", np.int64),
        ("n_listed", np.int64),
        ("n_windows", np.int64),
        ("window", np.int64),
        ("excess_sum", np.float64),
        ("excess_sq_sum", np.float64),
        ("n_waits", np.int64),
        ("is_contended", np.int64),
        ("weight", np.float64),
        ("caused_s", np.float64),
        ("costliest", np.int64),
        ("costliest_s", np.float64),
        ("fairness", np.float64),
    ],
    align=True,
)

READINGS = (
    ("contention", "seconds_per_second"),
    ("costliest_tenant", "tenant"),
    ("costliest_share", "ratio"),
    ("active_tenants", "tenants"),
    ("fairness", "ratio"),
)
"""Name and unit."""


def make_contention() -> Records:
    """Allocate one upstream's record."""
    contention: Records = np.zeros(1, CONTENTION_DTYPE)
    contention["fairness"] = 1.0
    return contention


def make_tenants(n_tenants: int) -> Records:
    """Allocate the table; pages are touched only as tenants appear."""
    if n_tenants < 1:
        raise ValueError(f"n_tenants is {n_tenants}: must be at least 1 (entry 0 is the overflow)")
    return make_table(n_tenants, TENANT_DTYPE)


@part
def find_tenant(contention: Records, tenants: Records, tenant: int) -> int:
    """Return a tenant's row, the next one if it has none; 0 beyond the table."""
    if not 0 < tenant < min(len(tenants), N_TENANTS):
        return 0
    c = contention[0]
    if c["rows"][tenant] == 0:
        c["n_rows"] += 1
        c["rows"][tenant] = c["n_rows"]
        tenants[c["n_rows"]]["tenant"] = tenant
    return int(c["rows"][tenant])


@part
def touch(tenants: Records, who: int, window: int, t_ns: int) -> None:
    """Bring a tenant's in-flight time of this window up to an instant."""
    x = tenants[who]
    if x["window"] != window:
        x["window"] = window
        x["held_ns"] = 0
        x["excess_s"] = 0.0
        x["touched_ns"] = window * WINDOW_NS
    x["held_ns"] += x["n_open"] * (t_ns - x["touched_ns"])
    x["touched_ns"] = t_ns


@part
def join_tenant(contention: Records, tenants: Records, t_ns: int, tenant: int) -> None:
    """A tenant's call arrives."""
    c = contention[0]
    who = find_tenant(contention, tenants, tenant)
    touch(tenants, who, t_ns // WINDOW_NS, t_ns)
    x = tenants[who]
    if x["n_open"] == 0:
        c["n_active"] += 1
    x["n_open"] += 1
    if x["is_listed"] == 0:
        x["is_listed"] = 1
        tenants[c["n_listed"]]["listed"] = who
        c["n_listed"] += 1


@part
def part_tenant(contention: Records, tenants: Records, t_ns: int, tenant: int) -> None:
    """A tenant's call is over; one that never joined is nobody's."""
    who = find_tenant(contention, tenants, tenant)
    x = tenants[who]
    if x["n_open"] <= 0:
        return
    touch(tenants, who, t_ns // WINDOW_NS, t_ns)
    x["n_open"] -= 1
    if x["n_open"] == 0:
        contention[0]["n_active"] -= 1


@part
def suffer(
    contention: Records, tenants: Records, t_ns: int, tenant: int, wait_ns: int, base_s: float
) -> None:
    """Take in how long a call waited: to its first byte, or until its caller left.

    ``base_s`` is the upstream's usual latency, 0 if unknown.
    """
    c = contention[0]
    who = find_tenant(contention, tenants, tenant)
    touch(tenants, who, t_ns // WINDOW_NS, t_ns)
    x = tenants[who]
    wait_s = wait_ns * NS
    usual_s = x["usual_s"] if x["n_usual"] >= N_USUAL else base_s
    if usual_s > 0.0:
        excess_s = wait_s - usual_s
        x["excess_s"] += excess_s
        c["excess_sum"] += excess_s
        c["excess_sq_sum"] += excess_s * excess_s
        c["n_waits"] += 1
    if c["is_contended"] == 0:
        x["n_usual"] += 1
        x["usual_s"] += max(USUAL_GAIN, 1.0 / x["n_usual"]) * (wait_s - x["usual_s"])


@part
def fade(tenants: Records, who: int, window: int) -> None:
    """Let a tenant's account forget up to a window."""
    x = tenants[who]
    if x["stamp"] != window:
        keep = DECAY ** float(window - x["stamp"])
        x["caused_s"] *= keep
        x["suffered_s"] *= keep
        x["stamp"] = window


@part
def sum_window(contention: Records, tenants: Records, window: int) -> tuple[float, float, float]:
    """Close the accounts of the active; return in-flight time, its squares, and excess."""
    c = contention[0]
    held = held_sq = excess = 0.0
    kept = 0
    for idx in range(c["n_listed"]):
        who = tenants[idx]["listed"]
        x = tenants[who]
        if x["n_open"] == 0 and x["window"] != window:
            x["is_listed"] = 0
            continue
        touch(tenants, who, window, (window + 1) * WINDOW_NS)
        tenants[kept]["listed"] = who
        kept += 1
        held_s = x["held_ns"] * NS
        held += held_s
        held_sq += held_s * held_s
        excess += max(0.0, x["excess_s"])
    c["n_listed"] = kept
    return held, held_sq, excess


@part
def attribute(
    contention: Records, tenants: Records, window: int, held: float, excess: float
) -> None:
    """Charge the window's waiting to those who held the places."""
    c = contention[0]
    for idx in range(c["n_listed"]):
        who = tenants[idx]["listed"]
        x = tenants[who]
        share = x["held_ns"] * NS / held
        own = max(0.0, x["excess_s"])
        fade(tenants, who, window)
        caused = share * max(0.0, excess - own)
        x["caused_s"] += caused
        x["suffered_s"] += own * (1.0 - share)
        c["caused_s"] += caused
        if x["tenant"] == c["costliest"]:
            c["costliest_s"] = x["caused_s"]
        elif x["caused_s"] > c["costliest_s"]:
            c["costliest"] = x["tenant"]
            c["costliest_s"] = x["caused_s"]


@part
def close_contention(contention: Records, tenants: Records, bucket: int) -> None:
    """Close a bucket; every hundredth settles a window, if anybody waited in it."""
    if (bucket + 1) % SECOND != 0:
        return
    c = contention[0]
    window = bucket // SECOND
    c["window"] = window
    c["n_windows"] += 1
    c["weight"] = c["weight"] * DECAY + 1.0
    c["caused_s"] = c["caused_s"] * DECAY if c["caused_s"] > TINY else 0.0
    c["costliest_s"] = c["costliest_s"] * DECAY if c["costliest_s"] > TINY else 0.0
    error = math.sqrt(c["excess_sq_sum"])
    c["is_contended"] = 1 if c["excess_sum"] > CONTENDED_SD * error and error > TINY else 0
    if c["is_contended"] == 1 and c["n_waits"] > 0:
        held, held_sq, excess = sum_window(contention, tenants, window)
        if held > TINY:
            c["fairness"] = held * held / (c["n_listed"] * held_sq)
            attribute(contention, tenants, window, held, excess)
    c["n_waits"] = 0
    c["excess_sum"] *= DECAY
    c["excess_sq_sum"] *= DECAY
    if c["excess_sq_sum"] < TINY:
        c["excess_sum"] = c["excess_sq_sum"] = 0.0


@part
def summarise_contention(contention: Records, out: Records) -> None:
    """Fill this detector's readings."""
    c = contention[0]
    n = c["n_windows"]
    is_ready = n > 0
    has_cost = c["caused_s"] > TINY
    share = min(1.0, c["costliest_s"] / c["caused_s"]) if has_cost else 0.0
    put(out, 0, c["caused_s"] / max(c["weight"], 1.0), n, is_ready)
    put(out, 1, c["costliest"] if has_cost else 0, n, is_ready and has_cost)
    put(out, 2, share, n, is_ready and has_cost)
    put(out, 3, c["n_active"], n, True)
    put(out, 4, c["fairness"], n, is_ready and has_cost)


def find_costliest(
    contention: Records, tenants: Records, n: int
) -> list[tuple[int, float, float, float]]:
    """Return (tenant, seconds caused, seconds suffered, share of all caused), costliest first.

    Sums of about the last ten seconds. For people: it reads all rows.
    """
    tenants = tenants[: int(contention[0]["n_rows"]) + 1]
    seconds = (contention[0]["window"] - tenants["stamp"]).astype(np.float64)
    keep = DECAY ** np.maximum(seconds, 0.0)
    caused = tenants["caused_s"] * keep
    suffered = tenants["suffered_s"] * keep
    total = float(caused.sum())
    order = np.lexsort((tenants["tenant"], -caused))[: max(n, 0)]
    return [
        (
            int(tenants["tenant"][who]),
            float(caused[who]),
            float(suffered[who]),
            float(caused[who]) / total,
        )
        for who in order
        if caused[who] > TINY
    ]
