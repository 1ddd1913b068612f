"""Governors of the scale tier: admit, hold in line, dispatch, send away with a slot.

*Rule of this file*: the order of acts as in :mod:`governor.core.gate`, compiled; every decision is
one of :mod:`bench.simulate.laws`.
"""

from __future__ import annotations

from typing import Any

from bench.simulate.agents import fail, part_with
from bench.simulate.compiled import apart, part
from bench.simulate.jobs import acquire, release, submit
from bench.simulate.laws import (
    NO_RETRY,
    allowance,
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
from bench.simulate.state import N_RANKS, NOBODY, PLACED, REFUSALS, WAITS

MS_NS = 1_000_000


@part
def arrive(world: Any, agent: int, job: int, now_ns: int) -> None:
    """Admit a call at once if there is a place and nobody waits, else let it wait."""
    nodes, cells, rules = world[0], world[5], world[7][0]
    cell = cells[nodes[job]["cell"]]
    tries = nodes[agent]["tries"]
    if tries == 0:
        note_fresh(cell, now_ns)
    is_invited = redeem(world, nodes[job]["cell"], tries > 0, now_ns)
    if cell["n_waiting"] == 0 and cell["in_flight"] + 1 <= allowance(cell, rules, now_ns):
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


@apart
def answer(world: Any, job: int, now_ns: int) -> None:
    """Send a call that waited away, with a slot of its own."""
    nodes, cells, rules, counts = world[0], world[5], world[7][0], world[8]
    cell_idx = nodes[job]["cell"]
    cell = cells[cell_idx]
    while cell["n_invited"] and is_overdue(nodes[cell["slot_head"]], now_ns):
        drop_slot(world, cell_idx)
    delay_ns = invite_ns(cell, now_ns, allowance(cell, rules, now_ns))
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
    places = allowance(cell, rules, now_ns)
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


@apart
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
    places = allowance(cell, rules, now_ns)
    while cell["n_waiting"]:
        wait_ns = expected_wait_ns(cell, places)
        if not is_surplus(wait_ns, patience_ns):
            break
        rank = last_in(heads, cell_idx)
        is_newest = is_newest_first(cell, wait_ns, patience_ns)
        job = heads[cell_idx, rank] if is_newest else tails[cell_idx, rank]
        leave_line(world, job)
        answer(world, job, now_ns)
