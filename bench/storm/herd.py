"""Herd: 400 agents within 20 ms every 4 s beside 80 callers, before a service that refuses."""

from __future__ import annotations

import numpy as np

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.bound import serve
from bench.storm.seen import Flags, Floats, Seen, percentile
from governor.load.plan import Closed, Demand, Group, Herd

N_SLOTS, MEAN_S = 24, 0.1
QUEUE_BOUND = 24
N_HERD, EVERY_S, SPREAD_S = 400, 4.0, 0.02
N_CALLERS, CALLERS_HZ = 80, 60.0
SECONDS = 27.9


def rounds(seen: Seen) -> list[Flags]:
    """Return the tasks of each herd."""
    n_rounds = int(seen.seconds / EVERY_S)
    each = [
        seen.begun_in(n * EVERY_S - 0.5, (n + 1) * EVERY_S - 0.5) for n in range(1, n_rounds + 1)
    ]
    return [found for found in (part & seen.of("herd") for part in each) if found.any()]


def over_work(seen: Seen, done_s: Floats) -> float:
    """Return the worst herd's time to be done over its work on the capacity the callers leave."""
    callers = seen.of("callers")
    left = N_SLOTS - float(seen.demand_s[callers].sum()) / seen.seconds
    spans = [
        (done_s[herd].max() - seen.began_s[herd].min()) * left / seen.demand_s[herd].sum()
        for herd in rounds(seen)
    ]
    return float(max(spans, default=np.nan))


def measure(seen: Seen) -> Quantities:
    """Return the callers' p99, the herds' time over their work, and what is possible."""
    callers = seen.of("callers") & (seen.began_s >= SETTLE_S)
    done_s = np.where(seen.is_done, seen.ended_s, np.inf)
    best = serve(seen.began_s, seen.demand_s, seen.of("callers"), N_SLOTS)
    return {
        "callers_p99_s": percentile(seen.took_s[callers], 99),
        "herd_over_work": over_work(seen, done_s),
        "bound_callers_p99_s": percentile((best.done_s - seen.began_s)[callers], 99),
        "bound_herd_over_work": over_work(seen, best.done_s),
    }


HERD = Scenario(
    name="herd",
    family="herd",
    text=f"{N_HERD} agents (OpenAI's law) begin within {SPREAD_S * 1e3:.0f} ms every "
    f"{EVERY_S:.0f} s beside {N_CALLERS} independent callers ({CALLERS_HZ:.0f}/s); {N_SLOTS} slots "
    f"x {MEAN_S} s, 503 beyond {QUEUE_BOUND} in its line; {400 * MEAN_S / N_SLOTS / EVERY_S:.0%} "
    f"+ {CALLERS_HZ * MEAN_S / N_SLOTS:.0%} load. Time-out 10 s, one API key, agents named as "
    "the SDK does. Done within work/capacity: from a herd's first call to its last reply, over "
    "its demand on the slots that the callers leave; the worst herd.",
    services=(Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5, queue_bound=QUEUE_BOUND)),),
    groups=(
        Group(
            "callers",
            N_CALLERS,
            Closed(N_CALLERS / CALLERS_HZ - 0.11),
            key="fleet-key",
            timeout_s=10.0,
            demand=Demand(MEAN_S, 0.5),
        ),
        Group(
            "herd",
            N_HERD,
            Herd(EVERY_S, SPREAD_S),
            key="fleet-key",
            timeout_s=10.0,
            demand=Demand(MEAN_S, 0.5),
        ),
    ),
    seconds=SECONDS,
    drain_s=8.0,
    measure=measure,
    musts=(
        Must("callers' p99 ≤ 1.3 × unloaded", "callers_p99_s", "<=", 1.3, "alone"),
        Must("herd done within 1.1 × of work/capacity", "herd_over_work", "<=", 1.1),
        Must("no refusal", "refusals", "<=", 0.0),
    ),
    alone=("callers",),
    watched=("callers",),
    columns=(
        ("bound_callers_p99_s", "bound: callers' p99 s"),
        ("bound_herd_over_work", "bound: herd over work"),
    ),
)
