"""Jobs of the scale tier: a node of their own, a slot of a service or a place in its line.

*Rule of this file*: what a service does, compiled. Its slots all run at full speed.
"""

from __future__ import annotations

from typing import Any

from bench.simulate.calendar import put
from bench.simulate.compiled import part
from bench.simulate.state import FREE, NOBODY, OVERFLOWS, QUEUES, RUNS, draw_demand_s


@part
def acquire(world: Any) -> int:
    """Return a free node; ``NOBODY`` and a count where there is none."""
    nodes, pool, counts = world[0], world[3], world[8]
    node = pool[0]
    if node == NOBODY:
        counts[OVERFLOWS] += 1
        return NOBODY
    pool[0] = nodes[node]["after"]
    pool[1] -= 1
    return int(node)


@part
def release(world: Any, node: int) -> None:
    """Give a node back."""
    nodes, pool = world[0], world[3]
    nodes[node]["state"] = FREE
    nodes[node]["after"] = pool[0]
    pool[0] = node
    pool[1] += 1


@part
def submit(world: Any, job: int, now_ns: int) -> None:
    """Send a job to its service: into a slot, or to the end of its line."""
    nodes, upstreams, rules, rng = world[0], world[4], world[7][0], world[10]
    upstream = upstreams[nodes[job]["upstream"]]
    nodes[job]["sent"] = now_ns
    nodes[job]["work"] = draw_demand_s(rng, rules["mu"], rules["sigma"])
    if upstream["n_running"] < rules["n_slots"]:
        upstream["n_running"] += 1
        run_job(world, job, now_ns)
        return
    nodes[job]["state"] = QUEUES
    nodes[job]["after"] = NOBODY
    if upstream["n_queued"]:
        nodes[upstream["tail"]]["after"] = job
    else:
        upstream["head"] = job
    upstream["tail"] = job
    upstream["n_queued"] += 1


@part
def run_job(world: Any, job: int, now_ns: int) -> None:
    """Let a job have a slot."""
    nodes, buckets, numbers = world[0], world[1], world[2]
    nodes[job]["state"] = RUNS
    put(buckets, numbers, nodes, job, now_ns + int(nodes[job]["work"] * 1e9))
