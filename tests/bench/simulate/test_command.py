"""The command's words, and the page that is made in parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.children import BenchError
from bench.simulate import command, page, picture
from bench.simulate.check import Pair
from bench.simulate.curves import Point


def point(curve: str, at: float) -> Point:
    """Return a point of a run."""
    return Point(curve, at, 100, 1.5, 0.25, 0.9, 1.2, 0.8, 1.1, 0.9, 0.7, 2e6, 1.0)


def test_curves_are_chosen_in_the_order_of_the_page() -> None:
    """``all`` is all; an unknown name is refused with those that are known."""
    assert command.chosen("share,check") == ["check", "share"]
    assert command.chosen("all") == list(command.CURVES)
    with pytest.raises(BenchError, match="staleness"):
        command.chosen("weather")


def test_a_run_replaces_its_sections_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page made in two runs holds both parts."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command.scale, "warm_up", lambda: None)
    monkeypatch.setitem(command.MAKERS, "check", lambda options: ("agreed", []))
    for name in ("check", "cost"):
        assert command.main(["--curve", name]) == 0
    text = (tmp_path / "simulate.md").read_text()
    assert text.index("agreed") < text.index("For Redis")
    assert set(json.loads((tmp_path / "simulate.json").read_text())["sections"]) == {
        "check",
        "cost",
    }


def test_tables_show_what_deviates() -> None:
    """A value that does not agree bears a mark; an event rate stands beside its point."""
    values = {"goodput": 100.0, "waste": 0.5, "attempts": 2.0}
    text = page.check_table(
        [Pair("stall", "direct", 1, values, {**values, "goodput": 50.0}, (values,))], "was", "is"
    )
    assert "-50.0% ✗" in text
    assert text.count("✗") == 1
    assert "2.00 M" in page.point_table([point("governor", 10.0)], "agents")


def test_pictures_are_drawn(tmp_path: Path) -> None:
    """One for each curve, from a point or two."""
    density = [
        point(curve, at) for curve in ("nothing in front", "governor") for at in (10.0, 99.0)
    ]
    stale = [point(law, at) for law in ("share", "sum") for at in (0.01, 1.0)]
    share = [point(f"{n} a service", at) for n in ("2,500", "5,000") for at in (0.0, 1.0)]
    picture.draw_density(density, tmp_path / "d.png")
    picture.draw_staleness(stale, tmp_path / "s.png")
    picture.draw_share(share, tmp_path / "g.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 1_000 for name in "dsg")
