"""Sick replica: one of three becomes ten times slower."""

from __future__ import annotations

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.seen import Seen, percentile
from governor.load.plan import Closed, Demand, Group

N_REPLICAS, N_SLOTS, MEAN_S = 3, 12, 0.1
LOAD = 0.5
OFFERED_HZ = LOAD * N_REPLICAS * N_SLOTS / MEAN_S
N_AGENTS = 300
START_S, LENGTH_S, SPEED = 8.0, 12.0, 0.1
GRACE_S = 1.0
SECONDS = 26.0


def measure(seen: Seen) -> Quantities:
    """Return p99 before, and from one second after the fault until its end; and what was lost."""
    healthy = seen.begun_in(SETTLE_S, START_S)
    sick = seen.begun_in(START_S + GRACE_S, START_S + LENGTH_S)
    healthy_s, sick_s = percentile(seen.took_s[healthy], 99), percentile(seen.took_s[sick], 99)
    return {
        "healthy_p99_s": healthy_s,
        "sick_p99_s": sick_s,
        "sick_over_healthy": sick_s / healthy_s,
        "lost": float((~seen.is_done).sum()),
    }


HEALTHY = ServiceSpec(N_SLOTS, MEAN_S, 0.5)

SICK_REPLICA = Scenario(
    name="replica",
    family="replica",
    text=f"{N_AGENTS} agents (OpenAI's law, time-out 10 s) before {N_REPLICAS} replicas of "
    f"{N_SLOTS} slots x {MEAN_S} s at {LOAD:.0%} load; at {START_S:.0f} s one falls to "
    f"{SPEED:.0%} of its speed for {LENGTH_S:.0f} s (the two others could carry it all at 75 %). "
    "Healthy: the same run before that. With nothing in front each caller knows one replica.",
    services=(
        Behind(
            "tool",
            HEALTHY,
            N_REPLICAS,
            last=ServiceSpec(N_SLOTS, MEAN_S, 0.5, faults=((START_S, LENGTH_S, SPEED),)),
        ),
    ),
    groups=(
        Group(
            "agents",
            N_AGENTS,
            Closed(N_AGENTS / OFFERED_HZ - 0.11),
            key="fleet-key",
            timeout_s=10.0,
            demand=Demand(MEAN_S, 0.5),
        ),
    ),
    seconds=SECONDS,
    drain_s=8.0,
    measure=measure,
    musts=(
        Must("p99 ≤ 1.5 × healthy after 1 s", "sick_over_healthy", "<=", 1.5),
        Must("no request lost", "lost", "<=", 0.0),
    ),
    fault=(START_S, START_S + LENGTH_S),
    columns=(("healthy_p99_s", "healthy p99 s"), ("sick_p99_s", "p99 s while sick")),
)
