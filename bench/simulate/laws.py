"""The governor's laws that decide a steady overload, reduced to arithmetic, compiled.

*Rule of this file*: what a cell (one governor before one upstream) does with a call. Every law
and every constant is the core's; what is left out is named, and the whole is held against the
core by the exact tier (:mod:`bench.simulate.check`), not argued for.

*Kept*: the line by least attained service in classes of a factor two, connections without
a past on one account, newest first when the line grows long; the cut at 0.9 of patience,
on arrival of a place and in the line; the surplus beyond an expected wait of half the patience;
slots behind the count of invitations outstanding at the capacity that fresh demand leaves;
a retry redeems the oldest invitation; who comes at its slot goes first.

*Left out*: everything about crowds, kinds, quotas, stalls and urgency; tenants (one key); and
the search for the limit. The limit is given: what the exact tier's learned limit comes
to in overload, as a multiple of the slots (:data:`bench.simulate.scale.LIMIT_OVER_SLOTS`).
"""

from __future__ import annotations

import math
from typing import Any

from bench.simulate.compiled import part
from bench.simulate.state import LAW_NEED, LAW_SUM, N_RANKS, NOBODY
from governor.core.dispatcher import FINISH_SHARE, NEWEST_FIRST_SHARE, WAIT_SHARE
from governor.core.identity import HALF_LIFE_NS
from governor.core.line import CLASS_UNIT_HZ
from governor.core.newcomers import HALF_LIFE_NS as NEWCOMERS_NS
from governor.core.patience import N_LEAVERS_MIN
from governor.core.reservations import (
    EARLY_NS,
    LEAD_NS,
    OVERBOOKING,
    OVERDUE_NS,
    SPARE_SHARE_MIN,
    UNKNOWN_HZ,
)

NS = 1e9
DEFAULT_PATIENCE_NS = 10_000_000_000.0
"""Of callers that the order of the line goes by until some have left."""
HORIZON_NS = 60_000_000_000
FRESH_NS = 10e9
"""Time constant of the rate of fresh demand."""
BEST_NS = 30e9
"""Time constant in which the best capacity known is forgotten."""
RESPONSE_GAIN = 1.0 / 32.0
"""About a cohort of the adaptive limit."""
NO_RETRY = -1


@part
def capacity_hz(cell: Any, places: float) -> float:
    """Return what a cell's places serve (Little), 0 while no answer has been seen."""
    if cell["response_ns"] <= 0.0:
        return 0.0
    return float(max(places, 1.0) / cell["response_ns"] * NS)


@part
def fresh_hz(cell: Any, now_ns: int) -> float:
    """Return the rate of fresh demand, decayed with ten seconds."""
    count = cell["fresh"] * math.exp((cell["fresh_at"] - now_ns) / FRESH_NS)
    age_ns = max(float(now_ns), 1e9)
    return float(count / (FRESH_NS * (1.0 - math.exp(-age_ns / FRESH_NS))) * NS)


@part
def demand_of(cell: Any, rules: Any, now_ns: int) -> float:
    """Return a cell's demand as its row says it: calls in hand and one more, or fresh calls."""
    if rules["law"] == LAW_NEED:
        return float(cell["in_flight"] + cell["n_waiting"] + 1)
    return float(fresh_hz(cell, now_ns))


@part
def allowance(cell: Any, rules: Any, now_ns: int) -> float:
    """Return how many places a cell may hold now: its own demand of now, the others' as seen."""
    limit = rules["limit"]
    if rules["n_views"] == 1:
        return float(limit)
    if rules["law"] == LAW_SUM:
        return float(limit - cell["others_in_flight"])
    own = demand_of(cell, rules, now_ns)
    share = own / (own + cell["others_demand"]) if own > 0.0 else 0.0
    return float(math.floor(limit * share + cell["dither"]))


@part
def note_fresh(cell: Any, now_ns: int) -> None:
    """Count a fresh call."""
    cell["fresh"] = cell["fresh"] * math.exp((cell["fresh_at"] - now_ns) / FRESH_NS) + 1.0
    cell["fresh_at"] = now_ns


