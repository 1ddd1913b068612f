"""Fan-out: what explodes, what does not, and that the kernels do what their slow twin does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import FAILED, Shared, SignalBank
from signals.fanout import (
    DEPTH_MAX,
    EXPLOSION_LIVE,
    LIFE_NS,
    READINGS,
    REOPEN_NS,
    WATCH_LIVE,
    Explosion,
    join_tree,
    link_parent,
    list_explosions,
    part_from_tree,
    summarise_fanout,
)
from signals.state import EPOCH_NS, READING_DTYPE
from signals.trees import (
    AGENT_ERA_NS,
    LIVE_CAP,
    N_EXPLOSIONS,
    N_WATCHED,
    PEAK_ERA_NS,
    make_agents,
    make_fanout,
    make_trees,
)
from tests.signals.twins.fanout import Fanout

MS = 1_000_000
S = 1_000 * MS


class Trees:
    """The detector by itself: no buckets to close, so that minutes may pass in a test."""

    def __init__(self, n_trees: int = 64) -> None:
        self.fanout, self.trees = make_fanout(), make_trees(n_trees)
        self.agents = make_agents(256)
        self.readings = np.zeros(len(READINGS), READING_DTYPE)

    def start(self, at_ns: int, tree: int, n: int = 1, flow: int = 1) -> list[int]:
        """Let ``n`` calls of a tree arrive."""
        for _ in range(n):
            join_tree(self.fanout, self.trees, self.agents, EPOCH_NS + at_ns, tree, flow, 5)
        return [tree] * n

    def end(self, at_ns: int, calls: list[int]) -> None:
        """End calls, or let their callers leave."""
        for tree in calls:
            part_from_tree(self.fanout, self.trees, EPOCH_NS + at_ns, tree)

    def link(self, tree: int, flow: int, parent: int) -> None:
        """Name a flow's parent."""
        link_parent(self.trees, self.agents, tree, flow, parent)

    def explosions(self, at_ns: int) -> tuple[Explosion, ...]:
        """Return the explosions remembered."""
        return list_explosions(self.fanout, EPOCH_NS + at_ns)

    def read(self, at_ns: int) -> dict[str, float]:
        """Return the readings of fan-out as of now."""
        summarise_fanout(self.fanout, self.trees, EPOCH_NS + at_ns, self.readings)
        names = [name for name, _ in READINGS]
        return dict(zip(names, self.readings["value"].tolist(), strict=True))


@pytest.fixture(name="trees")
def _trees() -> Trees:
    return Trees()


def test_twelve_calls_alive_at_once_explode(trees: Trees) -> None:
    """Eleven do not; the explosion is over when fewer than half are left."""
    calls = trees.start(0, 7, EXPLOSION_LIVE - 1)
    assert trees.read(0)["fanout_exploding"] == 0
    calls += trees.start(20 * MS, 7)
    read = trees.read(20 * MS)
    assert (read["fanout_exploding"], read["fanout_explosions"]) == (1, 1)
    assert (read["fanout_live"], read["fanout_tree"]) == (12, 7)
    trees.end(30 * MS, calls[: EXPLOSION_LIVE - WATCH_LIVE])
    assert trees.read(30 * MS)["fanout_exploding"] == 1
    trees.end(40 * MS, calls[6:7])
    read = trees.read(40 * MS)
    assert (read["fanout_exploding"], read["fanout_explosions"]) == (0, 1)
    (only,) = trees.explosions(40 * MS)
    assert (only.tree, only.upstream, only.peak) == (7, 5, 12)
    assert only.age_s == pytest.approx(0.02)
    assert only.grew_s == pytest.approx(0.02)
    assert only.ended_s == pytest.approx(0.0)


def test_a_sequential_tree_never_explodes(trees: Trees) -> None:
    """Hundreds of calls one after another, each answered before the next, are one live call."""
    for step in range(300):
        trees.end(step * 30 * MS + 29 * MS, trees.start(step * 30 * MS, 1))
    read = trees.read(9 * S)
    assert (read["fanout_peak"], read["fanout_explosions"]) == (1, 0)


def test_a_slow_fan_out_explodes_too(trees: Trees) -> None:
    """Children three seconds apart that never end are as many alive."""
    for step in range(EXPLOSION_LIVE):
        trees.start(step * 3 * S, 1)
    read = trees.read(40 * S)
    assert read["fanout_exploding"] == 1
    assert trees.explosions(40 * S)[0].doubling_s == pytest.approx(12.0)  # from 4 to 8 live


