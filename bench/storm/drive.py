"""The fleet's process: begin the services' faults, run the plan, fetch the services' logs.

``python -m bench.storm.drive PLAN.json OUT.json NAME=PORT ...``

*Rule of this file*: no analysis. Faults begin in the same instant as the fleet, to
within the milliseconds that the answer says.
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.control import call_json
from governor.load.fleet import run
from governor.load.plan import Plan, plan_from_json


async def drive(plan: Plan, services: list[tuple[str, int]]) -> dict[str, Any]:
    """Run a plan against services; return its record and their logs."""
    begun = [await call_json(port, "/-/begin") for _, port in services]
    record = await run(plan)
    logs: dict[str, list[Any]] = defaultdict(list)
    for name, port in services:
        logs[name].append(await call_json(port, "/-/log"))
    return {"record": record, "logs": logs, "begun_s": begun[-1]["began_s"]}


def main(argv: list[str]) -> None:
    """Run as a process."""
    plan_path, out_path, *places = argv
    services = [(name, int(port)) for name, _, port in (place.partition("=") for place in places)]
    plan = plan_from_json(Path(plan_path).read_bytes())
    gc.disable()
    found = uvloop.run(drive(plan, services))
    Path(out_path).write_bytes(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY))


if __name__ == "__main__":
    main(sys.argv[1:])
