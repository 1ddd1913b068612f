"""Thresholds: the words, and when they are missed."""

from __future__ import annotations

import pytest

from governor.load.figures import figures
from governor.load.thresholds import METRICS, parse_threshold


@pytest.mark.parametrize(
    ("text", "value", "is_missed"),
    [
        ("p99>2s", 2.0, False),
        ("p99>2s", 2.001, True),
        ("p99 > 200ms", 0.201, True),
        ("success<99%", 0.99, False),
        ("success<99%", 0.9899, True),
        ("goodput<50/s", 49.0, True),
        ("Attempts>1.2", 1.2, False),
        ("waste>5%", 0.06, True),
        ("p99>2s", None, True),
        ("success<1%", float("nan"), True),
    ],
)
def test_a_threshold_names_what_must_not_be(
    text: str, value: float | None, is_missed: bool
) -> None:
    """Beyond the bound fails, at the bound passes, and a figure that is not there fails."""
    threshold = parse_threshold(text)
    assert threshold.is_missed({threshold.figure: value}) is is_missed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "METRIC"),
        ("speed>1", "one of success"),
        ("p99=2s", "METRIC"),
        ("p99>fast", "a time"),
        ("success<99", "a share"),
        ("attempts>many", "a number"),
        ("goodput<inf", "a number"),
    ],
)
def test_other_words_are_refused(text: str, told: str) -> None:
    """What is no threshold is a ValueError that says what is compared with what."""
    with pytest.raises(ValueError, match=told):
        parse_threshold(text)


def test_a_side_may_be_named() -> None:
    """The word before the colon is the side."""
    assert parse_threshold("governed:p99>2s").side == "governed"
    assert parse_threshold("p99>2s").side == ""


def test_every_metric_is_a_figure() -> None:
    """No threshold looks at a figure that is never made."""
    from tests.load.test_figures import side

    made = figures([side([(0.0, 1.0, True, 1)], [(0, 0.0, 0.5, 1.0, 200, 0)])], 10.0)
    assert {figure for figure, _ in METRICS.values()} <= set(made)
