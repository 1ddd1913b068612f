"""The report of a storm: what is drawn, and that it needs no network."""

from __future__ import annotations

import re

import pytest

from governor.load import page
from governor.load.faults import parse_fault
from governor.load.figures import Figures, figures
from tests.load.test_figures import Attempt, Task, side

pytest.importorskip("plotly")


def sides() -> dict[str, Figures]:
    """Return the figures of two sides, one of which got nothing done."""
    tasks: list[Task] = [(0.0, 1.0, True, 1), (1.0, 4.0, True, 3)]
    attempts: list[Attempt] = [(0, 0.0, 0.4, 1.0, 200, 0), (1, 3.0, 3.8, 4.0, 200, 0)]
    good = figures([side(tasks, attempts)], 10.0)
    bad = figures([side([(0.0, -1.0, False, 1)], [(0, 0.0, -1.0, -1.0, -1, 0)])], 10.0)
    return {"bare": bad, "governed": good}


def test_rates_over_time_have_a_row_for_each_side_and_its_faults() -> None:
    """Demand, calls, goodput, refusals and losses per side; a fault is a band up to the end."""
    faults = [parse_fault("stall@2s+3s"), parse_fault("latency:1s@6s")]
    figure = page.over_time(sides(), faults, 10.0)
    assert len(figure.data) == 10
    assert len({trace.yaxis for trace in figure.data}) == 2
    bands = sorted({(shape.x0, shape.x1) for shape in figure.layout.shapes})
    assert bands == [(2.0, 5.0), (6.0, 10.0)]
    done = next(t for t in figure.data if t.name.startswith("goodput") and t.yaxis == "y2")
    assert sum(done.y) > 0


def test_task_times_rise_to_the_last_task() -> None:
    """The curve ends at the longest time and the whole share; a side with none has no points."""
    bare, governed = page.task_times(sides()).data
    assert len(bare.x) == len(bare.y) == 0
    assert (governed.x[-1], governed.y[-1]) == (3.0, 1.0)
    assert list(governed.x) == sorted(governed.x)


def test_attempts_are_shares_of_tasks() -> None:
    """Each side's bars add up to one."""
    for bars in page.attempts(sides()).data:
        assert sum(bars.y) == pytest.approx(1.0)
        assert (bars.x[0], bars.x[-1]) == ("1", "10+")


def test_the_page_stands_alone_and_shows_text_as_text() -> None:
    """No script or style from elsewhere; what is told cannot become markup."""
    text = page.page("storm", ["<b>told</b>"], [["", "a<b"], ["tasks", "1"]], sides(), [], 10.0)
    assert text.startswith("<!doctype html>")
    assert text.count('class="plotly-graph-div"') == 3
    assert "&lt;b&gt;told" in text
    assert "<td>a&lt;b</td>" in text.replace("th>", "td>")
    assert not re.search(r"<(?:script|link)[^>]+(?:src|href)=", text)