def test_who_left_and_came_back_is_one_call() -> None:
    """A leave ends a call for its tree; the end that follows takes nothing more away."""
    bank = SignalBank(16)

    def live(now_ns: int) -> float:
        bank.tick(now_ns)
        return {r.name: r.value for r in bank.read()}["fanout_live"]

    calls = [bank.observe_arrival(0, 1, 1, 1, k) for k in range(3)]
    for call in calls:
        bank.observe_leave(MS, call)
        bank.observe_leave(MS, call)
    assert live(MS) == 0
    again = [bank.observe_arrival(2 * MS, 1, 1, 1, k) for k in range(3)]
    for call in calls:
        bank.observe_end(3 * MS, call, FAILED)
        bank.observe_end(3 * MS, call, FAILED)
    assert live(3 * MS) == 3
    for call in again:
        bank.observe_end(4 * MS, call)
    assert live(4 * MS) == 0


@pytest.mark.parametrize("tree", [0, -1, 64, 10**6])
def test_what_is_no_tree_says_nothing(trees: Trees, tree: int) -> None:
    """The overflow entry, and indices beyond the table, never explode."""
    trees.end(S, trees.start(0, tree, 50))
    assert trees.read(S) == trees.read(2 * S) == {**Trees().read(S)}


def test_an_explosion_that_is_soon_back_is_the_same_one(trees: Trees) -> None:
    """Within ten seconds of its end; afterwards it is another."""
    for pause_ns, n in ((REOPEN_NS, 1), (REOPEN_NS + 1, 2)):
        now = Trees()
        now.end(S, now.start(0, 1, 20))
        now.start(S + pause_ns, 1, 20)
        assert now.read(S + pause_ns)["fanout_explosions"] == n


def test_a_place_given_away_is_another_tree(trees: Trees) -> None:
    """After a minute without calls nothing is left of what had the index before."""
    calls = trees.start(0, 1, 20, flow=3)
    trees.link(1, 3, 2)
    trees.end(S, calls)
    trees.start(LIFE_NS, 1, WATCH_LIVE, flow=4)
    read = trees.read(LIFE_NS)
    assert (read["fanout_agents"], read["fanout_branching"], read["fanout_depth"]) == (1, 0, 0)
    trees.start(LIFE_NS, 1, 20, flow=4)
    assert trees.read(LIFE_NS)["fanout_explosions"] == 2


def test_depth_and_branching_follow_the_parents(trees: Trees) -> None:
    """A root with two children, of which one has three."""
    trees.start(0, 1, flow=1)
    for flow, parent in ((2, 1), (3, 1), (4, 2), (5, 2), (6, 2)):
        trees.start(S, 1, flow=flow)
        trees.link(1, flow, parent)
        trees.link(1, flow, parent)
    read = trees.read(S)
    assert (read["fanout_depth"], read["fanout_branching"], read["fanout_agents"]) == (2, 2.5, 6)


def test_parents_in_a_circle_have_a_bound(trees: Trees) -> None:
    """Whatever is claimed, depth ends."""
    trees.start(0, 1, WATCH_LIVE, flow=1)
    for step in range(3 * DEPTH_MAX):
        flow = 1 + step % 3
        trees.start(0, 1, flow=flow)
        for parent in (1 + (step + 2) % 3, flow, 10**6, -1, 0):
            trees.link(1, flow, parent)
    assert trees.read(0)["fanout_depth"] <= DEPTH_MAX


def test_the_largest_tree_of_many_is_found(trees: Trees) -> None:
    """More trees than are followed by name: the largest is among those that are."""
    for tree in range(1, 2 * N_WATCHED):
        trees.start(tree, tree, WATCH_LIVE + tree % 3)
    trees.start(S, 40, 11)
    read = trees.read(S)
    assert (read["fanout_live"], read["fanout_tree"]) == (11, 40)
    assert read["fanout_trees"] == 2 * N_WATCHED


def test_the_ring_of_explosions_has_an_end(trees: Trees) -> None:
    """The latest are remembered; those forgotten still end properly."""
    calls = [trees.start(tree, 1 + tree, 15) for tree in range(N_EXPLOSIONS + 10)]
    assert trees.read(S)["fanout_exploding"] == N_EXPLOSIONS + 10
    assert [x.tree for x in trees.explosions(S)] == list(range(N_EXPLOSIONS + 10, 10, -1))
    for some in calls:
        trees.end(2 * S, some)
    assert trees.read(2 * S)["fanout_exploding"] == 0
    assert all(x.ended_s == 0.0 for x in trees.explosions(2 * S))


def test_a_tree_above_the_cap_is_measured(trees: Trees) -> None:
    """Its size is known exactly while it is followed by name."""
    calls = trees.start(0, 3, LIVE_CAP + 200)
    assert trees.read(0)["fanout_live"] == LIVE_CAP + 200
    trees.end(S, calls)
    assert trees.read(S)["fanout_live"] == 0


