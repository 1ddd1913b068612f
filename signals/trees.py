"""Memory of trees and of who is in them; windows of eras, sizes, the watch list.

*Rule of this file*: bookkeeping. What it means is :mod:`signals.fanout`'s.

*Theory*: an era is a stretch of fixed length; a window is the current era and a
few before it, so it needs one number an era. The largest tree is known without
a search: ``at_live`` counts trees by their live calls, and a tree grows or
shrinks by one call at a time, so the largest size does too. The watch list
holds the indices of the few trees that are worth a name.

Distinct agents are exact: a flow is counted in the era of its latest call, in
the tree of its latest call, and moves with it. So a flow is in one tree at a
time, and nothing depends on how flows are numbered.

*Cost*: O(1) an event, O(16) where a tree is about to be watched; 104 bytes a
tree, 24 a flow, touched as they appear.
*Considered and rejected*: a hashed sketch of agents a tree: inexact, changes
with the numbering of flows, and needs three times the memory.
"""

from __future__ import annotations

import numpy as np

from signals.kernel import part
from signals.pages import make_table
from signals.state import Records

AGENT_ERA_NS = 10_000_000_000
N_AGENT_ERAS = 4
"""Agents are counted over the current 10 s and the three before: 30 to 40 s."""

PEAK_ERA_NS = 5_000_000_000
N_PEAK_ERAS = 3
"""The peak is over the current 5 s and the two before: 10 to 15 s."""

LIVE_CAP = 1_024
"""Trees are counted by their live calls up to here; larger ones share the last place."""

N_WATCHED = 16
"""Trees followed by name at once: the largest."""

N_EXPLOSIONS = 32
"""Explosions remembered for the state page."""

TREE_DTYPE = np.dtype(
    [
        ("last_ns", np.int64),  # latest arrival
        ("first_child_ns", np.int64),  # live rose from 1 to 2
        ("level_ns", np.int64),  # live reached `level`, a power of two
        ("level_took_ns", np.int64),  # from half of it
        ("n_calls", np.int64),
        ("agent_era", np.int64),
        ("live", np.int32),
        ("level", np.int32),
        ("life", np.int32),
        ("watched", np.int32),  # place in the watch list + 1
        ("explosion", np.int32),  # serial number of the latest, from 1
        ("is_exploding", np.int32),
        ("n_parents", np.int32),
        ("n_children", np.int32),
        ("depth", np.int32),
        ("agents", np.int32, (N_AGENT_ERAS,)),
    ],
    align=True,
)
"""One tree. Index 0 is the shared overflow entry, which is no tree."""

AGENT_DTYPE = np.dtype(
    [
        ("tree", np.int32),
        ("life", np.int32),
        ("era", np.int32),
        ("parent", np.int32),
        ("depth", np.int32),
        ("has_children", np.int32),
        ("generation", np.int32),
    ],
    align=True,
)
"""A flow's place: the tree of its latest call, and whose child it is there; and how often
its number was handed to another caller (rows.py)."""

FANOUT_DTYPE = np.dtype(
    [
        ("n_calls", np.int64),
        ("n_live_trees", np.int64),
        ("largest", np.int64),  # live calls of the largest tree, up to LIVE_CAP
        ("at_live", np.int64, (LIVE_CAP + 1,)),
        ("peak_era", np.int64),
        ("peaks", np.int64, (N_PEAK_ERAS,)),
        ("watched", np.int64, (N_WATCHED,)),
        # explosions: a ring by serial number
        ("n_exploding", np.int64),
        ("n_explosions", np.int64),
        ("tree", np.int64, (N_EXPLOSIONS,)),
        ("upstream", np.int64, (N_EXPLOSIONS,)),
        ("first_child_ns", np.int64, (N_EXPLOSIONS,)),
        ("since_ns", np.int64, (N_EXPLOSIONS,)),
        ("ended_ns", np.int64, (N_EXPLOSIONS,)),  # 0: not yet
        ("peak", np.int64, (N_EXPLOSIONS,)),
        ("doubling_ns", np.int64, (N_EXPLOSIONS,)),
    ],
    align=True,
)
"""What is known of all trees of the process together; 10 KB."""


def make_fanout() -> Records:
    """Allocate what is known of all trees together."""
    return np.zeros(1, FANOUT_DTYPE)


def make_trees(n_trees: int) -> Records:
    """Allocate the table of trees; pages are touched only as trees appear."""
    if n_trees < 1:
        raise ValueError(f"n_trees is {n_trees}: must be at least 1 (entry 0 is the overflow)")
    return make_table(n_trees, TREE_DTYPE)