@part
def expected_wait_ns(cell: Any, places: float) -> float:
    """Return the time to serve the whole line; 0 while the capacity is unknown."""
    rate_hz = capacity_hz(cell, places)
    return cell["n_waiting"] / rate_hz * NS if rate_hz > 0.0 else 0.0


@part
def is_newest_first(cell: Any, wait_ns: float, patience_ns: float) -> bool:
    """Return whether the line is so long that its oldest are about to leave."""
    typical_ns = patience_ns if cell["n_leavers"] >= N_LEAVERS_MIN else DEFAULT_PATIENCE_NS
    return bool(wait_ns > NEWEST_FIRST_SHARE * typical_ns)


@part
def is_surplus(wait_ns: float, patience_ns: float) -> bool:
    """Return whether the last in line cannot be reached in time."""
    return wait_ns > WAIT_SHARE * patience_ns


@part
def is_too_late(cell: Any, waited_ns: float, patience_ns: float) -> bool:
    """Return whether an answer is expected only after its caller has left."""
    return bool(waited_ns + cell["response_ns"] > FINISH_SHARE * patience_ns)


@part
def has_expired(waited_ns: float, patience_ns: float) -> bool:
    """Return whether a wait has reached its bound."""
    return waited_ns >= FINISH_SHARE * patience_ns


@part
def attained_s(agent: Any, now_ns: int) -> float:
    """Return what an agent's connection has attained, decayed to now."""
    return float(agent["work"] * math.exp2((agent["sent"] - now_ns) / HALF_LIFE_NS))


@part
def rank_of(cell: Any, agent: Any, now_ns: int) -> int:
    """Return the class in which a call waits, 1 and up; newcomers share an account."""
    service_s = attained_s(agent, now_ns)
    if agent["work"] == 0.0:
        before_s = cell["newcomers_s"] * math.exp2((cell["newcomers_at"] - now_ns) / NEWCOMERS_NS)
        cell["newcomers_s"] = before_s + cell["response_ns"] / NS
        cell["newcomers_at"] = now_ns
        service_s = before_s
    rank = 1
    units = int(service_s * CLASS_UNIT_HZ)
    while units > 0 and rank < N_RANKS - 1:
        units >>= 1
        rank += 1
    return rank


@part
def invite_ns(cell: Any, now_ns: int, places: float) -> int:
    """Return how long from now a caller is invited back; ``NO_RETRY`` beyond the horizon."""
    rate_hz = capacity_hz(cell, places)
    cell["best_hz"] = max(rate_hz, cell["best_hz"] * math.exp((cell["best_at"] - now_ns) / BEST_NS))
    cell["best_at"] = now_ns
    best_hz = cell["best_hz"]
    full_hz = OVERBOOKING * (best_hz if best_hz > 0.0 else UNKNOWN_HZ)
    spare_hz = OVERBOOKING * max(SPARE_SHARE_MIN * best_hz, best_hz - fresh_hz(cell, now_ns))
    n_before = cell["n_invited"] + 1
    delay_ns = LEAD_NS + n_before / (spare_hz if spare_hz > 0.0 else full_hz) * NS
    if delay_ns > HORIZON_NS:
        delay_ns = LEAD_NS + n_before / full_hz * NS
    return int(delay_ns) if delay_ns <= HORIZON_NS else NO_RETRY


@part
def is_overdue(slot: Any, now_ns: int) -> bool:
    """Return whether an invited caller has made other plans."""
    return bool(slot["since"] + OVERDUE_NS <= now_ns)


@part
def is_at_slot(slot: Any, now_ns: int) -> bool:
    """Return whether a caller comes when it was invited, not before."""
    return bool(now_ns >= slot["since"] - EARLY_NS)


@part
def first_in(heads: Any, cell_idx: int) -> int:
    """Return the first class of a cell that is not empty; ``NOBODY`` if all are."""
    for rank in range(N_RANKS):
        if heads[cell_idx, rank] != NOBODY:
            return rank
    return NOBODY


@part
def last_in(heads: Any, cell_idx: int) -> int:
    """Return the last class of a cell that is not empty; ``NOBODY`` if all are."""
    for step in range(N_RANKS):
        rank = N_RANKS - 1 - step
        if heads[cell_idx, rank] != NOBODY:
            return rank
    return NOBODY
