"""The scale tier at work: callers, governors, services and their hub, one compiled loop.

*Rule of this file*: what happens at each event. Laws are :mod:`bench.simulate.laws`', the exchange of
views :mod:`bench.simulate.views`', the order of time :mod:`bench.simulate.calendar`'s.

*Theory*: an agent has one timer: the end of its thought, of its back-off or of its patience. A job
is in the queue while it is in a slot. So there are about as many entries as agents, and a
call that is answered costs two: the end of a thought and the end of a job. What follows from an
event in the same instant (an arrival, a dispatch, a reply) is done with it and not counted, so a
rate of events understates what a simulator that schedules each would report.

*Cost*: :mod:`bench.simulate.scale` measures it.

*Considered and rejected*: agents as groups of equals with a fluid limit (no attempts, no patience of
one's own, no line by attained service); time in steps (a step short enough for a
200 µs place is more work than the events).
"""

from __future__ import annotations

from typing import Any

from bench.simulate.calendar import NOTHING, put, take_next, take_out
from bench.simulate.compiled import kernel, part
from bench.simulate.laws import (
    NO_RETRY,
    RESPONSE_GAIN,
    allowance,
    attained_s,
    expected_wait_ns,
    first_in,
    has_expired,
    invite_ns,
    is_at_slot,
    is_newest_first,
    is_overdue,
    is_surplus,
    is_too_late,
    last_in,
    note_fresh,
    rank_of,
)
from bench.simulate.state import (
    ATTEMPTS,
    AWAY,
    BIN_NS,
    BUSY_S,
    CALLING,
    DONE,
    DONE_EACH,
    EVENTS,
    FAILED,
    FREE,
    INSIDE_EACH,
    N_RANKS,
    NOBODY,
    OVERFLOWS,
    PLACED,
    QUEUES,
    REFUSALS,
    RESTING,
    RUNS,
    TASKS,
    THINKING,
    TIMEOUTS,
    UNGOVERNED_DONE,
    UNGOVERNED_TASKS,
    WAITS,
    WASTED_S,
    draw,
    draw_demand_s,
    draw_exponential,
)
from bench.simulate.views import exchange, forget_row

TICK_NS = 50_000_000
KEEPALIVE_NS = 5_000_000_000
"""An idle connection older than this is not used again (:data:`governor.load.calls.KEEPALIVE_S`)."""
LONG_AGO_NS = -(1 << 60)
MS_NS = 1_000_000

