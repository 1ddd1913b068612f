"""Fan-out: what explodes, what does not, and that the kernels do what their slow twin does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, FAILED, Shared, SignalBank
from signals.fanout import DEPTH_MAX, EXPLOSION_LIVE, LIFE_NS, REOPEN_NS, WATCH_LIVE
from signals.trees import LIVE_CAP, N_EXPLOSIONS, N_WATCHED
from tests.signals.twins.fanout import Fanout

MS = 1_000_000
S = 1_000 * MS


class Trees:
    """A bank with readings by name, and calls by tree."""

    def __init__(self, n_trees: int = 64) -> None:
        self.shared = Shared(4_096, n_trees, 256)
        self.bank = SignalBank(256, self.shared, 5)

    def start(self, at_ns: int, tree: int, n: int = 1, flow: int = 1) -> list[int]:
        """Let ``n`` calls of a tree arrive."""
        return [self.bank.observe_arrival(at_ns, 1, flow, tree, k) for k in range(n)]

    def end(self, at_ns: int, calls: list[int]) -> None:
        """End calls well."""
        for call in calls:
            self.bank.observe_end(at_ns, call)

    def read(self, at_ns: int) -> dict[str, float]:
        """Return the readings of fan-out as of now."""
        self.bank.tick(at_ns)
        return {r.name: r.value for r in self.bank.read() if r.name.startswith("fanout")}


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
    (only,) = trees.bank.explosions()
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
    assert trees.bank.explosions()[0].doubling_s == pytest.approx(12.0)  # from 4 to 8 live


def test_who_left_and_came_back_is_one_call(trees: Trees) -> None:
    """A leave ends a call for its tree; the end that follows takes nothing more away."""
    calls = trees.start(0, 1, 3)
    for call in calls:
        trees.bank.observe_leave(S, call)
    again = trees.start(2 * S, 1, 3)
    for call in calls:
        trees.bank.observe_end(3 * S, call, FAILED)
    assert trees.read(3 * S)["fanout_live"] == 3
    trees.end(4 * S, again)
    assert trees.read(4 * S)["fanout_live"] == 0


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
    trees.bank.note_parent(0, calls[0], 2)
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
        (call,) = trees.start(S, 1, flow=flow)
        trees.bank.note_parent(S, call, parent)
        trees.bank.note_parent(S, call, parent)
    read = trees.read(S)
    assert (read["fanout_depth"], read["fanout_branching"], read["fanout_agents"]) == (2, 2.5, 6)


def test_parents_in_a_circle_have_a_bound(trees: Trees) -> None:
    """Whatever is claimed, depth ends."""
    trees.start(0, 1, WATCH_LIVE, flow=1)
    for step in range(3 * DEPTH_MAX):
        flow = 1 + step % 3
        (call,) = trees.start(0, 1, flow=flow)
        trees.bank.note_parent(0, call, 1 + (step + 2) % 3)
        trees.bank.note_parent(0, call, flow)
        trees.bank.note_parent(0, call, 10**6)
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
    assert [x.tree for x in trees.bank.explosions()] == list(range(N_EXPLOSIONS + 10, 10, -1))
    for some in calls:
        trees.end(2 * S, some)
    assert trees.read(2 * S)["fanout_exploding"] == 0
    assert all(x.ended_s == 0.0 for x in trees.bank.explosions())


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
        st.sampled_from(["burst", "arrive", "arrive", "end", "end", "leave", "parent", "shrink"]),
        st.integers(0, 3),  # tree
        st.integers(0, 5),  # flow
        st.integers(0, 400),  # which call
        st.sampled_from([0, 1, MS, 40 * MS, 3 * S, 11 * S, 60 * S]),  # then so long
    ),
    max_size=60,
)


class Both:
    """The kernels and their twin, told the same."""

    def __init__(self, shift_ns: int = 0, renumber: bool = False, extra_ticks: bool = False):
        self.trees = Trees(8)
        self.twin = Fanout()
        self.open: list[tuple[int, int, int]] = []
        self.left: list[int] = []
        self.now_ns = 3_600 * S
        self.shift_ns = shift_ns
        self.renumber = renumber
        self.extra_ticks = extra_ticks
        self.read()

    def name(self, idx: int, size: int) -> int:
        """Return another number for the same tree or flow."""
        return size - idx if self.renumber and idx else idx

    def arrive(self, tree: int, flow: int) -> None:
        """One arrival."""
        named = self.name(tree, 7), self.name(flow, 200)
        at_ns = self.now_ns + self.shift_ns
        call = self.trees.bank.observe_arrival(at_ns, 1, named[1], named[0], 0)
        self.twin.join(self.now_ns, tree, flow)
        self.open.append((call, tree, flow))

    def step(self, what: str, tree: int, flow: int, which: int, then_ns: int) -> None:
        """One step of the script."""
        bank, at_ns = self.trees.bank, self.now_ns + self.shift_ns
        if what in ("arrive", "burst"):
            for k in range(9 if what == "burst" else 1):
                self.arrive(tree, (flow + k) % 6)
        elif what == "shrink":
            while len(self.open) > 3:
                call, of, _ = self.open.pop()
                bank.observe_end(at_ns, call, ANSWERED)
                self.twin.part(self.now_ns, of)
        elif self.open:
            idx = which % len(self.open)
            call, of, who = self.open[idx]
            if what == "parent":
                bank.note_parent(at_ns, call, self.name(flow, 200))
                self.twin.link(of, who, flow)
            else:
                del self.open[idx]
                self.twin.part(self.now_ns, of)
                if what == "end":
                    bank.observe_end(at_ns, call, FAILED)
                else:
                    bank.observe_leave(at_ns, call)
                    self.left.append(call)
        if self.left and which % 2:
            bank.observe_end(at_ns, self.left.pop(), ANSWERED)
        if self.extra_ticks:
            bank.tick(at_ns)
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
        assert is_same(both.read(), both.twin.read(both.now_ns))


@settings(max_examples=30, deadline=None)
@given(STEPS, st.integers(-(10**17), 10**17))
def test_time_numbers_and_ticks_change_nothing(
    steps: list[tuple[str, int, int, int, int]], shift_ns: int
) -> None:
    """Shifted, renumbered and with more ticks, every reading is the same."""
    plain = Both()
    others = [Both(shift_ns=shift_ns), Both(renumber=True), Both(extra_ticks=True)]
    for step in steps:
        for both in (plain, *others):
            both.step(*step)
    read = plain.read()
    assert all(is_same(read, other.read()) for other in others)
