"""Fan-out: how many calls of one intent are alive at once, and which tree explodes.

*Rule of this file*: trees of the whole process, not of one upstream; what is
known of a tree comes from its key and from who claims whom as a parent.

*Theory*: a tree is the calls of one intent. Counts cannot tell an explosion
from work: 33 calls one after another within a second are ordinary, 20 a second
are an explosion if each takes 6 s. **Live calls at once** can (Little: they
are rate times sojourn), and they stay at the depth of a sequential tree even
when everything slows down.

    live    : +1 arrival, -1 end or leave, whichever comes first
    explosion: live >= 12; over when live <= 5; within 10 s of its end it is the same one
    doubling: time from live = 2^(j-1) to live = 2^j, j the highest reached in this
              burst, or the time since, if that is longer
    agents  : flows whose latest call of the last 30-40 s was in the tree; exact
    branching: child agents / parent agents, depth: parent's + 1, where headers tell

*Places are used again*: a tree's or flow's index belongs to another once it
was idle for a minute with nothing open. A tree without live calls that comes
back after 59 s (a second less than that minute, for the two clocks may differ)
therefore starts a new life with empty counts.

*Regime*: tree 0, the overflow entry, is no tree. A name that a whole fleet
shares is one tree for all that the wire tells. An agent is in one tree at a
time: where its latest call was.
*Cost*: O(1) an arrival, an end and a leave; 128 bytes a tree, 24 a flow.
*Source*: the project's detection study, section 6 (recorded trees: at most 5
live; 1 -> 20 -> 100: 55 to 72, children 3 s apart 16 to 20).
*Considered and rejected*: calls in 1 s or 10 s (overlap, see above). Live >= 8
with a quarter of the upstream's calls: 9 ms earlier, but agents that run ten
children by design exist, and alone in a process every tree has the share. A
sketch of distinct agents: inexact, and its hash makes readings depend on how
flows are numbered; each flow's own last place gives the exact count for less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from signals.kernel import part
from signals.state import Records

EXPLOSION_LIVE = 12
"""2.4 times the most that any recorded tree ever had alive (5)."""

WATCH_LIVE = 6
"""More than recorded trees have: worth following by name. An explosion is over below this."""

REOPEN_NS = 10_000_000_000
"""A tree that comes back so soon after its explosion has not had two."""

LIFE_NS = 59_000_000_000
"""Identity places may be given away after 60 s without an arrival."""

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

DEPTH_MAX = 64
"""Claimed parents may form a circle."""

NEVER_S = 3_600.0
"""Doubling time of what does not grow."""

TREE_DTYPE = np.dtype(
    [
        ("last_ns", np.int64),  # latest arrival
        ("first_child_ns", np.int64),  # live rose from 1 to 2
        ("level_ns", np.int64),  # live reached `level`, a power of two
        ("level_took_ns", np.int64),  # from half of it
        ("n_calls", np.int64),
        ("peak_era", np.int64),
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
        ("peaks", np.int32, (N_PEAK_ERAS,)),
        ("agents", np.int32, (N_AGENT_ERAS,)),
    ],
    align=True,
)

AGENT_DTYPE = np.dtype(
    [
        ("tree", np.int32),
        ("life", np.int32),
        ("era", np.int32),
        ("parent", np.int32),
        ("depth", np.int32),
        ("has_children", np.int32),
    ],
    align=True,
)
"""A flow's place: the tree of its latest call, and whose child it is there."""

