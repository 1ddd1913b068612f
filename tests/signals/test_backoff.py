"""The laws of return: what is expected before anything is seen, and after."""

from __future__ import annotations

import numpy as np
import pytest

from signals import FAILED, Shared, SignalBank
from signals.backoff import (
    AGAIN_SHARE,
    ANONYMOUS,
    EDGES_NS,
    LAW_WEIGHTS,
    N_LAGS,
    N_OUTLIVED,
    OUTLIVED_AT,
)
from signals.families import N_ATTEMPTS, OTHER, SCHEDULES, STAINLESS, UNKNOWN
from tests.signals.twins.backoff import compute_mass

MS = 1_000_000
S = 1_000 * MS


def test_bins_of_lag_are_four_an_octave_and_cover_a_minute() -> None:
    """From 4 ms on each is a fifth wider than the one before; none is missing."""
    assert len(EDGES_NS) == N_LAGS + 1
    assert EDGES_NS[0] == 0
    np.testing.assert_allclose(EDGES_NS[5:] / EDGES_NS[1:-4], 2.0, rtol=1e-6)
    assert EDGES_NS[-1] > 60 * S
    assert (np.diff(OUTLIVED_AT) >= 0).all()
    assert N_OUTLIVED[0] == 0


def test_prior_shares_are_of_one_caller() -> None:
    """What returns by all published laws is at most the caller; unknown clients are like any."""
    totals = LAW_WEIGHTS.sum(axis=1)
    assert totals.shape == (ANONYMOUS + 1, N_ATTEMPTS)
    assert (totals <= 1.0 + 1e-9).all()
    assert (totals >= AGAIN_SHARE - 1e-9).all()
    own = next(k for k, law in enumerate(SCHEDULES) if law.family == STAINLESS)
    assert LAW_WEIGHTS[STAINLESS, own, 0] > 0.9
    for family in (UNKNOWN, OTHER):
        np.testing.assert_array_equal(LAW_WEIGHTS[family], LAW_WEIGHTS[ANONYMOUS])


@pytest.mark.parametrize("law", [(0.375, 0.5), (0.0, 0.05), (2.0, 2.0), (0.01, 7.3)])
def test_chance_per_bin_is_what_many_callers_do(law: tuple[float, float]) -> None:
    """Failures anywhere in a bin, lags by the law: the share that returns in each later bin."""
    low, high = law
    rng = np.random.default_rng(1)
    at_s = rng.uniform(0.0, 0.05, 200_000) + rng.uniform(low, high, 200_000)
    seen = np.bincount((at_s / 0.05).astype(int), minlength=256)[:256] / 200_000
    np.testing.assert_allclose(compute_mass([(1.0, low, high)]), seen, atol=6e-3)


def test_a_sharp_law_stays_sharp_in_a_wide_bin() -> None:
    """Callers that sleep 1.7 s sharp are not smeared over their bin of 0.3 s."""
    bank = SignalBank(301, Shared(1_024))
    bank.tick(0)
    for flow in range(1, 301):
        call = bank.observe_arrival(flow * MS // 10, 1, flow, 0, flow, family=OTHER)
        bank.observe_end(flow * MS // 10, call, FAILED)
    for flow in range(1, 301):
        bank.observe_arrival(1_700 * MS + flow * MS // 10, 1, flow, 0, flow, family=OTHER)
    call = bank.observe_arrival(1_800 * MS, 1, 1, 0, 999, family=OTHER)
    bank.observe_end(1_800 * MS, call, FAILED)
    bank.tick(2 * S)
    mass = np.array(bank.state.forecast[0]["backoff"]["mass"])[OTHER, 0]
    assert mass.sum() == pytest.approx(1.0, abs=0.1)
    assert mass[33:36].sum() > 0.7
