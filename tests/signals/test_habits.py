"""Which client a flow uses: the likeliest law of the lags of its retries."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.families import ENVOY, FAMILIES, N_FAMILIES, OTHER, SCHEDULES, UNKNOWN, Schedule
from signals.habits import COUNT_MAX, tell_lag
from signals.state import Records, make_flows
from tests.signals.twins.recognition import name_family

S = 1_000_000_000


def tell(lags: list[tuple[int, int]]) -> Records:
    """Return a flow table whose flow 1 has had these (retry, lag)."""
    flows = make_flows(2)
    for attempt, lag_ns in lags:
        tell_lag(flows, 1, attempt, lag_ns)
    return flows


def draw(schedule: Schedule, rng: Random, n: int) -> list[tuple[int, int]]:
    """Return lags of chains that the law's clients retry to the end, as a proxy sees them."""
    lags = []
    while len(lags) < n:
        for attempt in range(1, min(schedule.n_retries, 5) + 1):
            low_s, high_s = schedule.intervals_s[attempt - 1]
            lag_s = rng.uniform(low_s, high_s) + 0.001 + rng.expovariate(1 / 0.004)
            lags.append((attempt, int(lag_s * S)))
    return lags[:n]


lag = st.tuples(
    st.integers(1, 7),
    st.one_of(
        st.integers(0, 60 * S),
        st.sampled_from([int(x * S) for x in (0.2, 0.4, 0.45, 0.8, 0.9, 1, 1.9, 2, 4, 8)]),
    ),
)


@given(lags=st.lists(lag, max_size=40))
def test_it_equals_its_slow_twin(lags: list[tuple[int, int]]) -> None:
    """As from the whole list of lags."""
    family = int(tell(lags)["family"][1])
    assert family == name_family(lags)
    assert 0 <= family < N_FAMILIES


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_twelve_lags_name_the_client(schedule: Schedule) -> None:
    """Most flows are named rightly, or after a family with the very same intervals."""
    twins = {s.family for s in SCHEDULES if s.intervals_s == schedule.intervals_s}
    rng = Random(1)
    named = [int(tell(draw(schedule, rng, 12))["family"][1]) for _ in range(40)]
    n_least = 20 if schedule.family == ENVOY else 30  # its first delay is in the network's noise
    assert sum(family in twins for family in named) >= n_least


def test_nothing_told_is_unknown_and_nonsense_is_other() -> None:
    """Lags that no law allows make an unlisted client."""
    assert tell([])["family"][1] == UNKNOWN
    assert FAMILIES[int(tell([(1, 50 * S)] * 6)["family"][1])] == FAMILIES[OTHER]


def test_one_false_lag_is_forgiven() -> None:
    """A thought taken for a retry does not rename a client that is known."""
    lags = [(1, int(0.44 * S)), (2, int(0.88 * S))] * 3
    assert tell([*lags, (3, 9 * S)])["family"][1] == tell(lags)["family"][1]


def test_a_flow_is_known_well_enough_at_last() -> None:
    """Counting stops before a packed count overflows."""
    flows = make_flows(2)
    flows["n_lags"] = COUNT_MAX
    before = flows.copy()
    tell_lag(flows, 1, 1, S)
    np.testing.assert_array_equal(flows, before)
