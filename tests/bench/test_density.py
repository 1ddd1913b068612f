"""The curve of waste against the number of agents."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench import density
from tests.bench.storm.records import done, seen


def test_only_the_number_of_agents_changes() -> None:
    """Service, think time and law are the same at every density."""
    small, large = density.density(10), density.density(5_000)
    assert small.services == large.services
    assert small.groups[0].shape == large.groups[0].shape
    assert (small.groups[0].n_agents, large.groups[0].n_agents) == (10, 5_000)


def test_goodput_is_counted_after_the_first_think_time() -> None:
    """Tasks done before everybody has thought once are left out."""
    tasks = [done("agents", 1.0, 1.0)] * 5 + [done("agents", 6.0, 1.0)] * 12
    assert density.measure(seen(tasks, seconds=16.0))["warm_goodput_hz"] == pytest.approx(1.0)


def test_the_table_has_a_row_per_density_and_the_mean_over_seeds(tmp_path: Path) -> None:
    """Seeds are averaged; what was not measured is a dash; the picture is drawn."""

    def quantities(waste: float) -> dict[str, float]:
        others = ("warm_goodput_hz", "attempts_per_task", "success_ratio")
        return {"waste_ratio": waste, **dict.fromkeys(others, 1.0)}

    found = {("direct", 100, 1): quantities(0.1), ("direct", 100, 2): quantities(0.3)}
    text = density.markdown(found, ["direct"], [100, 5_000], "")
    assert "| 100 | 6% | 20.00% | 1.000 | 1.000 | 100.00% |" in text
    assert "| 5,000 | 305% | – |" in text
    assert math.isnan(density.over_seeds(found, "governor", 100, "waste_ratio"))
    density.draw_png(found, ["direct"], [100, 5_000], tmp_path / "d.png")
    assert (tmp_path / "d.png").stat().st_size > 1_000