FANOUT_DTYPE = np.dtype(
    [
        ("n_calls", np.int64),
        ("n_live_trees", np.int64),
        ("largest", np.int64),  # live calls of the largest tree, up to LIVE_CAP
        ("at_live", np.int64, (LIVE_CAP + 1,)),
        ("peak_era", np.int64),
        ("peaks", np.int64, (N_PEAK_ERAS,)),
        ("watched", np.int64, (N_WATCHED,)),
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

READINGS = (
    ("fanout_live", "calls"),
    ("fanout_peak", "calls"),
    ("fanout_tree", "index"),
    ("fanout_trees", "trees"),
    ("fanout_exploding", "trees"),
    ("fanout_explosions", "count"),
    ("fanout_doubling", "seconds"),
    ("fanout_growing_tree", "index"),
    ("fanout_agents", "agents"),
    ("fanout_branching", "ratio"),
    ("fanout_depth", "levels"),
)
"""Largest tree now, its peak in 10 s, its index; trees alive; explosions now and in all; doubling
time of the fastest growing watched tree, its index, agents, branching ratio and depth."""

FANOUT_LIVE = 0
FANOUT_EXPLODING = 4


def make_fanout() -> Records:
    """Allocate what is known of all trees together."""
    return np.zeros(1, FANOUT_DTYPE)


def make_trees(n_trees: int) -> Records:
    """Allocate the table of trees; entry 0 is no tree."""
    if n_trees < 1:
        raise ValueError(f"n_trees is {n_trees}: must be at least 1 (entry 0 is the overflow)")
    return np.zeros(n_trees, TREE_DTYPE)


def make_agents(n_flows: int) -> Records:
    """Allocate the flows' places; entry 0 is nobody."""
    return np.zeros(max(n_flows, 1), AGENT_DTYPE)


# -- windows of eras -------------------------------------------------------------


@part
def note_peak(record: Records, era: int, live: int, before: int) -> None:
    """Raise the era's peak to ``live``; eras without events had ``before`` throughout."""
    last = record["peak_era"]
    if era > last:
        for past in range(max(last + 1, era - N_PEAK_ERAS + 1), era + 1):
            record["peaks"][past % N_PEAK_ERAS] = before
        record["peak_era"] = era
    record["peaks"][era % N_PEAK_ERAS] = max(record["peaks"][era % N_PEAK_ERAS], live)


@part
def read_peak(record: Records, era: int, live: int) -> int:
    """Return the highest value of the current era and those before; ``live`` is the value now."""
    highest = live
    last = record["peak_era"]
    for past in range(max(era - N_PEAK_ERAS, last - N_PEAK_ERAS) + 1, last + 1):
        highest = max(highest, record["peaks"][past % N_PEAK_ERAS])
    return int(highest)


@part
def count_agents(trees: Records, tree: int, era: int) -> int:
    """Return how many agents' latest call was in the tree, over the last eras."""
    t = trees[tree]
    last = t["agent_era"]
    n = 0
    for past in range(max(era, last) - N_AGENT_ERAS + 1, last + 1):
        n += t["agents"][past % N_AGENT_ERAS]
    return n


@part
def seat_agent(trees: Records, agents: Records, tree: int, flow: int, era: int) -> None:
    """Move a flow to the current era of a tree, from wherever it was counted before."""
    t = trees[tree]
    last = t["agent_era"]
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
    """Move one tree from ``old`` to ``new`` live calls (one more or less)."""
    f = fanout[0]
    if old > 0:
        f["at_live"][min(old, LIVE_CAP)] -= 1
    if new > 0:
        f["at_live"][min(new, LIVE_CAP)] += 1
    if old == 0:
        f["n_live_trees"] += 1
    if new == 0:
        f["n_live_trees"] -= 1
    if new > old:
        f["largest"] = max(f["largest"], min(new, LIVE_CAP))
    elif f["at_live"][f["largest"]] == 0 and f["largest"] > 0:
        f["largest"] -= 1  # the tree that was largest is one smaller now


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
def is_kept(fanout: Records, serial: int) -> bool:
    """Tell whether the ring still holds this explosion."""
    return bool(serial > 0 and fanout[0]["n_explosions"] - serial < N_EXPLOSIONS)


@part
def note_explosion(fanout: Records, trees: Records, t_ns: int, tree: int, upstream: int) -> None:
    """Open, open again, or raise the explosion of a tree that has many calls alive."""
    f = fanout[0]
    t = trees[tree]
    is_known = is_kept(fanout, t["explosion"])
    idx = (t["explosion"] - 1) % N_EXPLOSIONS
    if t["is_exploding"] == 0:
        t["is_exploding"] = 1
        f["n_exploding"] += 1
        if is_known and t_ns - f["ended_ns"][idx] <= REOPEN_NS:
            f["ended_ns"][idx] = 0
        else:
            idx = f["n_explosions"] % N_EXPLOSIONS
            f["n_explosions"] += 1
            t["explosion"] = f["n_explosions"]
            f["tree"][idx] = tree
            f["upstream"][idx] = upstream
            f["first_child_ns"][idx] = t["first_child_ns"]
            f["since_ns"][idx] = t_ns
            f["ended_ns"][idx] = 0
            f["peak"][idx] = 0
            f["doubling_ns"][idx] = t["level_took_ns"]
            is_known = True
    if is_known:
        f["peak"][idx] = max(f["peak"][idx], t["live"])


# -- events ----------------------------------------------------------------------


@part
def join_tree(
    fanout: Records,
    trees: Records,
    agents: Records,
    t_ns: int,
    tree: int,
    flow: int,
    upstream: int,
) -> None:
    """Count one arrival in its tree."""
    if tree <= 0 or tree >= len(trees):
        return
    f = fanout[0]
    t = trees[tree]
    before = t["live"]
    if before == 0 and t_ns - t["last_ns"] >= LIFE_NS:
        t["life"] += 1
        t["n_calls"] = 0
        t["n_parents"] = 0
        t["n_children"] = 0
        t["depth"] = 0
        t["explosion"] = 0
        t["agents"][:] = 0
        t["peaks"][:] = 0
    t["last_ns"] = t_ns
    t["n_calls"] += 1
    f["n_calls"] += 1
    live = before + 1
    t["live"] = live
    largest = f["largest"]
    resize(fanout, before, live)
    peak_era = t_ns // PEAK_ERA_NS
    note_peak(t, peak_era, live, before)
    note_peak(f, peak_era, live, largest)
    if live == 2:
        t["first_child_ns"] = t_ns
    if live == 1:
        t["level"] = 1
        t["level_ns"] = t_ns
    elif live >= 2 * t["level"]:
        t["level"] = 2 * t["level"]
        t["level_took_ns"] = t_ns - t["level_ns"]
        t["level_ns"] = t_ns
    if 0 < flow < len(agents):
        seat_agent(trees, agents, tree, flow, t_ns // AGENT_ERA_NS)
    if live >= WATCH_LIVE and t["watched"] == 0:
        watch(fanout, trees, tree)
    if live >= EXPLOSION_LIVE or t["is_exploding"] != 0:
        note_explosion(fanout, trees, t_ns, tree, upstream)


@part
def part_from_tree(fanout: Records, trees: Records, t_ns: int, tree: int) -> None:
    """Count the end of one call, or the leaving of its caller: whichever came first."""
    if tree <= 0 or tree >= len(trees) or trees[tree]["live"] <= 0:
        return
    f = fanout[0]
    t = trees[tree]
    before = t["live"]
    live = before - 1
    t["live"] = live
    largest = f["largest"]
    resize(fanout, before, live)
    peak_era = t_ns // PEAK_ERA_NS
    note_peak(t, peak_era, before, before)
    note_peak(f, peak_era, largest, largest)
    if 4 * live <= t["level"] and t["level"] > 1:
        t["level"] = max(t["level"] // 4, 1)
        t["level_ns"] = t_ns
    if live < WATCH_LIVE:
        if t["watched"] > 0:
            f["watched"][t["watched"] - 1] = 0
            t["watched"] = 0
        if t["is_exploding"] != 0:
            t["is_exploding"] = 0
            f["n_exploding"] -= 1
            if is_kept(fanout, t["explosion"]):
                f["ended_ns"][(t["explosion"] - 1) % N_EXPLOSIONS] = t_ns


@part
def link_parent(trees: Records, agents: Records, tree: int, flow: int, parent: int) -> None:
    """Note which flow made this one. Call after the arrival was counted in its tree."""
    is_known = 0 < flow < len(agents) and 0 < parent < len(agents) and parent != flow
    if not is_known or tree <= 0 or tree >= len(trees) or agents[flow]["tree"] != tree:
        return
    t = trees[tree]
    child = agents[flow]
    above = agents[parent]
    is_here = above["tree"] == tree and above["life"] == t["life"]
    child["depth"] = min(above["depth"] + 1 if is_here else 1, DEPTH_MAX)
    t["depth"] = max(t["depth"], child["depth"])
    if child["parent"] == 0:
        t["n_children"] += 1
    if child["parent"] != parent:
        child["parent"] = parent
        if is_here and above["has_children"] == 0:
            above["has_children"] = 1
            t["n_parents"] += 1


# -- readings --------------------------------------------------------------------


@part
def compute_doubling_s(trees: Records, tree: int, t_ns: int) -> float:
    """Return the time of a tree's latest doubling, or since it, if that is longer."""
    t = trees[tree]
    took_ns = max(t["level_took_ns"], t_ns - t["level_ns"])
    return min(took_ns * 1e-9, NEVER_S)


@part
def summarise_fanout(
    fanout: Records, trees: Records, t_ns: int, out: Records
) -> None:
    """Write value, samples and readiness of every reading."""
    f = fanout[0]
    largest = 0
    largest_live = 0
    growing = 0
    doubling_s = NEVER_S
    for idx in range(N_WATCHED):
        tree = f["watched"][idx]
        if tree > 0:
            live = trees[tree]["live"]
            if live > largest_live:
                largest = tree
                largest_live = live
            took_s = compute_doubling_s(trees, tree, t_ns)
            if took_s < doubling_s:
                growing = tree
                doubling_s = took_s
    live = max(f["largest"], largest_live)
    g = trees[growing]
    is_growing = growing > 0
    n_agents = count_agents(trees, growing, t_ns // AGENT_ERA_NS) if is_growing else 0
    n_children = g["n_children"] if is_growing else 0
    has_parents = n_children > 0
    for idx in range(len(out)):
        out[idx, 1] = f["n_calls"]
        out[idx, 2] = 1.0 if f["n_calls"] > 0 else 0.0
    out[0, 0] = live
    out[1, 0] = read_peak(f, t_ns // PEAK_ERA_NS, live)
    out[2, 0] = largest
    out[3, 0] = f["n_live_trees"]
    out[4, 0] = f["n_exploding"]
    out[5, 0] = f["n_explosions"]
    out[6, 0] = doubling_s
    out[7, 0] = growing
    out[8, 0] = n_agents
    out[9, 0] = n_children / max(g["n_parents"], 1) if has_parents else 0.0
    out[10, 0] = g["depth"] if has_parents else 0
    for idx in range(6, 11):
        out[idx, 1] = g["n_calls"] if is_growing else 0
        out[idx, 2] = 1.0 if is_growing else 0.0
    out[9, 1] = out[10, 1] = n_children
    out[9, 2] = out[10, 2] = 1.0 if has_parents else 0.0


class Explosion(NamedTuple):
    """One tree's explosion, as people are told of it; ages in seconds."""

    tree: int
    upstream: int
    """Where the call went that made it one."""
    age_s: float
    grew_s: float
    """From the tree's second live call to the threshold."""
    doubling_s: float
    peak: int
    ended_s: float
    """How long ago; -1 while it goes on."""


def list_explosions(fanout: Records, now_ns: int) -> tuple[Explosion, ...]:
    """Return the explosions remembered, the latest first; ``now_ns`` is inner time."""
    f = fanout[0]
    n = int(f["n_explosions"])
    found = []
    for serial in range(n, max(n - N_EXPLOSIONS, 0), -1):
        idx = (serial - 1) % N_EXPLOSIONS
        since_ns, ended_ns = int(f["since_ns"][idx]), int(f["ended_ns"][idx])
        found.append(
            Explosion(
                int(f["tree"][idx]),
                int(f["upstream"][idx]),
                (now_ns - since_ns) * 1e-9,
                (since_ns - int(f["first_child_ns"][idx])) * 1e-9,
                int(f["doubling_ns"][idx]) * 1e-9,
                int(f["peak"][idx]),
                (now_ns - ended_ns) * 1e-9 if ended_ns else -1.0,
            )
        )
    return tuple(found)
