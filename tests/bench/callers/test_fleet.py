"""The fleet against a real service, small and short."""

from __future__ import annotations

import orjson

from bench.callers.fleet import Plan, run
from bench.service.server import Service
from tests.bench.support import Serve


def plan(port: int, **changes: object) -> Plan:
    """Return a small fleet's plan."""
    values: dict[str, object] = {
        "port": port,
        "service_port": port,
        "agents": 20,
        "think_s": 0.05,
        "timeout_s": 1.0,
        "retries": 6,
        "law": "openai",
        "seconds": 0.4,
        "drain_s": 2.0,
        "seed": 1,
    }
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


async def test_calm_fleet_has_one_attempt_a_task(serve: Serve) -> None:
    """With room for all, every task succeeds at once and every job has its caller."""
    port = await serve(Service(0, 0.005, 0.0, 1, []))
    record = orjson.loads(await run(plan(port)))
    assert len(record["tasks"]) > 30
    assert all(task[2] and task[3] == 1 for task in record["tasks"])
    assert len(record["jobs"]) == len(record["attempts"])


async def test_callers_that_time_out_leave_and_call_again(serve: Serve) -> None:
    """A service that is too slow gets each task's repeats; what it does for them is orphaned."""
    port = await serve(Service(0, 0.2, 0.0, 1, []))
    slow = plan(port, timeout_s=0.05, law="urllib3", retries=2, agents=3, seconds=0.3)
    record = orjson.loads(await run(slow))
    ended = [task for task in record["tasks"] if task[1] >= 0]
    assert ended
    assert all(not task[2] and task[3] == 3 for task in ended)
    assert all(attempt[2] == 0 for attempt in record["attempts"] if attempt[1] >= 0)
    assert not any(job[5] for job in record["jobs"])


async def test_nobody_listening_is_a_failed_attempt(serve: Serve, dead_port: int) -> None:
    """A refused connection is retried like a broken one, and the fleet ends in time."""
    port = await serve(Service(0, 0.005, 0.0, 1, []))
    refused = plan(dead_port, service_port=port, law="requests", agents=2, seconds=0.2)
    record = orjson.loads(await run(refused))
    assert record["tasks"]
    assert all(not task[2] and task[3] == 1 for task in record["tasks"] if task[1] >= 0)