def make_agents(n_flows: int) -> Records:
    """Allocate the flows' places; entry 0 is nobody."""
    if n_flows < 1:
        raise ValueError(f"n_flows is {n_flows}: must be at least 1 (entry 0 is the overflow)")
    return make_table(n_flows, AGENT_DTYPE)


# -- windows of eras -------------------------------------------------------------


@part
def note_peak(fanout: Records, era: int, live: int, before: int) -> None:
    """Raise the era's peak of the largest tree to ``live``; it was ``before`` since the last."""
    f = fanout[0]
    last = int(f["peak_era"])
    if era > last:
        for past in range(max(last + 1, era - N_PEAK_ERAS + 1), era + 1):
            f["peaks"][past % N_PEAK_ERAS] = before
        f["peak_era"] = era
    place = era % N_PEAK_ERAS
    f["peaks"][place] = max(f["peaks"][place], live)


@part
def read_peak(fanout: Records, era: int, live: int) -> int:
    """Return the highest value over the window; ``live`` is the value since the last event."""
    f = fanout[0]
    highest = live
    last = int(f["peak_era"])
    for past in range(max(era, last) - N_PEAK_ERAS + 1, last + 1):
        highest = max(highest, f["peaks"][past % N_PEAK_ERAS])
    return int(highest)


@part
def count_agents(trees: Records, tree: int, era: int) -> int:
    """Return how many agents' latest call, over the window, was in the tree."""
    t = trees[tree]
    last = int(t["agent_era"])
    n = 0
    for past in range(max(era, last) - N_AGENT_ERAS + 1, last + 1):
        n += t["agents"][past % N_AGENT_ERAS]
    return n


@part
def seat_agent(trees: Records, agents: Records, tree: int, flow: int, era: int) -> None:
    """Move a flow to the current era of a tree, from wherever it was counted before."""
    t = trees[tree]
    last = int(t["agent_era"])
    if era > last:
        for past in range(max(last + 1, era - N_AGENT_ERAS + 1), era + 1):
            t["agents"][past % N_AGENT_ERAS] = 0
        t["agent_era"] = era
    a = agents[flow]
    old = a["tree"]
    is_here = old == tree and a["life"] == t["life"]
    if is_here and a["era"] == era:
        return
    if old > 0:
        o = trees[old]
        if o["life"] == a["life"] and o["agent_era"] - a["era"] < N_AGENT_ERAS:
            o["agents"][a["era"] % N_AGENT_ERAS] -= 1
    t["agents"][era % N_AGENT_ERAS] += 1
    a["era"] = era
    if not is_here:
        a["tree"] = tree
        a["life"] = t["life"]
        a["parent"] = 0
        a["depth"] = 0
        a["has_children"] = 0


# -- sizes -----------------------------------------------------------------------


@part
def resize(fanout: Records, old: int, new: int) -> None:
    """Move one tree from ``old`` to ``new`` live calls, one more or one less."""
    f = fanout[0]
    if old > 0:
        f["at_live"][min(old, LIVE_CAP)] -= 1
    else:
        f["n_live_trees"] += 1
    if new > 0:
        f["at_live"][min(new, LIVE_CAP)] += 1
    else:
        f["n_live_trees"] -= 1
    if new > old:
        f["largest"] = max(f["largest"], min(new, LIVE_CAP))
    elif f["at_live"][f["largest"]] == 0:
        f["largest"] -= 1  # the tree that was largest is one call smaller now


@part
def watch(fanout: Records, trees: Records, tree: int) -> None:
    """Follow a tree by name, in the place of the smallest followed if all are taken."""
    f = fanout[0]
    chosen = -1
    smallest = trees[tree]["live"]
    for idx in range(N_WATCHED):
        other = f["watched"][idx]
        live = trees[other]["live"] if other > 0 else 0
        if live < smallest:
            smallest = live
            chosen = idx
    if chosen >= 0:
        displaced = f["watched"][chosen]
        if displaced > 0:
            trees[displaced]["watched"] = 0
        f["watched"][chosen] = tree
        trees[tree]["watched"] = chosen + 1


@part
def unwatch(fanout: Records, trees: Records, tree: int) -> None:
    """Follow a tree no longer."""
    place = trees[tree]["watched"]
    if place > 0:
        fanout[0]["watched"][place - 1] = 0
        trees[tree]["watched"] = 0
