"""The base: a Kalman filter that moves both ways."""

from __future__ import annotations

import pytest

from policies.limit.base import Base


def test_first_lesson_is_taken_whole() -> None:
    """Before anything is known the first cohort is the base."""
    base = Base()
    base.learn(18.0, 0.01, 1e8)
    assert base.is_ready
    assert (base.level, base.response_ns) == (18.0, 1e8)


def test_a_base_of_zero_is_a_value() -> None:
    """Readiness is its own flag: a level of 0.0 is not "unset"."""
    base = Base()
    base.learn(0.0, 0.01, 1.0)
    base.learn(0.1, 0.01, 1.0)
    assert 0.0 < base.level < 0.1


@pytest.mark.parametrize("offset", [0.1, -0.1])
def test_it_moves_both_ways(offset: float) -> None:
    """No running minimum: lessons above and below the base pull alike."""
    base = Base()
    base.learn(18.0, 0.01, 1e8)
    for _ in range(200):
        base.learn(18.0 + offset, 0.01, 1e8)
    assert base.level == pytest.approx(18.0 + offset, abs=0.01)


def test_a_surprise_is_taken_whole() -> None:
    """Beyond four standard deviations the world has changed."""
    base = Base()
    base.learn(18.0, 1e-4, 1e8)
    base.learn(17.0, 1e-4, 4e7)
    assert base.level == pytest.approx(17.0)


def test_variance_shrinks_with_lessons_and_stays_positive() -> None:
    """More lessons, less doubt, never none."""
    base = Base()
    base.learn(18.0, 0.04, 1e8)
    for _ in range(50):
        base.learn(18.0, 0.04, 1e8)
    assert 0.0 < base.variance < 0.01


def test_the_spread_follows_the_lessons() -> None:
    """The first spread is taken whole, a new one within some twenty lessons."""
    base = Base()
    base.learn_spread(0.9)
    assert base.spread == pytest.approx(0.9)
    for _ in range(20):
        base.learn_spread(0.25)
    assert base.spread == pytest.approx(0.25, abs=0.1)
