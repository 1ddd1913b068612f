"""Organic: a ramp from 20 % to 75 % load and back, and nothing else. Nothing must be done.

The recorded fleets are in ``recorded``: they are replayed, not drawn.
"""

from __future__ import annotations

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.seen import Seen, percentile
from governor.load.plan import Demand, Group, Ramp

N_SLOTS, MEAN_S = 40, 0.1
CAPACITY_HZ = N_SLOTS / MEAN_S
LOW, HIGH = 0.2, 0.75
TOP_S, SECONDS = 15.0, 30.0


def measure(seen: Seen) -> Quantities:
    """Return p99 after the first seconds. Interventions are the runner's to count."""
    later = seen.began_s >= SETTLE_S
    return {"organic_p99_s": percentile(seen.took_s[later], 99)}


RAMP = Scenario(
    name="ramp",
    family="organic",
    text=f"Open arrivals of 200 agents rise from {LOW:.0%} to {HIGH:.0%} of {N_SLOTS} slots x "
    f"{MEAN_S} s within {TOP_S:.0f} s and fall back to {LOW:.0%} within {SECONDS - TOP_S:.0f} s. "
    "OpenAI's law, time-out 10 s. Interventions: requests refused, held or made to wait (for "
    "Governor as it says itself; for the others refusals).",
    services=(Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5)),),
    groups=(
        Group(
            "agents",
            200,
            Ramp(
                (
                    (0.0, LOW * CAPACITY_HZ),
                    (TOP_S, HIGH * CAPACITY_HZ),
                    (SECONDS, LOW * CAPACITY_HZ),
                )
            ),
            key="fleet-key",
            timeout_s=10.0,
            demand=Demand(MEAN_S, 0.5),
        ),
    ),
    seconds=SECONDS,
    drain_s=5.0,
    measure=measure,
    musts=(
        Must("not one intervention", "interventions", "<=", 0.0),
        Must("p99 within 1 ms of direct", "organic_p99_s", "<=", 1.0, "direct", plus=0.001),
    ),
)
