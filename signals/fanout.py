"""Fan-out: how many calls of one intent are alive at once, and which tree explodes.

*Rule of this file*: what happens to trees, of the whole process rather than of
one upstream. Their memory is in :mod:`signals.trees`.

*Theory*: a tree is the calls of one intent. Counts cannot tell an explosion
from work: 33 calls one after another within a second are ordinary, 20 a second
are an explosion if each takes 6 s. **Live calls at once** can (Little: they
are rate times sojourn), and they stay at the depth of a sequential tree even
when everything slows down.

- live: one more with an arrival, one less with an end or a leave, whichever
  comes first (a caller that gives up and asks again has one call, not two);
- explosion: live >= 12. It is over at live < 6, and within 10 s it is still
  the same one;
- doubling time: from live = 2^(j-1) to 2^j, j the highest reached in this
  burst, or the time since then if that is longer. Below a quarter of that
  level the tree has shrunk, and the next doubling is timed from there;
- agents: flows whose latest call of the last 30-40 s was in the tree;
- branching: child agents over parent agents; depth: the parent's plus one;
  where headers tell.

*Places are used again*: an index belongs to another tree or flow once nothing
was open and nothing arrived for a minute. A tree without live calls to which
nothing came for 59 s (a second less, for two clocks are at work) therefore
begins a new life, with empty counts.

*Regime*: a name that a whole fleet shares is one tree for all that the wire
tells. Entry 0 is no tree. Trees that are made anew for every request have one
live call and say nothing.
*Cost*: O(1) an event.
*Source*: the project's detection study, section 6: at most 5 live in any
recorded tree; 1 -> 20 -> 100 calls: 55 to 72, with children 3 s apart 16 to 20.
*Considered and rejected*: calls in 1 s or in 10 s (their ranges overlap, see
above). Live >= 8 where that is a quarter of the upstream's calls: 9 ms earlier,
but agents that run ten children by design exist, and of a quiet upstream's
calls every tree has a quarter.
"""

from __future__ import annotations

from typing import NamedTuple

from signals.kernel import part
from signals.state import Records, put
from signals.trees import (
    AGENT_ERA_NS,
    N_EXPLOSIONS,
    N_WATCHED,
    PEAK_ERA_NS,
    count_agents,
    note_peak,
    read_peak,
    resize,
    seat_agent,
    unwatch,
    watch,
)

EXPLOSION_LIVE = 12
"""2.4 times the most that any recorded tree ever had alive (5)."""

WATCH_LIVE = 6
"""More than recorded trees have: worth following by name. An explosion is over below this."""

REOPEN_NS = 10_000_000_000
"""A tree that is back so soon has not exploded twice."""

LIFE_NS = 59_000_000_000
"""Identity places may be given away after 60 s without an arrival."""

DEPTH_MAX = 64
"""Claimed parents may form a circle."""

