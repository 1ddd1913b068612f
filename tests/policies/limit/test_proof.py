"""A fall is checked by throughput."""

from __future__ import annotations

from math import log

import pytest

from policies.limit.proof import Fall, relative_error2
from tests.policies.limit.feed import cohort

BASE = log(100e6)


def test_throughput_that_fell_proves_a_wrong_fall() -> None:
    """Half the number in flight, half the throughput: the knee is where it was."""
    fall = Fall(cohort(0, level=BASE, in_flight=32.0, spread=0.0))
    fall.learn(cohort(1, level=BASE, in_flight=16.0, spread=0.0))
    assert fall.knee() == pytest.approx(32.0, rel=0.01)


def test_throughput_that_stayed_proves_a_right_fall() -> None:
    """Half the number in flight at half the response time: there was a queue."""
    fall = Fall(cohort(0, level=BASE + log(2.0), in_flight=64.0))
    fall.learn(cohort(1, level=BASE, in_flight=32.0))
    assert fall.knee() == 0.0


def test_noise_proves_nothing() -> None:
    """A small loss of throughput within the standard errors is not acted on."""
    fall = Fall(cohort(0, level=BASE, in_flight=32.0, spread=2.0, n=16))
    fall.learn(cohort(1, level=BASE, in_flight=20.0, spread=2.0, n=16))
    assert fall.knee() == 0.0


def test_before_any_cohort_nothing_is_known() -> None:
    """An empty comparison gives no knee, and goes stale after eight cohorts."""
    fall = Fall(cohort(0, level=BASE, in_flight=32.0))
    assert fall.knee() == 0.0
    for number in range(8):
        assert not fall.is_stale
        fall.learn(cohort(number, level=BASE, in_flight=32.0))
    assert fall.is_stale


def test_error_of_equal_answers_is_zero_and_never_negative() -> None:
    """Rounding must not make a variance negative."""
    assert 0.0 <= relative_error2(cohort(0, level=BASE, in_flight=1.0, spread=0.0)) < 1e-6
