"""``python -m governor.load PLAN.json OUT.json``: a fleet as a process of its own.

*Rule of this file*: files in and out, one line of JSON per progress on standard
output. With ``--child`` the process ends its run early when its standard input
ends: that is its parent's end, however that came, or its parent's wish.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from dataclasses import asdict
from pathlib import Path

import orjson
import uvloop

from governor.load.fleet import Progress, run
from governor.load.plan import Plan, plan_from_json
from governor.load.record import record_to_json


def show(progress: Progress) -> None:
    """Print a progress as one line of JSON."""
    sys.stdout.write(orjson.dumps(asdict(progress)).decode() + "\n")
    sys.stdout.flush()


async def play(plan: Plan, *, is_child: bool) -> bytes:
    """Run the plan; return the record as JSON."""
    stop = asyncio.Event()
    if is_child:
        os.set_blocking(sys.stdin.fileno(), False)
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    return record_to_json(await run(plan, show if is_child else None, stop))


def main(argv: list[str]) -> int:
    """Run a fleet as a process; writes its record to a file."""
    parser = argparse.ArgumentParser(prog="python -m governor.load", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--child", action="store_true", help="tell progress, end with stdin")
    options = parser.parse_args(argv)
    try:
        plan = plan_from_json(options.plan.read_bytes())
        gc.disable()  # many objects, no cycles worth finding; a collection is a late timer
        options.out.write_bytes(uvloop.run(play(plan, is_child=options.child)))
    except (OSError, ValueError) as error:
        print(f"{options.plan}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
