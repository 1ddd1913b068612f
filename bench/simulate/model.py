"""The scale tier at work: callers, governors, services and their hub, one compiled loop.

*Rule of this file*: what happens at each event. Laws are :mod:`bench.simulate.laws`', the exchange
of views :mod:`bench.simulate.views`', the order of time :mod:`bench.simulate.calendar`'s.

*Theory*: an agent has one timer: the end of its thought, of its back-off or of its patience. A job
is in the queue while it is in a slot. So there are about as many entries as agents, and a
call that is answered costs two: the end of a thought and the end of a job. What follows from an
event in the same instant (an arrival, a dispatch, a reply) is done with it and not counted, so a
rate of events understates what a simulator that schedules each would report.

*Cost*: :mod:`bench.simulate.scale` measures it.

*Considered and rejected*: agents as groups of equals with a fluid limit (no attempts, no patience
of one's own, no line by attained service); time in steps (a step short enough for a
200 µs place is more work than the events).
"""

from __future__ import annotations

from typing import Any

from bench.simulate.agents import fail, part_with, think
from bench.simulate.calendar import NOTHING, put, take_next
from bench.simulate.compiled import kernel, part
from bench.simulate.governors import arrive, dispatch, leave_line, look
from bench.simulate.jobs import acquire, release, run_job, submit
from bench.simulate.laws import RESPONSE_GAIN, attained_s
from bench.simulate.state import (
    ATTEMPTS,
    AWAY,
    BIN_NS,
    BUSY_S,
    CALLING,
    DONE,
    DONE_EACH,
    EVENTS,
    INSIDE_EACH,
    NOBODY,
    RESTING,
    TASKS,
    THINKING,
    TIMEOUTS,
    UNGOVERNED_DONE,
    UNGOVERNED_TASKS,
    WAITS,
    WASTED_S,
    draw,
)
from bench.simulate.views import exchange, forget_row
from bench.simulate.world import detached

TICK_NS = 50_000_000
FIRST_NS = 1_000_000_000
"""First exchange: until then governors hold equal shares, as of a fleet that has been running."""
KEEPALIVE_NS = 5_000_000_000
"""An idle connection older than this is not used again (``governor.load.calls.KEEPALIVE_S``)."""
LONG_AGO_NS = -(1 << 60)


@part
def finish(world: Any, job: int, now_ns: int) -> None:
    """End a job: the slot to the next one, the place back to its governor, the reply."""
    nodes, upstreams, cells = world[0], world[4], world[5]
    counts, timeline = world[8], world[9]
    cell_idx = nodes[job]["cell"]
    upstream = upstreams[nodes[job]["upstream"]]
    step = now_ns // BIN_NS
    timeline[BUSY_S, step] += nodes[job]["work"]
    agent = nodes[job]["peer"]
    if agent == NOBODY:
        timeline[WASTED_S, step] += nodes[job]["work"]
    if upstream["n_queued"]:
        follower = upstream["head"]
        upstream["head"] = nodes[follower]["after"]
        upstream["n_queued"] -= 1
        run_job(world, follower, now_ns)
    else:
        upstream["n_running"] -= 1
    is_governed = nodes[job]["is_governed"]
    held_ns = now_ns - nodes[job]["sent"]
    if is_governed:
        cell = cells[cell_idx]
        cell["in_flight"] -= 1
        gain = RESPONSE_GAIN if cell["response_ns"] > 0.0 else 1.0
        cell["response_ns"] += gain * (held_ns - cell["response_ns"])
    if agent != NOBODY:
        nodes[agent]["work"] = attained_s(nodes[agent], now_ns) + held_ns * 1e-9
        nodes[agent]["sent"] = now_ns
        counts[DONE] += 1
        counts[UNGOVERNED_DONE] += 1 - is_governed
        timeline[DONE_EACH, step] += 1.0
        part_with(world, agent, now_ns)
        think(world, agent, now_ns)
    release(world, job)
    if is_governed and cells[cell_idx]["n_waiting"]:
        dispatch(world, cell_idx, now_ns)


@part
def begin_task(world: Any, agent: int, now_ns: int) -> None:
    """Begin a task; who roams chooses a service for it."""
    nodes, rules, counts, rng = world[0], world[7][0], world[8], world[10]
    if now_ns >= rules["end_ns"]:
        nodes[agent]["state"] = RESTING
        return
    if rules["is_roaming"]:
        n_views = rules["n_views"]
        upstream = min(int(draw(rng) * rules["n_upstreams"]), rules["n_upstreams"] - 1)
        nodes[agent]["cell"] = upstream * n_views + nodes[agent]["cell"] % n_views
        nodes[agent]["upstream"] = upstream
    if rules["move_ns"] > 0 and now_ns >= rules["move_ns"]:
        move(nodes, agent, rules["n_views"])
    nodes[agent]["tries"] = 0
    counts[TASKS] += 1
    counts[UNGOVERNED_TASKS] += 1 - nodes[agent]["is_governed"]
    call(world, agent, now_ns)


