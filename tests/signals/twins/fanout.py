"""Slow, obvious twin of the fan-out detector: everything is kept, every reading is taken afresh."""

from __future__ import annotations

from dataclasses import dataclass, field

from signals.fanout import DEPTH_MAX, EXPLOSION_LIVE, LIFE_NS, NEVER_NS, REOPEN_NS, WATCH_LIVE
from signals.trees import AGENT_ERA_NS, N_AGENT_ERAS, N_PEAK_ERAS, PEAK_ERA_NS


@dataclass
class Blast:
    """One explosion."""

    tree: int
    first_child_ns: int
    since_ns: int
    peak: int = 0
    ended_ns: int | None = None


@dataclass
class Tree:
    """One tree in its present life."""

    live: int = 0
    n_calls: int = 0
    last_ns: int = 0
    first_child_ns: int = 0
    level: int = 1
    level_ns: int = 0
    took_ns: int = NEVER_NS
    parent_of: dict[int, int] = field(default_factory=dict)
    depth_of: dict[int, int] = field(default_factory=dict)
    deepest: int = 0
    n_children: int = 0
    n_parents: int = 0
    has_children: set[int] = field(default_factory=set)
    blast: Blast | None = None
    is_exploding: bool = False


class Fanout:
    """The trees of one process."""

    def __init__(self) -> None:
        self.trees: dict[int, Tree] = {}
        self.place: dict[int, tuple[int, int]] = {}
        self.largest_since: list[tuple[int, int]] = []
        self.blasts: list[Blast] = []
        self.n_calls = 0

    def join(self, t_ns: int, tree: int, flow: int) -> None:
        """Count an arrival."""
        if tree == 0:
            return
        old = self.trees.get(tree)
        if old is None or (old.live == 0 and t_ns - old.last_ns >= LIFE_NS):
            self.trees[tree] = Tree()
            for other in [f for f, (at, _) in self.place.items() if at == tree]:
                del self.place[other]
        t = self.trees[tree]
        t.live += 1
        t.n_calls += 1
        t.last_ns = t_ns
        self.n_calls += 1
        if t.live == 1:
            t.level, t.level_ns, t.took_ns = 1, t_ns, NEVER_NS
        if t.live == 2:
            t.first_child_ns = t_ns
        if t.live == 2 * t.level:
            t.level, t.took_ns, t.level_ns = t.live, t_ns - t.level_ns, t_ns
        if flow:
            was_at, _ = self.place.get(flow, (0, 0))
            if was_at != tree:
                for of in self.trees.values():
                    of.parent_of.pop(flow, None)
                    of.depth_of.pop(flow, None)
                    of.has_children.discard(flow)
            self.place[flow] = (tree, t_ns)
        if t.live >= EXPLOSION_LIVE and not t.is_exploding:
            t.is_exploding = True
            last = t.blast
            if last and last.ended_ns is not None and t_ns - last.ended_ns <= REOPEN_NS:
                last.ended_ns = None
            else:
                t.blast = Blast(tree, t.first_child_ns, t_ns)
                self.blasts.append(t.blast)
        if t.is_exploding and t.blast:
            t.blast.peak = max(t.blast.peak, t.live)
        self._note_largest(t_ns)

    def part(self, t_ns: int, tree: int) -> None:
        """Count an end or a leave."""
        if tree == 0:
            return
        t = self.trees[tree]
        t.live -= 1
        if 4 * t.live < t.level:
            t.level, t.level_ns, t.took_ns = t.level // 2, t_ns, NEVER_NS
        if t.is_exploding and t.live < WATCH_LIVE and t.blast:
            t.is_exploding = False
            t.blast.ended_ns = t_ns
        self._note_largest(t_ns)

    def link(self, tree: int, flow: int, parent: int) -> None:
        """Take note of a parent."""
        t = self.trees.get(tree)
        is_seated = self.place.get(flow, (0, 0))[0] == tree
        if t is None or not flow or not parent or flow == parent or not is_seated:
            return
        if t.parent_of.get(flow) == parent:
            return
        t.n_children += flow not in t.parent_of
        t.parent_of[flow] = parent
        is_here = self.place.get(parent, (0, 0))[0] == tree
        depth = min(t.depth_of.get(parent, 0) + 1, DEPTH_MAX) if is_here else 1
        t.depth_of[flow] = depth
        t.deepest = max(t.deepest, depth)
        if is_here and parent not in t.has_children:
            t.has_children.add(parent)
            t.n_parents += 1

    def _note_largest(self, t_ns: int) -> None:
        self.largest_since.append((t_ns, max(t.live for t in self.trees.values())))

    def read(self, t_ns: int) -> dict[str, float]:
        """Return every reading by name."""
        live = self.largest_since[-1][1] if self.largest_since else 0
        start_ns = (t_ns // PEAK_ERA_NS - N_PEAK_ERAS + 1) * PEAK_ERA_NS
        peak = live
        for idx, (at_ns, value) in enumerate(self.largest_since):
            until = self.largest_since[idx + 1][0] if idx + 1 < len(self.largest_since) else t_ns
            if at_ns >= start_ns or until >= start_ns:
                peak = max(peak, value)
        watched = {k: t for k, t in self.trees.items() if t.live >= WATCH_LIVE}
        growing, doubling_ns = 0, NEVER_NS
        for k, t in watched.items():
            took_ns = max(t.took_ns, t_ns - t.level_ns)
            if took_ns < doubling_ns:
                growing, doubling_ns = k, took_ns
        g = self.trees.get(growing, Tree())
        oldest = t_ns // AGENT_ERA_NS - N_AGENT_ERAS + 1
        seen = [f for f, (k, at) in self.place.items() if k == growing]
        n_agents = sum(self.place[f][1] // AGENT_ERA_NS >= oldest for f in seen)
        return {
            "fanout_live": live,
            "fanout_peak": peak,
            "fanout_trees": sum(t.live > 0 for t in self.trees.values()),
            "fanout_exploding": sum(t.is_exploding for t in self.trees.values()),
            "fanout_explosions": len(self.blasts),
            "fanout_doubling": doubling_ns * 1e-9,
            "fanout_growing_tree": growing,
            "fanout_agents": n_agents if growing else 0,
            "fanout_branching": g.n_children / max(g.n_parents, 1),
            "fanout_depth": g.deepest,
        }