# -- jobs -------------------------------------------------------------------------


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
    upstream = upstreams[nodes[job]["cell"] // rules["n_views"]]
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


@part
def finish(world: Any, job: int, now_ns: int) -> None:
    """End a job: the slot to the next one, the place back to its governor, the reply."""
    nodes, upstreams, cells, rules = world[0], world[4], world[5], world[7][0]
    counts, timeline = world[8], world[9]
    cell_idx = nodes[job]["cell"]
    upstream = upstreams[cell_idx // rules["n_views"]]
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
    if is_governed:
        dispatch(world, cell_idx, now_ns)


# -- callers -----------------------------------------------------------------------


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
    nodes[agent]["tries"] = 0
    counts[TASKS] += 1
    counts[UNGOVERNED_TASKS] += 1 - nodes[agent]["is_governed"]
    call(world, agent, now_ns)


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


# -- governors ----------------------------------------------------------------------


@part
def arrive(world: Any, agent: int, job: int, now_ns: int) -> None:
    """Admit a call at once if there is a place and nobody waits, else let it wait."""
    nodes, cells, rules = world[0], world[5], world[7][0]
    cell = cells[nodes[job]["cell"]]
    tries = nodes[agent]["tries"]
    if tries == 0:
        note_fresh(cell, now_ns)
    is_invited = redeem(world, nodes[job]["cell"], tries > 0, now_ns)
    if cell["n_waiting"] == 0 and cell["in_flight"] + 1 <= allowance(cell, rules):
        cell["in_flight"] += 1
        submit(world, job, now_ns)
        return
    rank = rank_of(cell, nodes[agent], now_ns)
    join_line(world, job, 0 if is_invited else rank)


@part
def redeem(world: Any, cell_idx: int, is_retry: bool, now_ns: int) -> bool:
    """Close the oldest invitation if this arrival can be its caller; whether it keeps its slot."""
    nodes, cells = world[0], world[5]
    cell = cells[cell_idx]
    while cell["n_invited"] and is_overdue(nodes[cell["slot_head"]], now_ns):
        drop_slot(world, cell_idx)
    if cell["n_invited"] == 0:
        return False
    is_there = is_at_slot(nodes[cell["slot_head"]], now_ns)
    if is_there or is_retry:
        drop_slot(world, cell_idx)
    return is_there


@part
def drop_slot(world: Any, cell_idx: int) -> None:
    """Forget the oldest invitation."""
    nodes, cells = world[0], world[5]
    slot = cells[cell_idx]["slot_head"]
    cells[cell_idx]["slot_head"] = nodes[slot]["after"]
    cells[cell_idx]["n_invited"] -= 1
    release(world, slot)


@part
def answer(world: Any, job: int, now_ns: int) -> None:
    """Send a call that waited away, with a slot of its own."""
    nodes, cells, rules, counts = world[0], world[5], world[7][0], world[8]
    cell_idx = nodes[job]["cell"]
    cell = cells[cell_idx]
    while cell["n_invited"] and is_overdue(nodes[cell["slot_head"]], now_ns):
        drop_slot(world, cell_idx)
    delay_ns = invite_ns(cell, now_ns, allowance(cell, rules))
    counts[REFUSALS] += 1
    agent = nodes[job]["peer"]
    release(world, job)
    if delay_ns != NO_RETRY:
        slot = acquire(world)
        nodes[slot]["state"] = PLACED
        nodes[slot]["since"] = now_ns + delay_ns
        nodes[slot]["after"] = NOBODY
        if cell["n_invited"]:
            nodes[cell["slot_tail"]]["after"] = slot
        else:
            cell["slot_head"] = slot
        cell["slot_tail"] = slot
        cell["n_invited"] += 1
        delay_ns = -(-delay_ns // MS_NS) * MS_NS  # as Retry-After-Ms says it
    part_with(world, agent, now_ns)
    fail(world, agent, now_ns, delay_ns)


@part
def join_line(world: Any, job: int, rank: int) -> None:
    """Put a job at the end of its class."""
    nodes, cells, heads, tails = world[0], world[5], world[6][0], world[6][1]
    cell_idx = nodes[job]["cell"]
    last = tails[cell_idx, rank]
    nodes[job]["state"] = WAITS
    nodes[job]["rank"] = rank
    nodes[job]["before"] = last
    nodes[job]["after"] = NOBODY
    if last != NOBODY:
        nodes[last]["after"] = job
    else:
        heads[cell_idx, rank] = job
    tails[cell_idx, rank] = job
    cells[cell_idx]["n_waiting"] += 1


@part
def leave_line(world: Any, job: int) -> None:
    """Take a job out of its line."""
    nodes, cells, heads, tails = world[0], world[5], world[6][0], world[6][1]
    cell_idx, rank = nodes[job]["cell"], nodes[job]["rank"]
    before, after = nodes[job]["before"], nodes[job]["after"]
    if before != NOBODY:
        nodes[before]["after"] = after
    else:
        heads[cell_idx, rank] = after
    if after != NOBODY:
        nodes[after]["before"] = before
    else:
        tails[cell_idx, rank] = before
    cells[cell_idx]["n_waiting"] -= 1


@part
def dispatch(world: Any, cell_idx: int, now_ns: int) -> None:
    """Fill the places that a cell may hold from its line."""
    nodes, cells, rules = world[0], world[5], world[7][0]
    heads, tails = world[6][0], world[6][1]
    cell = cells[cell_idx]
    patience_ns = rules["patience_ns"]
    places = allowance(cell, rules)
    while cell["n_waiting"] and cell["in_flight"] + 1 <= places:
        rank = first_in(heads, cell_idx)
        is_newest = is_newest_first(cell, expected_wait_ns(cell, places), patience_ns)
        job = tails[cell_idx, rank] if is_newest else heads[cell_idx, rank]
        leave_line(world, job)
        if is_too_late(cell, now_ns - nodes[job]["since"], patience_ns):
            answer(world, job, now_ns)
            continue
        cell["in_flight"] += 1
        submit(world, job, now_ns)


@part
def look(world: Any, cell_idx: int, now_ns: int) -> None:
    """Do what a tick does to one line: dispatch, expiries, surplus."""
    nodes, cells, rules = world[0], world[5], world[7][0]
    heads, tails = world[6][0], world[6][1]
    cell = cells[cell_idx]
    patience_ns = rules["patience_ns"]
    dispatch(world, cell_idx, now_ns)
    for rank in range(N_RANKS):
        job = heads[cell_idx, rank]
        while job != NOBODY and has_expired(now_ns - nodes[job]["since"], patience_ns):
            leave_line(world, job)
            answer(world, job, now_ns)
            job = heads[cell_idx, rank]
    places = allowance(cell, rules)
    while cell["n_waiting"]:
        wait_ns = expected_wait_ns(cell, places)
        if not is_surplus(wait_ns, patience_ns):
            break
        rank = last_in(heads, cell_idx)
        is_newest = is_newest_first(cell, wait_ns, patience_ns)
        job = heads[cell_idx, rank] if is_newest else tails[cell_idx, rank]
        leave_line(world, job)
        answer(world, job, now_ns)


# -- time -----------------------------------------------------------------------------


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
def run(world: Any) -> None:
    """Play a world to its end.

    Parameters
    ----------
    world : tuple
        (nodes, buckets, numbers, pool, upstreams, cells, (heads, tails), rules, counts,
        timeline, rng), as :func:`bench.simulate.scale.make_world` makes them.
    """
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
            at_ns = int(draw(rng) * rules["period_ns"])
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
            dispatch(world, cell_idx, now_ns)
        else:
            tick(world, now_ns)
            put(buckets, numbers, nodes, node, now_ns + TICK_NS)
