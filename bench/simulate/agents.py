"""Agents of the scale tier: they think, they give up, they come back.

*Rule of this file*: the law of retrying as :mod:`governor.load.laws` has it for clients of the
Stainless family (a hint verbatim, else a back-off that doubles, with jitter), compiled.
"""

from __future__ import annotations

from typing import Any

from bench.simulate.calendar import put, take_out
from bench.simulate.compiled import part
from bench.simulate.laws import NO_RETRY
from bench.simulate.state import AWAY, FAILED, NOBODY, RESTING, THINKING, draw, draw_exponential


@part
def part_with(world: Any, agent: int, now_ns: int) -> None:
    """Take a reply: the patience is over, the connection is idle."""
    nodes, buckets, numbers = world[0], world[1], world[2]
    take_out(buckets, numbers, nodes, agent)
    nodes[agent]["peer"] = NOBODY
    nodes[agent]["since"] = now_ns


@part
def think(world: Any, agent: int, now_ns: int) -> None:
    """Let an agent think before its next task; none begins after the end."""
    nodes, buckets, numbers, rules, rng = world[0], world[1], world[2], world[7][0], world[10]
    if now_ns >= rules["end_ns"]:
        nodes[agent]["state"] = RESTING
        return
    nodes[agent]["state"] = THINKING
    delay_ns = int(rules["think_ns"] * draw_exponential(rng))
    put(buckets, numbers, nodes, agent, now_ns + delay_ns)


@part
def fail(world: Any, agent: int, now_ns: int, hint_ns: int) -> None:
    """End an attempt that failed: again at the time told (0: none), or give the task up."""
    nodes, buckets, numbers, rules = world[0], world[1], world[2], world[7][0]
    counts, rng = world[8], world[10]
    tries = nodes[agent]["tries"]
    if tries >= rules["max_tries"] or hint_ns == NO_RETRY:
        counts[FAILED] += 1
        think(world, agent, now_ns)
        return
    delay_ns = hint_ns
    if hint_ns == 0:
        longest_ns = min(rules["backoff_first_ns"] * 2.0**tries, rules["backoff_most_ns"])
        delay_ns = int(longest_ns * (1.0 - rules["backoff_jitter"] * draw(rng)))
    nodes[agent]["tries"] = tries + 1
    nodes[agent]["state"] = AWAY
    put(buckets, numbers, nodes, agent, now_ns + delay_ns)
