"""Elasticity: flat, steep, drift, and what says nothing."""

from __future__ import annotations

from math import log

import pytest

from policies.limit.elasticity import Elasticity, LowLevel
from tests.policies.limit.feed import cohort

SPREAD = 0.25


def swing(slope: float, *, drift: float = 0.0, n_phases: int = 12) -> Elasticity:
    """Return what alternating phases of 36 and 28 in flight teach, for d(ln R)/d(ln n) = slope."""
    elasticity = Elasticity()
    for number in range(n_phases):
        n = 36.0 if number % 2 else 28.0
        level = 18.0 + slope * log(n / 32.0) + drift * number
        elasticity.learn(cohort(number, level=level, in_flight=n, n=64), SPREAD)
    return elasticity


def test_below_the_knee_it_is_flat() -> None:
    """Response time that does not follow the number in flight."""
    assert swing(0.0).is_flat
    assert not swing(0.0).is_steep


def test_beyond_the_knee_it_is_steep() -> None:
    """Processor sharing past the knee doubles response time with the number in flight."""
    assert swing(1.5).is_steep
    assert not swing(1.5).is_flat


def test_a_drift_is_no_contrast() -> None:
    """The onset of a stall raises every phase; neighbours on both sides cancel it."""
    assert swing(0.0, drift=0.2).value == pytest.approx(0.0, abs=1e-9)


def test_no_evidence_is_neither() -> None:
    """Before any contrast the error is infinite and nothing is claimed."""
    nothing = Elasticity()
    assert not nothing.is_flat
    assert not nothing.is_steep


def test_equal_phases_say_nothing() -> None:
    """Phases at the same number in flight give no contrast."""
    elasticity = Elasticity()
    for number in range(10):
        elasticity.learn(cohort(number, level=18.0 + number % 2, in_flight=32.0), SPREAD)
    assert elasticity.error == float("inf")


def test_a_gap_breaks_the_chain() -> None:
    """Only three consecutive phases make a contrast."""
    elasticity = Elasticity()
    for number in (0, 1, 3):
        elasticity.learn(cohort(number, level=18.0, in_flight=28.0 + 4 * number), SPREAD)
    assert elasticity.error == float("inf")


def test_forgetting_widens_the_error() -> None:
    """A move makes old evidence worth less, and does not change its sign."""
    elasticity = swing(1.0)
    value, error = elasticity.value, elasticity.error
    elasticity.forget(0.25)
    assert elasticity.value == pytest.approx(value)
    assert elasticity.error == pytest.approx(2.0 * error)


def test_low_level_weighs_by_precision() -> None:
    """A cohort with a quarter of the variance weighs four times as much."""
    low = LowLevel()
    assert not low.is_ready
    low.learn(cohort(0, level=18.0, in_flight=20.0), 0.04)
    low.learn(cohort(1, level=19.0, in_flight=20.0), 0.01)
    assert low.level == pytest.approx((25 * 0.8 * 18.0 + 100 * 19.0) / (25 * 0.8 + 100))
    low.forget(0.0)
    assert not low.is_ready
