"""Seconds to saturation: lines as on paper, bounds where the band meets capacity."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import Shared, SignalBank, headroom
from signals.headroom import bound_crossing, close_headroom, make_headroom
from signals.kernel import IS_COMPILED
from signals.state import NOT_IN_SIGHT_S
from tests.signals.twins.headroom import choose, make_lines

S = 1_000_000_000


def feed(counts: list[int], capacity_hz: float, is_known: bool = True) -> headroom.Records:
    """Return the record after so many seconds."""
    record = make_headroom()
    for second, count in enumerate(counts):
        record[0]["open_arrivals"] = count
        close_headroom(record, second * 100 + 99, capacity_hz, 0.0, is_known)
    return record


@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=70)
    | st.builds(
        lambda seed, n, a, b: [int(a + b * t + Random(seed + t).gauss(0, 3)) for t in range(n)],
        seed=st.integers(0, 1_000),
        n=st.integers(130, 320),
        a=st.integers(20, 60),
        b=st.floats(0.0, 0.5),
    ),
    capacity_hz=st.floats(1.0, 200.0),
)
@settings(max_examples=30 if IS_COMPILED else 5, deadline=None)
def test_lines_and_choice_are_those_of_the_twin(counts: list[int], capacity_hz: float) -> None:
    """Every span's line is least squares; the longest consistent one is used; nothing is NaN."""
    h = feed(counts, capacity_hz)[0]
    lines = make_lines(counts)
    assert int(h["is_fit"].sum()) == len(lines)
    for span, line in enumerate(lines):
        assert h["mean"][span] == pytest.approx(line.mean, abs=1e-9)
        assert h["slope"][span] == pytest.approx(line.slope, abs=1e-9)
        assert h["slope_var"][span] == pytest.approx(line.slope_var, rel=1e-6, abs=1e-12)
        assert h["middle_s"][span] == pytest.approx(line.middle_s)
    assert h["span"] == choose(lines)
    for name in ("seconds", "earliest_s", "latest_s"):
        assert 0.0 <= h[name] <= NOT_IN_SIGHT_S
    assert h["earliest_s"] <= h["seconds"] <= h["latest_s"] or h["seconds"] == NOT_IN_SIGHT_S
    assert h["earliest_s"] <= h["latest_s"]


@given(seed=st.integers(0, 10_000), slope=st.floats(0.5, 3.0))
@settings(max_examples=25, deadline=None)
def test_bounds_are_where_the_band_meets_capacity(seed: int, slope: float) -> None:
    """The upper edge meets capacity at the earliest instant, the lower one at the latest."""
    random = Random(seed)
    counts = [int(40 + slope * t + random.gauss(0.0, 2.0)) for t in range(27)]
    record = feed(counts, 400.0)
    h, line = record[0], make_lines(counts)[3]
    h["earliest_s"], h["latest_s"] = NOT_IN_SIGHT_S, 0.0
    bound_crossing(record, 3, 400.0, 0.0)
    for edge_s, sign in ((h["earliest_s"], 1.0), (h["latest_s"], -1.0)):
        if 0.0 < edge_s < NOT_IN_SIGHT_S:
            at_s = line.middle_s + float(edge_s)
            assert line.is_below(at_s - 0.01, 400.0, 0.0, sign)
            assert not line.is_below(at_s + 0.01, 400.0, 0.0, sign)


def test_a_clean_ramp_is_timed() -> None:
    """40 + 2 t reaches 140 after 50 s: half a minute earlier the reading says so."""
    h = feed([40 + 2 * t for t in range(20)], 140.0)[0]
    assert h["seconds"] == pytest.approx(30.5, abs=1.0)
    assert h["earliest_s"] < 30.5 < h["latest_s"]


def test_steady_demand_is_not_in_sight_and_a_bound_has_no_latest() -> None:
    """No slope, no crossing; against a lower bound nothing is ever too late."""
    random = Random(1)
    steady = [int(random.gauss(50.0, 7.0)) for _ in range(60)]
    assert feed(steady, 200.0)[0]["seconds"] == NOT_IN_SIGHT_S
    ramp = feed([40 + 2 * t for t in range(20)], 140.0, is_known=False)[0]
    assert ramp["latest_s"] == NOT_IN_SIGHT_S
    assert feed([90] * 20, 80.0)[0]["seconds"] == 0.0


def test_unknown_capacity_says_nothing() -> None:
    """Without a capacity there is nothing to be met."""
    h = feed([10 * t for t in range(30)], 0.0)[0]
    assert h["seconds"] == h["earliest_s"] == NOT_IN_SIGHT_S


def test_arrivals_of_a_bank_make_the_trend() -> None:
    """Through the entrance: twenty seconds of a ramp have its slope."""
    bank = SignalBank(4, Shared(4_096))
    bank.tick(0)
    for second in range(20):
        n = 10 + 2 * second
        for k in range(n):
            call = bank.observe_arrival(second * S + k * S // n, 1, 1, 0, k)
            bank.observe_end(second * S + k * S // n, call)
    bank.tick(20 * S)
    found = {reading.name: reading.value for reading in bank.read()}
    assert found["demand_trend"] == pytest.approx(2.0, abs=0.05)
    assert all(math.isfinite(value) for value in found.values())
