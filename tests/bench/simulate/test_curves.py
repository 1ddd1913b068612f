"""The curves play what they say."""

from __future__ import annotations

import pytest

from bench.simulate import curves
from bench.simulate.scale import Fleet, play


def test_the_density_curve_ends_at_what_is_asked() -> None:
    """Two points a density, with nothing and with a governor; no fleet beyond the most."""
    said: list[str] = []
    points = curves.density_curve(said.append, is_quick=True, most=1_000)
    assert [(p.curve, p.at, p.n_agents) for p in points] == [
        ("nothing in front", 100, 400),
        ("governor", 100, 400),
    ]
    assert len(said) == 2
    assert all(p.waste_ratio == 0.0 and p.attempts == 1.0 for p in points)


def test_a_point_tells_both_kinds_of_agents_apart() -> None:
    """In a mixed fleet tasks of governed and of other agents are counted by themselves."""
    fleet = Fleet(n_agents=400, n_slots=4, governed_share=0.5, seconds=8.0)
    point = curves.point_of("mixed", 0.5, play(fleet))
    low, high = sorted((point.governed_success, point.ungoverned_success))
    assert 0.0 < low <= point.success_ratio <= high <= 1.0
    assert point.load == pytest.approx(400 / 4.1 / 40.0)
    assert point.inside_ratio >= 1.0
    assert curves.point_of("none", 1.0, play(Fleet(n_agents=10, seconds=5.0))).load < 0.01


def test_a_shared_view_is_of_one_overloaded_service() -> None:
    """A thousand governors, four places each, at half as much again as it can do."""
    fleet = curves.shared(0.2, "need")
    assert fleet.n_views == 1_000
    assert fleet.n_slots == 4 * fleet.n_views
    assert fleet.load == pytest.approx(1.52, abs=0.01)
    assert fleet.delay_s == 0.2