NEVER_NS = 3_600_000_000_000
"""Doubling time of what does not grow."""

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
"""Live calls of the largest tree, their peak in 10 s, its index (0 below ``WATCH_LIVE``); trees
alive; explosions now and in all; of the watched tree that grows fastest its doubling time, index,
agents, branching ratio and depth."""


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
    t["last_ns"] = t_ns
    t["n_calls"] += 1
    f["n_calls"] += 1
    live = before + 1
    largest = f["largest"]
    t["live"] = live
    resize(fanout, before, live)
    note_peak(fanout, t_ns // PEAK_ERA_NS, live, largest)
    time_growth(trees, t_ns, tree)
    if 0 < flow < len(agents):
        seat_agent(trees, agents, tree, flow, t_ns // AGENT_ERA_NS)
    if live >= WATCH_LIVE:
        if t["watched"] == 0:
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
    largest = f["largest"]
    note_peak(fanout, t_ns // PEAK_ERA_NS, largest, largest)
    t["live"] = live
    resize(fanout, before, live)
    if 4 * live < t["level"]:
        t["level"] //= 2
        t["level_ns"] = t_ns
        t["level_took_ns"] = NEVER_NS
    if live < WATCH_LIVE:
        unwatch(fanout, trees, tree)
        if t["is_exploding"] != 0:
            end_explosion(fanout, trees, t_ns, tree)


@part
def time_growth(trees: Records, t_ns: int, tree: int) -> None:
    """Note the instant if the tree's live calls have doubled, or it has got its first child."""
    t = trees[tree]
    live = t["live"]
    if live == 1:
        t["level"] = 1
        t["level_ns"] = t_ns
        t["level_took_ns"] = NEVER_NS
    elif live >= 2 * t["level"]:
        t["level"] *= 2
        t["level_took_ns"] = t_ns - t["level_ns"]
        t["level_ns"] = t_ns
    if live == 2:
        t["first_child_ns"] = t_ns


@part
def link_parent(trees: Records, agents: Records, tree: int, flow: int, parent: int) -> None:
    """Note which flow made this one; to be called once its arrival was counted."""
    n_agents = len(agents)
    if not (0 < tree < len(trees) and 0 < flow < n_agents and 0 < parent < n_agents):
        return
    t = trees[tree]
    child = agents[flow]
    above = agents[parent]
    is_seated = child["tree"] == tree and child["life"] == t["life"]
    if parent == flow or not is_seated or child["parent"] == parent:
        return
    is_here = above["tree"] == tree and above["life"] == t["life"]
    if child["parent"] == 0:
        t["n_children"] += 1
    child["parent"] = parent
    child["depth"] = min(above["depth"] + 1, DEPTH_MAX) if is_here else 1
    t["depth"] = max(t["depth"], child["depth"])
    if is_here and above["has_children"] == 0:
        above["has_children"] = 1
        t["n_parents"] += 1


# -- explosions ------------------------------------------------------------------


@part
def is_kept(fanout: Records, serial: int) -> bool:
    """Tell whether the ring still holds this explosion."""
    return bool(serial > 0 and fanout[0]["n_explosions"] - serial < N_EXPLOSIONS)


@part
def note_explosion(fanout: Records, trees: Records, t_ns: int, tree: int, upstream: int) -> None:
    """Begin, take up again, or raise the explosion of a tree that has many calls alive."""
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


@part
def end_explosion(fanout: Records, trees: Records, t_ns: int, tree: int) -> None:
    """Close the explosion of a tree that is small again."""
    f = fanout[0]
    t = trees[tree]
    t["is_exploding"] = 0
    f["n_exploding"] -= 1
    if is_kept(fanout, t["explosion"]):
        f["ended_ns"][(t["explosion"] - 1) % N_EXPLOSIONS] = t_ns


class Explosion(NamedTuple):
    """One tree's explosion as people are told of it; ages in seconds."""

    tree: int
    upstream: int
    """Where the call went that made it one."""
    age_s: float
    grew_s: float
    """From the tree's second live call to the threshold."""
    doubling_s: float
    """The latest doubling before the threshold."""
    peak: int
    """Most calls alive at once."""
    ended_s: float
    """How long ago it ended; -1 while it goes on."""


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


# -- readings --------------------------------------------------------------------


@part
def compute_doubling_s(trees: Records, tree: int, t_ns: int) -> float:
    """Return how long a tree's latest doubling took, or how long ago it was, if that is longer."""
    t = trees[tree]
    took_ns = int(max(t["level_took_ns"], t_ns - t["level_ns"]))
    return min(took_ns, NEVER_NS) * 1e-9


@part
def summarise_fanout(fanout: Records, trees: Records, t_ns: int, out: Records) -> None:
    """Write every reading."""
    f = fanout[0]
    largest = 0
    live = f["largest"]
    growing = 0
    doubling_s = NEVER_NS * 1e-9
    for idx in range(N_WATCHED):
        tree = f["watched"][idx]
        if tree > 0:
            if trees[tree]["live"] >= live:
                if largest == 0 or trees[tree]["live"] > live:
                    largest = tree
                live = trees[tree]["live"]
            took_s = compute_doubling_s(trees, tree, t_ns)
            if took_s < doubling_s:
                growing = tree
                doubling_s = took_s
    n = f["n_calls"]
    peak = read_peak(fanout, t_ns // PEAK_ERA_NS, live)
    put(out, 0, live, n, n > 0)
    put(out, 1, peak, n, n > 0)
    put(out, 2, largest, n, largest > 0)
    put(out, 3, f["n_live_trees"], n, n > 0)
    put(out, 4, f["n_exploding"], n, n > 0)
    put(out, 5, f["n_explosions"], n, n > 0)
    g = trees[growing]
    n = g["n_calls"] if growing > 0 else 0
    n_agents = count_agents(trees, growing, t_ns // AGENT_ERA_NS)
    put(out, 6, doubling_s, n, n > 0)
    put(out, 7, growing, n, n > 0)
    put(out, 8, n_agents, n, n > 0)
    n = g["n_children"]
    put(out, 9, n / max(g["n_parents"], 1), n, n > 0)
    put(out, 10, g["depth"], n, n > 0)
