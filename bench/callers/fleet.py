"""The fleet of the storm, as a process: one group of ``governor.load`` and the service's log.

*Rule of this file*: a thin use of :mod:`governor.load.fleet`. What is added is the
service's side of the same run: its fault schedule begins with the fleet, and its
log is joined by the number that each attempt carries.
"""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import uvloop

from bench.children import HOST
from bench.control import call_json
from governor.load import fleet
from governor.load.plan import Closed, Group
from governor.load.plan import Plan as FleetPlan


@dataclass(frozen=True)
class Plan:
    """What the fleet does."""

    port: int
    service_port: int
    agents: int
    think_s: float
    timeout_s: float
    retries: int
    law: str
    seconds: float
    drain_s: float
    seed: int


def plan_of(plan: Plan) -> FleetPlan:
    """Return the plan in the fleet's words: one API key for all, no name of an agent."""
    group = Group(
        "agents",
        plan.agents,
        Closed(plan.think_s),
        client=plan.law,
        key="fleet-key",
        timeout_s=plan.timeout_s,
        max_retries=plan.retries,
    )
    return FleetPlan(
        (f"http://{HOST}:{plan.port}",),
        (group,),
        plan.seconds,
        plan.drain_s,
        plan.seed,
        is_numbered=True,
    )


async def run(plan: Plan) -> bytes:
    """Run the fleet; return its record, and the service's, as JSON."""
    began = await call_json(plan.service_port, "/-/begin")
    record = await fleet.run(plan_of(plan))
    tasks, attempts = record["tasks"], record["attempts"]
    rows = zip(
        tasks["began_s"].tolist(),
        tasks["ended_s"].tolist(),
        (tasks["is_done"] > 0).tolist(),
        tasks["attempts"].tolist(),
        strict=True,
    )
    calls = zip(
        *(attempts[name].tolist() for name in ("began_s", "ended_s", "status")), strict=True
    )
    return orjson.dumps(
        {
            "plan": asdict(plan),
            "began_s": began["began_s"],
            "ended_s": record["ended_s"],
            "tasks": list(rows),
            "attempts": list(calls),
            "cpu_s": record["cpu_s"],
            "late_s": record["late_s"],
            "jobs": await call_json(plan.service_port, "/-/log"),
            "service": await call_json(plan.service_port, "/-/stats"),
        }
    )


def main(argv: list[str]) -> None:
    """Run a fleet as a process of its own; writes the record to a file."""
    parser = argparse.ArgumentParser(prog="bench.callers.fleet", description=__doc__)
    for name, kind in Plan.__annotations__.items():
        cast = {"int": int, "float": float, "str": str}[kind]
        parser.add_argument(f"--{name.replace('_', '-')}", type=cast, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = vars(parser.parse_args(argv))
    out = options.pop("out")
    gc.disable()
    out.write_bytes(uvloop.run(run(Plan(**options))))


if __name__ == "__main__":
    main(sys.argv[1:])
