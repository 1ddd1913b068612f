"""Governors that share a view: what they learn when, what they may hold, who is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.simulate.scale import Fleet, make_rules, make_world
from bench.simulate.state import N_COUNTS, seeded
from tests.bench.simulate.plain import uncompiled

laws, views, model = (uncompiled(name) for name in ("laws", "views", "model"))
MS = 1_000_000


class World:
    """Two governors before one service."""

    def __init__(self, fleet: Fleet) -> None:
        world = make_world(fleet, 1)
        self.upstream: Any = world[4][0]
        self.cells: Any = world[5]
        self.rules: Any = make_rules(fleet)[0]
        self.counts = np.zeros(N_COUNTS, dtype=np.int64)
        self.rng = seeded(1)

    def step(self, cell: int, now_ns: int) -> int:
        """Do one stage of a cell's exchange; return when the next is due."""
        due_ns = views.exchange(
            self.cells[cell], self.upstream, self.rules, self.counts, self.rng, now_ns
        )
        return int(due_ns)

    def share_views(self, cell: int, now_ns: int) -> int:
        """Do a whole exchange; return when the next one begins."""
        for _ in range(3):
            now_ns = self.step(cell, now_ns)
        return now_ns


def test_a_view_is_as_old_as_the_way_there_and_back() -> None:
    """A row counts at the hub after half the delay; its sender hears of others after all of it."""
    world = World(Fleet(n_agents=10, n_views=2, delay_s=0.1))
    world.cells[0]["in_flight"], world.cells[1]["in_flight"] = 7, 5
    assert world.step(0, 0) == 50 * MS
    assert world.upstream["hub_in_flight"] == pytest.approx(22.0 + 22.0)  # equals, at first
    assert world.step(0, 50 * MS) == 100 * MS
    assert world.upstream["hub_in_flight"] == pytest.approx(7.0 + 22.0)
    assert world.step(0, 100 * MS) == 100 * MS  # the period has passed meanwhile
    assert world.share_views(1, 200 * MS) == 300 * MS
    assert world.cells[1]["others_in_flight"] == pytest.approx(7.0)
    world.cells[0]["in_flight"] = 9
    world.share_views(0, 300 * MS)
    assert world.cells[0]["others_in_flight"] == pytest.approx(5.0)
    assert world.upstream["hub_in_flight"] == pytest.approx(14.0)


def test_who_is_cut_off_goes_on_with_what_it_knew_and_is_forgotten_by_the_hub() -> None:
    """A lost call changes nothing; a row that is not renewed leaves the sum."""
    fleet = Fleet(n_agents=10, n_views=2, cut_s=(1.0, 9.0), cut_share=0.5)
    world = World(fleet)
    world.cells[0]["in_flight"], world.cells[1]["in_flight"] = 7, 5
    world.share_views(0, 10 * MS)
    world.share_views(1, 20 * MS)
    world.share_views(0, 30 * MS)
    world.cells[0]["in_flight"] = 30
    assert world.step(0, 2_000 * MS) == 2_050 * MS
    assert world.cells[0]["others_in_flight"] == pytest.approx(5.0)
    views.forget_row(world.cells[0], world.upstream, world.rules, 2_000 * MS)
    assert world.upstream["hub_in_flight"] == pytest.approx(5.0)
    world.share_views(0, 9_000 * MS)
    assert world.upstream["hub_in_flight"] == pytest.approx(35.0)


@pytest.mark.parametrize("n_views", [2, 7, 44, 100])
def test_shares_add_up_to_the_limit(n_views: int) -> None:
    """However many governors: rounded with a dither, all together hold the limit, within one."""
    world = World(Fleet(n_agents=10, n_views=n_views))
    for cell in world.cells:
        cell["fresh"], cell["fresh_at"] = 3.0, 1_000 * MS
        cell["others_demand"] = float(laws.fresh_hz(cell, 1_000 * MS)) * (n_views - 1)
    total = sum(float(laws.allowance(cell, world.rules, 1_000 * MS)) for cell in world.cells)
    assert total == pytest.approx(44.0, abs=1.0)


def test_by_the_sum_everybody_sees_the_same_free_places() -> None:
    """Under the other law each may take what all see free: that is what old news costs."""
    world = World(Fleet(n_agents=10, n_views=4, law="sum"))
    for cell in world.cells:
        cell["others_in_flight"] = 30.0
    assert [float(laws.allowance(cell, world.rules, 20 * MS)) for cell in world.cells] == [14.0] * 4


def test_by_need_places_follow_the_calls_in_hand() -> None:
    """Who has three times as much in hand may hold three times as much, and nobody nothing."""
    fleet = Fleet(n_agents=10, n_views=2, law="need")
    world = World(fleet)
    world.cells[0]["n_waiting"], world.cells[1]["in_flight"] = 29, 9
    for now_ns in (0, 10 * MS):
        for cell in (0, 1):
            world.share_views(cell, now_ns)
    first, second = (float(laws.allowance(cell, world.rules, 20 * MS)) for cell in world.cells)
    assert first == pytest.approx(33.0, abs=1.0)
    assert second == pytest.approx(11.0, abs=1.0)


def test_agents_of_the_first_half_go_over_to_the_second() -> None:
    """Of four governors before each service, the first two's agents call through the last two."""
    fleet = Fleet(n_agents=16, n_upstreams=2, n_views=4)
    nodes = make_world(fleet, 1)[0]
    for agent in range(16):
        model.move(nodes, agent, 4)
    cells = nodes["cell"][:16]
    assert sorted(set((cells % 4).tolist())) == [2, 3]
    assert (cells // 4 == nodes["upstream"][:16]).all()
