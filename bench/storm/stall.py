"""Stall: a service falls to a tenth of its speed for four seconds; a fleet retries against it."""

from __future__ import annotations

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.seen import Seen
from bench.storm.series import Axis, recovery_s
from governor.load.plan import Closed, Group

N_SLOTS, MEAN_S = 32, 0.1
LOAD = 0.75
OFFERED_HZ = LOAD * N_SLOTS / MEAN_S
N_AGENTS = 2_000
CALM_RESPONSE_S = 0.11
"""Response time at 75 % load, subtracted from the cycle to get the think time."""
START_S, LENGTH_S, SPEED = 8.0, 4.0, 0.1
SECONDS = 32.0


def measure(seen: Seen) -> Quantities:
    """Return recovery and goodput before and after."""
    done_s = seen.ended_s[seen.is_done]
    end_s = START_S + LENGTH_S
    before = ((done_s >= SETTLE_S) & (done_s < START_S)).sum()
    after = ((done_s >= end_s) & (done_s < seen.seconds)).sum()
    return {
        "recovery_s": recovery_s(done_s, Axis(end_s, seen.seconds, OFFERED_HZ)),
        "goodput_before_hz": float(before) / (START_S - SETTLE_S),
        "goodput_after_hz": float(after) / (seen.seconds - end_s),
    }


STALL = Scenario(
    name="stall",
    family="stall",
    text=f"{N_AGENTS:,} agents (OpenAI's law, 6 retries, time-out 2 s) keep {N_SLOTS} slots x "
    f"{MEAN_S} s at {LOAD:.0%} load; at {START_S:.0f} s the service falls to {SPEED:.0%} of its "
    f"speed for {LENGTH_S:.0f} s. One API key, no agent named.",
    services=(
        Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5, faults=((START_S, LENGTH_S, SPEED),))),
    ),
    groups=(
        Group(
            "agents",
            N_AGENTS,
            Closed(N_AGENTS / OFFERED_HZ - CALM_RESPONSE_S),
            key="fleet-key",
            timeout_s=2.0,
            max_retries=6,
        ),
    ),
    seconds=SECONDS,
    drain_s=10.0,
    measure=measure,
    musts=(
        Must("all tasks succeed", "success_ratio", ">=", 1.0, is_share=True),
        Must("goodput back ≤ 1 s", "recovery_s", "<=", 1.0),
        Must("orphaned ≤ 1 %", "orphaned_work_ratio", "<=", 0.01, is_share=True),
        Must("≤ 1.15 attempts", "attempts_per_task", "<=", 1.15),
        Must("p99 ≤ best peer", "p99_s", "<=", 1.0, "best"),
    ),
    patience_s=2.0,
    fault=(START_S, START_S + LENGTH_S),
    columns=(("goodput_before_hz", "goodput/s before"), ("goodput_after_hz", "after")),
)
