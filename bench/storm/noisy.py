"""Noisy tenant: one of ten tenants asks for ten times its share."""

from __future__ import annotations

import numpy as np

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.bound import serve
from bench.storm.seen import Floats, Seen, percentile
from governor.load.plan import Demand, Group, Open

N_SLOTS, MEAN_S = 16, 0.1
CAPACITY_HZ = N_SLOTS / MEAN_S
N_TENANTS = 10
SHARE_HZ = CAPACITY_HZ / N_TENANTS
VICTIM_HZ, NOISY_HZ = 0.6 * SHARE_HZ, 10.0 * SHARE_HZ
VICTIMS = tuple(f"tenant-{number}" for number in range(1, N_TENANTS))
NOISY = "noisy"
SECONDS = 28.0


def max_min_share(wanted: Floats, capacity: float) -> Floats:
    """Return the max-min fair shares: nobody gets more than wanted, the rest is split evenly.

    >>> max_min_share(np.array([1.0, 2.0, 10.0]), 9.0).tolist()
    [1.0, 2.0, 6.0]
    """
    shares = np.zeros(len(wanted))
    left, order = capacity, np.argsort(wanted)
    for position, tenant in enumerate(order):
        shares[tenant] = min(float(wanted[tenant]), left / (len(order) - position))
        left -= shares[tenant]
    return shares


def jain(values: Floats) -> float:
    """Return Jain's index of fairness: 1 when all are equal, 1/n when one has all.

    >>> jain(np.array([1.0, 1.0])), jain(np.array([1.0, 0.0]))
    (1.0, 0.5)
    """
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (len(values) * squares) if squares else 0.0


def fairness(seen: Seen) -> float:
    """Return Jain's index of useful work done per tenant over its max-min fair share."""
    jobs = seen.jobs["tool"]
    window_s = (SETTLE_S, seen.seconds)
    is_inside = (jobs.finished_s >= window_s[0]) & (jobs.finished_s < window_s[1])
    is_useful = seen.is_useful(jobs) & is_inside
    tenant_of = seen.group[seen.task[jobs.attempt[is_useful]]]
    n_tenants = len(seen.groups)
    got: Floats = np.bincount(tenant_of, jobs.demand_s[is_useful], n_tenants).astype(np.float64)
    begun = seen.begun_in(*window_s)
    wanted: Floats = np.bincount(seen.group[begun], seen.demand_s[begun], n_tenants).astype(
        np.float64
    )
    is_there = wanted > 0
    capacity_s = N_SLOTS * (window_s[1] - window_s[0])
    return jain(got[is_there] / max_min_share(wanted[is_there], capacity_s))


def measure(seen: Seen) -> Quantities:
    """Return the victims' p99, fairness, use of capacity, and what is possible."""
    victims = seen.of(*VICTIMS) & (seen.began_s >= SETTLE_S)
    busy_s = seen.jobs["tool"].busy_s(SETTLE_S, seen.seconds)
    best = serve(seen.began_s, seen.demand_s, seen.of(*VICTIMS), N_SLOTS)
    return {
        "victims_p99_s": percentile(seen.took_s[victims], 99),
        "jain": fairness(seen),
        "busy_ratio": busy_s / (N_SLOTS * (seen.seconds - SETTLE_S)),
        "bound_victims_p99_s": percentile((best.done_s - seen.began_s)[victims], 99),
    }


def tenant(name: str, rate_hz: float) -> Group:
    """Return a tenant: 20 agents under one API key of its own."""
    return Group(
        name,
        20,
        Open(rate_hz),
        key=f"{name}-key",
        timeout_s=5.0,
        demand=Demand(MEAN_S, 0.5),
    )


NOISY_TENANT = Scenario(
    name="noisy",
    family="noisy",
    text=f"{N_TENANTS} tenants, an API key each, before {N_SLOTS} slots x {MEAN_S} s; nine ask for "
    f"60 % of an even share ({VICTIM_HZ:.1f}/s, open), one for ten shares ({NOISY_HZ:.0f}/s): "
    f"{(9 * VICTIM_HZ + NOISY_HZ) / CAPACITY_HZ:.0%} load in all. OpenAI's law, time-out 5 s. "
    "Jain: over each tenant's useful work divided by its max-min fair share. No capacity idle: "
    "slot-seconds busy over all.",
    services=(Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5)),),
    groups=(*(tenant(name, VICTIM_HZ) for name in VICTIMS), tenant(NOISY, NOISY_HZ)),
    seconds=SECONDS,
    drain_s=8.0,
    measure=measure,
    musts=(
        Must("victims' p99 ≤ 1.3 × alone", "victims_p99_s", "<=", 1.3, "alone"),
        Must("Jain ≥ 0.95", "jain", ">=", 0.95),
        Must("no capacity idle (≥ 99 % busy)", "busy_ratio", ">=", 0.99, is_share=True),
    ),
    alone=VICTIMS,
    patience_s=5.0,
    watched=VICTIMS,
    columns=(("bound_victims_p99_s", "bound: victims' p99 s"),),
)
