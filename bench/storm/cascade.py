"""Cascade: half of A's requests need B; B's host dies and comes back."""

from __future__ import annotations

import numpy as np

from bench.service.spec import ServiceSpec
from bench.storm.base import Behind, Must, Quantities, Scenario
from bench.storm.seen import Seen
from bench.storm.series import peak_hz
from governor.load.plan import Demand, Group, Open

A_WORKERS, A_LINE = 40, 400
"""A synchronous server: 40 workers, a backlog of ten times that, then 503."""
OWN_S, CALL_TIMEOUT_S = 0.02, 3.0
B_SLOTS, MEAN_S = 16, 0.1
B_CAPACITY_HZ = B_SLOTS / MEAN_S
LOCAL_HZ, NEEDS_B_HZ = 100.0, 80.0
START_S, LENGTH_S = 8.0, 6.0
KEPT_WITHIN_S = 1.0
"""A reply later than ten times the demand is no goodput kept."""
SECONDS = 26.0


def measure(seen: Seen) -> Quantities:
    """Return the goodput kept on the local routes, and the wave at B's return."""
    end_s = START_S + LENGTH_S
    local = seen.of("local") & seen.begun_in(START_S, end_s)
    calls_b = seen.called_s[seen.of("needs-b")[seen.task]]
    needs_b = seen.of("needs-b") & seen.begun_in(end_s + 1.0, seen.seconds)
    return {
        "local_kept": float((seen.took_s[local] <= KEPT_WITHIN_S).mean()) if local.any() else 0.0,
        "wave_over_capacity": peak_hz(calls_b, end_s, seen.seconds) / B_CAPACITY_HZ,
        "needs_b_done_after": float(seen.is_done[needs_b].mean()) if needs_b.any() else np.nan,
    }


CASCADE = Scenario(
    name="cascade",
    family="cascade",
    text=f"A has {A_WORKERS} workers and a line of {A_LINE}; {LOCAL_HZ:.0f}/s of its requests are "
    f"its own ({MEAN_S} s), {NEEDS_B_HZ:.0f}/s hold their worker while it calls B ({B_SLOTS} slots "
    f"x {MEAN_S} s, A waits {CALL_TIMEOUT_S:.0f} s, never repeats, hands a 429 or 503 on as 503 "
    f"with its Retry-After). At {START_S:.0f} s B's host dies for {LENGTH_S:.0f} s: what it had is "
    "lost, calls are accepted and never answered; then it is back, empty. A's calls to B go "
    "through the same front. Open arrivals, OpenAI's law, time-out 10 s. Goodput kept: local "
    f"tasks of those {LENGTH_S:.0f} s done within {KEPT_WITHIN_S:.0f} s of their due time. Retry "
    "wave: callers' calls that need B, in any second after its return, over B's capacity.",
    services=(
        Behind(
            "a",
            ServiceSpec(
                A_WORKERS,
                MEAN_S,
                0.5,
                queue_bound=A_LINE,
                workers_call="/needs-b",
                own_s=OWN_S,
                call_timeout_s=CALL_TIMEOUT_S,
            ),
            calls="b",
        ),
        Behind("b", ServiceSpec(B_SLOTS, MEAN_S, 0.5, dead=((START_S, LENGTH_S),))),
    ),
    groups=(
        Group(
            "local",
            100,
            Open(LOCAL_HZ),
            key="fleet-key",
            timeout_s=10.0,
            path="/local",
            demand=Demand(MEAN_S, 0.5),
        ),
        Group(
            "needs-b",
            100,
            Open(NEEDS_B_HZ),
            key="fleet-key",
            timeout_s=10.0,
            path="/needs-b",
            demand=Demand(MEAN_S, 0.5),
        ),
    ),
    seconds=SECONDS,
    drain_s=8.0,
    measure=measure,
    musts=(
        Must("routes without B keep ≥ 99 % goodput", "local_kept", ">=", 0.99, is_share=True),
        Must("no retry wave after B's return", "wave_over_capacity", "<=", 1.0),
    ),
    fault=(START_S, START_S + LENGTH_S),
    watched=("local",),
    columns=(("needs_b_done_after", "tasks that need B done, from 1 s after its return"),),
)
