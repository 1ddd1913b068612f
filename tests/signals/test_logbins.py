"""Log bins: quantiles are right to 5 %, whatever the durations."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.logbins import N_BINS, find_bin, find_error, find_quantile
from signals.state import Records
from tests.signals.twins.propagation import quantile

DURATIONS = st.lists(st.floats(2e5, 1e12), min_size=1, max_size=60)


def count(durations: list[float]) -> Records:
    """Return durations in bins."""
    counts = np.zeros(N_BINS, np.int32)
    for duration in durations:
        counts[find_bin(duration)] += 1
    return counts


@settings(max_examples=50, deadline=None)
@given(durations=DURATIONS, p=st.floats(0.0, 1.0))
def test_a_quantile_is_right_within_a_bin(durations: list[float], p: float) -> None:
    """Interpolated inside the bin of the exact quantile: never further than its width."""
    found = math.exp(find_quantile(count(durations), float(len(durations)), p)) * 1e9
    exact = quantile(durations, p)
    assert abs(math.log2(found / exact)) <= 1 / 8 + 1e-9


def test_median_and_tail_of_a_smooth_distribution_are_right_to_five_percent() -> None:
    """Lognormal durations, 20,000 of them."""
    durations = np.random.default_rng(3).lognormal(math.log(4e7), 0.9, 20_000).tolist()
    for p in (0.5, 0.9):
        found = math.exp(find_quantile(count(durations), 20_000.0, p)) * 1e9
        assert abs(found / quantile(durations, p) - 1) < 0.05


@settings(max_examples=30, deadline=None)
@given(durations=DURATIONS, n=st.integers(1, 500), p=st.sampled_from([0.5, 0.9]))
def test_the_error_of_a_quantile_is_finite_and_falls_with_the_sample(
    durations: list[float], n: int, p: float
) -> None:
    """More calls never make a quantile less certain in the upper half."""
    counts, total = count(durations), float(len(durations))
    error = find_error(counts, total, p, float(n))
    assert math.isfinite(error)
    assert error >= 0.0
    assert find_error(counts, total, p, 16.0 * n) <= 2.0 * error + 1e-9


def test_what_is_out_of_range_is_in_the_first_or_last_bin() -> None:
    """Nothing is lost, nothing overflows."""
    assert find_bin(0.0) == 0
    assert find_bin(1e30) == N_BINS - 1
