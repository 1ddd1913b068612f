"""When tasks begin, on a made-up time axis."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.load.plan import Demand, Herd, Open, Ramp
from governor.load.schedule import (
    Points,
    arrivals_s,
    draw_demand_s,
    herd_starts_s,
    next_arrival_s,
    points_of,
    rate_hz,
    rng_for,
    share,
)

RAMP: Points = ((0.0, 0.0), (10.0, 100.0), (10.0, 20.0), (20.0, 20.0))
INSTANTS_S = st.integers(0, 2_000).map(lambda n: n / 100.0)
RATES_HZ = st.one_of(st.just(0.0), st.floats(0.01, 200.0))


def integral(points: Points, left_s: float, right_s: float, n_steps: int = 20_000) -> float:
    """Return the integral of the rate by small steps: the slow twin of the inversion."""
    step_s = (right_s - left_s) / n_steps
    return step_s * sum(rate_hz(points, left_s + (n + 0.5) * step_s) for n in range(n_steps))


@given(
    after_s=st.floats(0.0, 25.0),
    units=st.floats(0.01, 400.0),
    points=st.lists(st.tuples(INSTANTS_S, RATES_HZ), min_size=1, max_size=5).map(
        lambda found: tuple(sorted(found, key=lambda point: point[0]))
    ),
)
def test_the_next_arrival_comes_when_the_integral_has_grown(
    after_s: float, units: float, points: Points
) -> None:
    """The inversion agrees with a sum over small steps, whatever the line."""
    found_s = next_arrival_s(points, after_s, units)
    if math.isinf(found_s):
        assert points[-1][1] == 0.0
        assert integral(points, after_s, max(after_s, points[-1][0]) + 1.0) <= units * 1.02 + 1e-6
    else:
        assert found_s >= after_s
        assert integral(points, after_s, found_s) == pytest.approx(units, rel=0.02, abs=0.05)


def test_a_rate_of_nought_brings_nobody() -> None:
    """With no rate left there is no next arrival."""
    assert next_arrival_s(((0.0, 0.0),), 3.0, 0.1) == math.inf
    assert list(arrivals_s(((0.0, 0.0),), Random(1), 10.0)) == []


def test_a_ramp_brings_as_many_as_its_area() -> None:
    """Over many seeds the mean count is the integral, in the rising and in the level part."""
    counts = [list(arrivals_s(RAMP, Random(seed), 20.0)) for seed in range(40)]
    rising = sum(at_s < 10.0 for run in counts for at_s in run) / 40
    level = sum(at_s >= 10.0 for run in counts for at_s in run) / 40
    assert rising == pytest.approx(500.0, rel=0.05)
    assert level == pytest.approx(200.0, rel=0.05)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    """Arrivals depend on seed, group and lane, and on nothing else."""
    points = points_of(Open(50.0))
    first = list(arrivals_s(points, rng_for(1, 0, 0), 5.0))
    assert first == list(arrivals_s(points, rng_for(1, 0, 0), 5.0))
    assert first != list(arrivals_s(points, rng_for(2, 0, 0), 5.0))
    assert first != list(arrivals_s(points, rng_for(1, 1, 0), 5.0))


def test_an_open_shape_is_a_ramp_without_slope() -> None:
    """Both are the same process when the rate does not change."""
    assert points_of(Open(5.0)) == ((0.0, 5.0),)
    assert points_of(Ramp(((1.0, 2.0),))) == ((1.0, 2.0),)


def test_a_herd_begins_within_its_width() -> None:
    """Every start lies in the spread after a multiple of the period, the first after one."""
    starts = list(herd_starts_s(Herd(4.0, 0.02), Random(1), 20.0))
    assert [int(at_s // 4.0) for at_s in starts] == [1, 2, 3, 4]
    assert all(0.0 <= at_s % 4.0 <= 0.02 for at_s in starts)


@given(n_calls=st.integers(1, 500), n_parents=st.integers(1, 60))
def test_shares_add_up_and_are_even(n_calls: int, n_parents: int) -> None:
    """The next level's calls are dealt out whole, none more than one apart."""
    shares = [share(n_calls, n_parents, parent) for parent in range(n_parents)]
    assert sum(shares) == n_calls
    assert max(shares) - min(shares) <= 1


def test_demand_has_its_mean() -> None:
    """The lognormal is parametrised by its mean; without spread it is that mean."""
    rng = Random(1)
    drawn = [draw_demand_s(Demand(0.1, 0.5), rng) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.1, rel=0.02)
    assert draw_demand_s(Demand(0.1, 0.0), rng) == 0.1
    assert draw_demand_s(None, rng) == -1.0
