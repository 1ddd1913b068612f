"""All scenarios by name, in the order of the table."""

from __future__ import annotations

from bench.storm.base import Scenario
from bench.storm.blip import BLIPS
from bench.storm.cascade import CASCADE
from bench.storm.fanout import FANOUTS
from bench.storm.herd import HERD
from bench.storm.noisy import NOISY_TENANT
from bench.storm.organic import RAMP
from bench.storm.provider import PROVIDER
from bench.storm.recorded import RECORDED
from bench.storm.replica import SICK_REPLICA
from bench.storm.stall import STALL
from bench.storm.streams import STREAMS

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        STALL,
        *BLIPS,
        HERD,
        *FANOUTS,
        NOISY_TENANT,
        SICK_REPLICA,
        CASCADE,
        PROVIDER,
        STREAMS,
        RAMP,
        *RECORDED,
    )
}

FAMILIES = tuple(dict.fromkeys(scenario.family for scenario in SCENARIOS.values()))


def choose(names: str) -> list[Scenario]:
    """Return the scenarios of the names (of variants or families, comma-separated)."""
    chosen: list[Scenario] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        found = [s for s in SCENARIOS.values() if name in (s.name, s.family)]
        if not found:
            raise SystemExit(f"unknown scenario {name!r}: choose from {', '.join(SCENARIOS)}")
        chosen += [scenario for scenario in found if scenario not in chosen]
    return chosen


def first_of_each() -> list[Scenario]:
    """Return one variant of each family."""
    return [next(s for s in SCENARIOS.values() if s.family == family) for family in FAMILIES]
