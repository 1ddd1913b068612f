"""Blip: one second of standstill before 1,000 callers of one SDK family.

The wave is what comes back: calls per second, wherever the second begins, from
the end of the stall on. It crosses capacity when the callers send more in a
second than the service can do in one.
"""

from __future__ import annotations

from bench.service.spec import ServiceSpec
from bench.storm.base import Behind, Must, Quantities, Scenario
from bench.storm.seen import Seen
from bench.storm.series import peak_hz
from governor.load.plan import Closed, Group

FAMILIES = ("openai", "anthropic", "boto3", "vercel", "tenacity-exponential", "urllib3")
N_CALLERS = 1_000
N_SLOTS, MEAN_S, SIGMA = 48, 0.1, 0.3
CAPACITY_HZ = N_SLOTS / MEAN_S
LOAD = 0.75
TIMEOUT_S = 0.5
"""Half the stall: with more patience than the stall is long nobody comes back."""
START_S, LENGTH_S = 6.0, 1.0
SECONDS = 15.0


def measure(seen: Seen) -> Quantities:
    """Return the wave's height over capacity."""
    wave_hz = peak_hz(seen.called_s, START_S + LENGTH_S, seen.seconds)
    return {"wave_over_capacity": wave_hz / CAPACITY_HZ}


def blip(family: str) -> Scenario:
    """Return the scenario for the callers of one family."""
    return Scenario(
        name=f"blip-{family}",
        family="blip",
        text=f"{N_CALLERS:,} callers of {family} (its own law and retries, time-out "
        f"{TIMEOUT_S} s) keep {N_SLOTS} slots x {MEAN_S} s at {LOAD:.0%} load; at {START_S:.0f} s "
        f"the service stands still for {LENGTH_S:.0f} s.",
        services=(
            Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, SIGMA, faults=((START_S, LENGTH_S, 0.0),))),
        ),
        groups=(
            Group(
                "callers",
                N_CALLERS,
                Closed(N_CALLERS / (LOAD * CAPACITY_HZ) - MEAN_S),
                client=family,
                key="fleet-key",
                timeout_s=TIMEOUT_S,
            ),
        ),
        seconds=SECONDS,
        drain_s=6.0,
        measure=measure,
        musts=(
            Must("the wave never crosses capacity", "wave_over_capacity", "<=", 1.0),
            Must("attempts ≤ 1.1", "attempts_per_task", "<=", 1.1),
        ),
        patience_s=TIMEOUT_S,
        fault=(START_S, START_S + LENGTH_S),
    )


BLIPS = tuple(blip(family) for family in FAMILIES)
