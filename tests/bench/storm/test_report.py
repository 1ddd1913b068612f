"""Tables and remarks."""

from __future__ import annotations

import math
from typing import Any

from bench.storm import report
from bench.storm.herd import HERD


def cell(**values: float) -> dict[str, Any]:
    """Return a cell."""
    return {"quantities": values, "timeline": {}, "commit": "abc"}


CELLS = {
    ("alone", 1): cell(callers_p99_s=0.2),
    ("direct", 1): cell(callers_p99_s=2.0, herd_over_work=1.0, refusals=50.0, p99_s=math.inf),
    ("governor", 1): cell(
        callers_p99_s=0.3, herd_over_work=1.05, refusals=0.0, bound_callers_p99_s=0.28, p99_s=0.3
    ),
}


def test_a_scenarios_section_shows_what_is_not_met() -> None:
    """Every must has its value, its limit if relative, and a mark; Governor a line for each."""
    text = report.scenario_text(HERD, CELLS)
    assert "| direct | 1 / 3 | 2.000 of 0.260 ✗ | 1.000 | 50.0 ✗ |" in text
    assert "- callers' p99 ≤ 1.3 × unloaded: **NO** (0.300, at most 0.260)" in text
    assert "- no refusal: **yes** (0, at most 0)" in text
    assert "∞" in text


def test_a_must_below_what_any_order_gives_is_said_to_be() -> None:
    """The bound is named only where it is above what is asked."""
    assert "would come to 0.280, where at most 0.260 is asked" in report.scenario_text(HERD, CELLS)
    roomy = {**CELLS, ("alone", 1): cell(callers_p99_s=0.25)}
    assert "Order alone" not in report.scenario_text(HERD, roomy)


def test_a_late_generator_is_named() -> None:
    """A run in which the callers' own timers were late is no clean run."""
    late = {**CELLS, ("direct", 1): cell(late_p99_s=0.2)}
    assert "late (p99) in: direct seed 1 (200 ms)" in report.scenario_text(HERD, late)


def test_the_summary_has_a_row_per_scenario() -> None:
    """Peers that did not run a scenario have a dash there."""
    text = report.summary([HERD], {"herd": CELLS})
    assert text.splitlines()[0] == "| musts met, every seed | direct | governor |"
    assert "| herd | 1 / 3 | 2 / 3 |" in text