def test_all_upstreams_of_a_process_see_one_tree() -> None:
    """A tree that spreads over two upstreams is one tree."""
    shared = Shared(256, 16, 16)
    one, two = SignalBank(16, shared, 0), SignalBank(16, shared, 1)
    for step in range(6):
        one.observe_arrival(step, 1, 1, 1, step)
        two.observe_arrival(step, 1, 1, 1, step)
    two.tick(MS)
    assert {r.name: r.value for r in two.read()}["fanout_exploding"] == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["burst", "arrive", "arrive", "end", "end", "parent", "shrink"]),
        st.integers(0, 3),  # tree
        st.integers(0, 5),  # flow
        st.integers(0, 400),  # which call
        st.sampled_from([0, 1, MS, 40 * MS, 3 * S, 11 * S, 60 * S]),  # then so long
    ),
    max_size=60,
)


class Both:
    """The kernels and their twin, told the same."""

    def __init__(self, shift_ns: int = 0, renumber: bool = False) -> None:
        self.trees = Trees(8)
        self.twin = Fanout()
        self.open: list[tuple[int, int]] = []
        self.now_ns = 0
        self.shift_ns = shift_ns
        self.renumber = renumber

    def name(self, idx: int, size: int) -> int:
        """Return another number for the same tree or flow."""
        return size - idx if self.renumber and idx else idx

    def step(self, what: str, tree: int, flow: int, which: int, then_ns: int) -> None:
        """One step of the script."""
        trees, at_ns = self.trees, self.now_ns + self.shift_ns
        if what in ("arrive", "burst"):
            for k in range(9 if what == "burst" else 1):
                who = (flow + k) % 6
                trees.start(at_ns, self.name(tree, 7), 1, self.name(who, 200))
                self.twin.join(EPOCH_NS + self.now_ns, tree, who)
                self.open.append((tree, who))
        elif what == "parent" and self.open:
            of, who = self.open[which % len(self.open)]
            trees.link(self.name(of, 7), self.name(who, 200), self.name(flow, 200))
            self.twin.link(of, who, flow)
        else:
            for _ in range(len(self.open) - 3 if what == "shrink" else bool(self.open)):
                of, _ = self.open.pop(which % len(self.open))
                trees.end(at_ns, [self.name(of, 7)])
                self.twin.part(EPOCH_NS + self.now_ns, of)
        self.now_ns += then_ns

    def read(self) -> dict[str, float]:
        """Return the kernels' readings, in the twin's names of trees."""
        read = self.trees.read(self.now_ns + self.shift_ns)
        del read["fanout_tree"]
        growing = int(read["fanout_growing_tree"])
        return {**read, "fanout_growing_tree": self.name(growing, 7)}


def is_same(one: dict[str, float], other: dict[str, Any]) -> bool:
    """Compare readings; trees that grow equally fast may be named in either order."""
    keys = set(one)
    if one["fanout_growing_tree"] != other["fanout_growing_tree"]:
        keys -= {"fanout_growing_tree", "fanout_agents", "fanout_branching", "fanout_depth"}
    return all(one[key] == pytest.approx(other[key], rel=1e-9) for key in keys)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_kernels_do_what_the_twin_does(steps: list[tuple[str, int, int, int, int]]) -> None:
    """Every reading after every step equals the one taken afresh from the whole history."""
    both = Both()
    for step in steps:
        both.step(*step)
        assert is_same(both.read(), both.twin.read(EPOCH_NS + both.now_ns))


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_numbers_and_reading_often_change_nothing(
    steps: list[tuple[str, int, int, int, int]],
) -> None:
    """Renumbered, or shifted by whole eras, or read after every step: the same readings."""
    era_ns = AGENT_ERA_NS * PEAK_ERA_NS // S
    plain, read_often = Both(), Both()
    others = [Both(shift_ns=7 * era_ns), Both(renumber=True), read_often]
    for step in steps:
        for both in (plain, *others):
            both.step(*step)
        read_often.read()
    assert all(is_same(plain.read(), other.read()) for other in others)


@settings(max_examples=10, deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(0, 30))
def test_the_banks_clock_and_its_ticks_change_nothing(shift_ns: int, every: int) -> None:
    """Through a bank: shifted by anything, and ticked in between, every reading is the same."""
    read = []
    for start_ns, n_ticks in ((0, 0), (shift_ns, every)):
        bank = SignalBank(64)
        calls = []
        for step in range(40):
            now_ns = start_ns + step * 3 * MS
            calls.append(bank.observe_arrival(now_ns, 1, 1 + step % 9, 1 + step % 2, step))
            if step % 5 == 4:
                bank.observe_end(now_ns, calls.pop(0))
            if n_ticks and step % n_ticks == 0:
                bank.tick(now_ns)
        bank.tick(start_ns + S // 5)
        read.append([r for r in bank.read() if r.name.startswith("fanout")])
    assert read[0] == read[1]