@part
def move(nodes: Any, agent: int, n_views: int) -> None:
    """Let an agent of the first half of the governors call through the second half from now on."""
    view = nodes[agent]["cell"] % n_views
    if view < n_views // 2:
        nodes[agent]["cell"] += n_views // 2


@part
def call(world: Any, agent: int, now_ns: int) -> None:
    """Make one attempt."""
    nodes, buckets, numbers, rules, counts = world[0], world[1], world[2], world[7][0], world[8]
    job = acquire(world)
    if job == NOBODY:
        nodes[agent]["state"] = RESTING
        return
    counts[ATTEMPTS] += 1
    if nodes[agent]["since"] + KEEPALIVE_NS < now_ns:
        nodes[agent]["work"] = 0.0  # a new connection has no past
    nodes[agent]["peer"] = job
    nodes[agent]["state"] = CALLING
    nodes[job]["peer"] = agent
    nodes[job]["cell"] = nodes[agent]["cell"]
    nodes[job]["upstream"] = nodes[agent]["upstream"]
    nodes[job]["since"] = now_ns
    nodes[job]["is_governed"] = nodes[agent]["is_governed"]
    put(buckets, numbers, nodes, agent, now_ns + rules["patience_ns"])
    if nodes[agent]["is_governed"]:
        arrive(world, agent, job, now_ns)
    else:
        submit(world, job, now_ns)


@part
def time_out(world: Any, agent: int, now_ns: int) -> None:
    """Let a caller leave; its job goes on unless it still waits at the governor."""
    nodes, cells, counts = world[0], world[5], world[8]
    counts[TIMEOUTS] += 1
    job = nodes[agent]["peer"]
    nodes[agent]["peer"] = NOBODY
    nodes[agent]["since"] = LONG_AGO_NS
    nodes[job]["peer"] = NOBODY
    if nodes[job]["is_governed"]:
        cells[nodes[job]["cell"]]["n_leavers"] += 1
    if nodes[job]["state"] == WAITS:
        leave_line(world, job)
        release(world, job)
    fail(world, agent, now_ns, 0)


@part
def tick(world: Any, now_ns: int) -> None:
    """Look at every line, at what the hub still has, and at how many are inside."""
    upstreams, cells, rules, timeline = world[4], world[5], world[7][0], world[9]
    n_views = rules["n_views"]
    n_inside = 0
    for cell_idx in range(rules["n_upstreams"] * n_views):
        if cells[cell_idx]["n_waiting"]:
            look(world, cell_idx, now_ns)
        if n_views > 1:
            forget_row(cells[cell_idx], upstreams[cell_idx // n_views], rules, now_ns)
    for idx in range(rules["n_upstreams"]):
        n_inside += upstreams[idx]["n_running"] + upstreams[idx]["n_queued"]
    timeline[INSIDE_EACH, now_ns // BIN_NS] = n_inside


@kernel
def run(arrays: Any) -> None:
    """Play a world to its end.

    Parameters
    ----------
    arrays : tuple
        (nodes, buckets, numbers, pool, upstreams, cells, (heads, tails), rules, counts,
        timeline, rng), as :func:`bench.simulate.scale.make_world` makes them.
    """
    world = detached(arrays)
    nodes, buckets, numbers, upstreams, cells = world[0], world[1], world[2], world[4], world[5]
    rules, counts, rng = world[7][0], world[8], world[10]
    n_agents = rules["n_agents"]
    n_views = rules["n_views"]
    n_cells = rules["n_upstreams"] * n_views
    ticker = len(nodes) - 1
    first_timer = ticker - n_cells
    for agent in range(n_agents):
        think(world, agent, 0)
    if n_views > 1:
        for cell_idx in range(n_cells):
            at_ns = FIRST_NS + int(draw(rng) * rules["period_ns"])
            put(buckets, numbers, nodes, first_timer + cell_idx, at_ns)
    put(buckets, numbers, nodes, ticker, TICK_NS)
    while True:
        node = take_next(buckets, numbers, nodes)
        if node == NOTHING:
            break
        now_ns = nodes[node]["at"]
        if now_ns >= rules["stop_ns"]:
            break
        counts[EVENTS] += 1
        if node < n_agents:
            state = nodes[node]["state"]
            if state == THINKING:
                begin_task(world, node, now_ns)
            elif state == AWAY:
                call(world, node, now_ns)
            else:
                time_out(world, node, now_ns)
        elif node < first_timer:
            finish(world, node, now_ns)
        elif node < ticker:
            cell_idx = node - first_timer
            upstream = upstreams[cell_idx // n_views]
            at_ns = exchange(cells[cell_idx], upstream, rules, counts, rng, now_ns)
            put(buckets, numbers, nodes, node, at_ns)
            if cells[cell_idx]["n_waiting"]:
                dispatch(world, cell_idx, now_ns)
        else:
            tick(world, now_ns)
            put(buckets, numbers, nodes, node, now_ns + TICK_NS)
