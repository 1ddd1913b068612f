"""Lateness of the tick."""

from __future__ import annotations

import pytest

from governor.control.lag import LoopLag


def test_recent_worst_fades_and_all_are_counted() -> None:
    """The worst lag is remembered for seconds; early ticks count as punctual."""
    lag = LoopLag()
    for lag_s in (0.01, 0.0, -0.5):
        lag.observe(lag_s)
    assert lag.recent_s == pytest.approx(0.01 * 0.98**2)
    assert lag.histogram.count == 3
    assert lag.histogram.sum_ns == 10_000_000
