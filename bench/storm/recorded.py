"""Organic, recorded: fleets as they were, replayed through the front and directly at once.

The service has slots without end and takes the recorded time, so nothing may be
done and nothing may be slower. Run as a module it is the driver's process.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

from bench.replay import Way, drive
from bench.replay_rows import Row, read_rows
from bench.service.spec import ServiceSpec
from bench.storm.base import Behind, Must, Quantities, Recording, Scenario
from bench.storm.seen import REFUSALS, Seen, percentile

LENGTH_S = 28.0


def measure_nothing(seen: Seen) -> Quantities:
    """Return nothing: what is replayed has no plan and no record of tasks."""
    return {}


def recorded(name: str, words: str, recording: Recording) -> Scenario:
    """Return the scenario of one recording."""
    return Scenario(
        name=f"recorded-{name}",
        family="organic",
        text=f"{words}, {recording.length_s / 60:.0f} min of it from "
        f"{recording.start_s / 60:.0f} min on, {recording.speed:.0f} times as fast, waits and "
        "service times alike; each call goes through the front and directly at the same moment. "
        "p99 is compared between the two.",
        services=(Behind("tool", ServiceSpec(n_slots=0), slots=256),),
        groups=(),
        seconds=recording.length_s / recording.speed,
        drain_s=10.0,
        measure=measure_nothing,
        musts=(
            Must("not one intervention", "interventions", "<=", 0.0),
            Must("p99 within 1 ms of direct", "p99_over_direct_s", "<=", 0.001),
        ),
        recording=recording,
        peers=("envoy-adaptive", "governor"),
    )


RECORDED = (
    recorded(
        "claude-code",
        "Recorded sessions of Claude Code with seeded start offsets",
        Recording("claude_code_fleet_6h.csv.gz", "t_s", 3_600.0, 60 * LENGTH_S, 60.0),
    ),
    recorded(
        "azure-llm",
        "A production LLM's arrivals, no ids",
        Recording("azure_llm_conv_2023.csv.gz", "t_s", 300.0, 20 * LENGTH_S, 20.0),
    ),
)


def part_of(rows: list[Row], recording: Recording) -> list[Row]:
    """Return the rows of the part that is replayed."""
    end_s = recording.start_s + recording.length_s
    return [row for row in rows if recording.start_s <= row.t_s < end_s]


def quantities(found: dict[str, Any]) -> Quantities:
    """Return what every run has, as far as a replay has it, and the two p99s' difference."""
    through = np.array(found["through_s"], dtype=np.float64)
    direct = np.array(found["direct_s"], dtype=np.float64)
    statuses = Counter({int(status): n for status, n in found["statuses"].items()})
    p99_s = percentile(through, 99)
    return {
        "tasks": float(len(through)),
        "succeeded": float(statuses[200]),
        "failed": float(len(through) - statuses[200]),
        "unfinished": 0.0,
        "success_ratio": statuses[200] / len(through) if len(through) else 0.0,
        "goodput_hz": statuses[200] / found["seconds"],
        "attempts_per_task": 1.0,
        "refusals": float(sum(statuses[status] for status in REFUSALS)),
        "timeouts": float(statuses[0]),
        "p50_s": percentile(through, 50),
        "p99_s": p99_s,
        "p99_over_direct_s": p99_s - percentile(direct, 99),
        "added_p99_s": percentile(through - direct, 99),
        "waste_ratio": 0.0,
        "late_p99_s": found["late_s"],
    }


def main(argv: list[str]) -> None:
    """Replay as a process; write what was measured to a file."""
    parser = argparse.ArgumentParser(prog="bench.storm.recorded")
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--ports", required=True, help="through,direct")
    options = parser.parse_args(argv)
    recording = next(s.recording for s in RECORDED if s.name == options.scenario)
    assert recording is not None
    rows = part_of(read_rows(options.file, recording.time_column), recording)
    through, direct = (Way(int(port)) for port in options.ports.split(","))
    gc.freeze()
    gc.disable()
    late_s = uvloop.run(drive(rows, recording.speed, [through, direct], lambda _n, _t: None))
    numbers = sorted(through.took_s)
    options.out.write_bytes(
        orjson.dumps(
            {
                "through_s": [through.took_s[n] for n in numbers],
                "direct_s": [direct.took_s[n] for n in numbers],
                "statuses": {str(status): n for status, n in through.statuses.items()},
                "late_s": late_s,
                "seconds": recording.length_s / recording.speed,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
