"""Histograms of durations."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from governor.proxy.histogram import Histogram


@given(st.lists(st.integers(-5, 200)))
def test_every_sample_is_in_exactly_one_bucket(samples: list[int]) -> None:
    """Counts agree with counting each sample against each bound."""
    histogram = Histogram((10, 50, 100))
    for sample in samples:
        histogram.observe(sample)
    edges = [-1_000, 10, 50, 100, 1_000]
    expected = [sum(low < x <= high for x in samples) for low, high in pairwise(edges)]
    assert histogram.counts == expected
    assert histogram.count == len(samples)
    assert histogram.sum_ns == sum(samples)


def test_quantiles_are_upper_bounds() -> None:
    """A quantile is the bound of the bucket where it lies; 0 without samples."""
    histogram = Histogram((10, 50, 100))
    assert histogram.quantile_ns(0.5) == 0
    for sample in (1, 2, 40, 1_000):
        histogram.observe(sample)
    assert (histogram.quantile_ns(0.5), histogram.quantile_ns(0.75)) == (10, 50)
    assert histogram.quantile_ns(1.0) == 100
