"""Fan-out: trees of 1, 20 and 100 calls by six planners beside 80 interactive agents.

Three variants: everybody named as their SDKs do; nobody named, the planners with an
API key of their own; nobody named and one API key for all. In the last nothing but
connections and rhythm tells a planner's child from a person's agent. For proxies
that read no identity the three are the same run: all of them run the last, some
the others.
"""

from __future__ import annotations

from dataclasses import replace

from bench.service.spec import ServiceSpec
from bench.storm.base import SETTLE_S, Behind, Must, Quantities, Scenario
from bench.storm.bound import serve
from bench.storm.seen import Seen, percentile
from governor.load.plan import Closed, Demand, Fanout, Group

N_SLOTS, MEAN_S = 20, 0.1
N_AGENTS, AGENTS_HZ = 80, 60.0
N_PLANNERS, WIDTHS, EVERY_S = 6, (1, 20, 100), 8.0
SECONDS = 28.0
READ_IDENTITY = ("direct", "nginx-limit", "envoy-adaptive", "governor", "governor-observe")
"""Governor, and the best of the others for comparison."""


def measure(seen: Seen) -> Quantities:
    """Return the interactive agents' p99 and what is possible."""
    people = seen.of("interactive") & (seen.began_s >= SETTLE_S)
    best = serve(seen.began_s, seen.demand_s, seen.of("interactive"), N_SLOTS)
    return {
        "interactive_p99_s": percentile(seen.took_s[people], 99),
        "bound_interactive_p99_s": percentile((best.done_s - seen.began_s)[people], 99),
    }


def fanout(
    variant: str, words: str, people_key: str, planners_key: str, is_named: bool
) -> Scenario:
    """Return one variant."""
    people = Group(
        "interactive",
        N_AGENTS,
        Closed(N_AGENTS / AGENTS_HZ - 0.11),
        key=people_key,
        is_named=is_named,
        timeout_s=10.0,
        demand=Demand(MEAN_S, 0.5),
    )
    planners = replace(
        people,
        name="planners",
        n_agents=N_PLANNERS,
        shape=Fanout(WIDTHS, EVERY_S),
        key=planners_key,
    )
    tree_hz = N_PLANNERS * sum(WIDTHS) / EVERY_S
    return Scenario(
        name=f"fanout-{variant}",
        peers=() if variant == "one-key" else READ_IDENTITY,
        family="fanout",
        text=f"{N_PLANNERS} planners fan out 1→20→100 every {EVERY_S:.0f} s beside {N_AGENTS} "
        f"interactive agents ({AGENTS_HZ:.0f}/s); {N_SLOTS} slots x {MEAN_S} s, "
        f"{tree_hz * MEAN_S / N_SLOTS:.0%} + {AGENTS_HZ * MEAN_S / N_SLOTS:.0%} load; OpenAI's "
        f"law, time-out 10 s. {words}",
        services=(Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5)),),
        groups=(people, planners),
        seconds=SECONDS,
        drain_s=8.0,
        measure=measure,
        musts=(
            Must("interactive p99 ≤ 1.3 × unloaded", "interactive_p99_s", "<=", 1.3, "alone"),
            Must("total goodput ≥ 99 % of the best", "goodput_hz", ">=", 0.99, "best"),
        ),
        alone=("interactive",),
        watched=("interactive",),
        columns=(("bound_interactive_p99_s", "bound: interactive p99 s"),),
    )


FANOUTS = (
    fanout("named", "One API key; agents and trees named.", "fleet-key", "fleet-key", True),
    fanout(
        "own-key",
        "Nothing but the API key, and the planners have one of their own.",
        "people-key",
        "planners-key",
        False,
    ),
    fanout("one-key", "Nothing but one API key for all.", "fleet-key", "fleet-key", False),
)
