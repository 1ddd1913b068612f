"""The verdict on one lag: what teaches it, what bounds it, what it forgets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.calibration import (
    EXPECTED,
    FORGET,
    N_BINS,
    N_DEPTHS,
    PRIOR,
    RETRY_P,
    SURPRISE,
    bound_fresh,
    find_bin,
    is_in_use,
    judge_return,
    learn_failure,
    learn_return,
    learn_success,
    make_calibration,
)
from signals.families import GEMINI_CLI, N_FAMILIES, STAINLESS, UNKNOWN
from signals.state import Records
from tests.signals.twins.recognition import expect
from tests.signals.twins.recognition import find_bin as find_bin_slowly

MS = 1_000_000
S = 1_000 * MS


def teach_control(c: Records, rng: np.random.Generator, think_s: float, n: int = 400) -> None:
    """Successes that are all repeated after an exponential time."""
    for lag_s in rng.exponential(think_s, n):
        learn_success(c, UNKNOWN, int(lag_s * S))


def teach_failures(c: Records, lags_s: np.ndarray, attempt: int) -> None:
    """Failures that all come back, after these lags."""
    for lag_s in lags_s:
        learn_failure(c, UNKNOWN, attempt)
        learn_return(c, UNKNOWN, UNKNOWN, attempt, int(lag_s * S))


@given(lag_ns=st.integers(-1, 2**50))
def test_bins_are_quarter_octaves(lag_ns: int) -> None:
    """As a sorted list of edges says."""
    assert find_bin(lag_ns) == find_bin_slowly(lag_ns)
    assert 0 <= find_bin(lag_ns) < N_BINS


@pytest.mark.parametrize("family", [UNKNOWN, STAINLESS, GEMINI_CLI])
@pytest.mark.parametrize("depth", range(N_DEPTHS))
def test_what_is_expected_before_any_lag_was_seen(family: int, depth: int) -> None:
    """The mass of the family's laws around each bin, never nothing."""
    for idx in range(N_BINS):
        assert EXPECTED[family, depth, idx] == pytest.approx(expect(family, depth, idx))
    assert EXPECTED.min() >= SURPRISE
    assert EXPECTED.max() <= 1.0 + 1e-9


def test_without_a_control_everything_is_a_retry() -> None:
    """Nothing learned, or shapes that hardly repeat: the plain rule."""
    c = make_calibration()
    assert judge_return(c, UNKNOWN, UNKNOWN, 0, 30 * S) == pytest.approx(1.0 - PRIOR)
    for idx in range(1_000):
        learn_success(c, UNKNOWN, 10 * S if idx % 50 == 0 else -1)
    assert not is_in_use(c, UNKNOWN)
    assert judge_return(c, UNKNOWN, UNKNOWN, 0, 10 * S) == pytest.approx(1.0 - PRIOR)


def test_lags_as_after_success_are_fresh_and_others_are_retries() -> None:
    """Half of the returns are retries after 0.4 s, half come as after a success."""
    rng = np.random.default_rng(1)
    c = make_calibration()
    teach_control(c, rng, 10.0)
    teach_failures(c, np.concatenate([rng.uniform(0.375, 0.5, 100), rng.exponential(10, 100)]), 0)
    assert judge_return(c, UNKNOWN, UNKNOWN, 0, 440 * MS) > 0.9
    assert judge_return(c, UNKNOWN, UNKNOWN, 0, 10 * S) < RETRY_P


def test_back_off_as_long_as_thinking_is_told_by_the_shape_of_the_whole() -> None:
    """Retries uniform below 1 s, thoughts of 2 s: no lag beyond 1 s, so none is fresh."""
    rng = np.random.default_rng(2)
    c = make_calibration()
    teach_control(c, rng, 2.0)
    teach_failures(c, rng.uniform(0.0, 1.0, 200), 0)
    teach_failures(c, rng.exponential(2.0, 200), 2)
    for lag_ns in (50 * MS, 300 * MS, 900 * MS):
        assert judge_return(c, UNKNOWN, UNKNOWN, 0, lag_ns) > RETRY_P
        assert judge_return(c, UNKNOWN, UNKNOWN, 2, lag_ns) < RETRY_P
    assert bound_fresh(c, UNKNOWN, UNKNOWN, 0) < 20.0
    assert bound_fresh(c, UNKNOWN, UNKNOWN, 2) > 150.0


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    lag_ns=st.integers(0, 60 * S),
    attempt=st.integers(-3, 1_000),
)
def test_the_verdict_is_a_chance(seed: int, n: int, lag_ns: int, attempt: int) -> None:
    """Between 0 and 1 and never NaN, whatever was learned; the bound never exceeds what came."""
    rng = np.random.default_rng(seed)
    c = make_calibration()
    for lag_s in rng.exponential(3.0, n):
        learn_success(c, UNKNOWN, int(lag_s * S) if rng.random() < 0.7 else -1)
    teach_failures(c, rng.exponential(1.0, n), attempt)
    p = judge_return(c, UNKNOWN, UNKNOWN, attempt, lag_ns)
    assert 0.0 <= p <= 1.0
    depth = min(max(attempt, 0), N_DEPTHS - 1)
    assert 0.0 <= bound_fresh(c, UNKNOWN, UNKNOWN, depth) <= n


def test_counts_are_halved_so_that_a_change_is_learned() -> None:
    """Counts stay below ``FORGET`` for ever and keep their proportions."""
    c = make_calibration()
    for idx in range(int(2.5 * FORGET)):
        learn_success(c, STAINLESS, S if idx % 2 else -1)
        learn_failure(c, STAINLESS, 1)
        learn_return(c, STAINLESS, STAINLESS, 1, S)
    r = c[0]
    assert r["n_watched"][STAINLESS] < FORGET
    assert r["n_repeated"][STAINLESS] / r["n_watched"][STAINLESS] == pytest.approx(0.5, abs=0.01)
    assert r["n_returned"][STAINLESS, 1] < FORGET
    assert r["n_returned"][STAINLESS, 1] == pytest.approx(r["after_failure"][STAINLESS, 1].sum())
    assert r["n_failed"][STAINLESS, 1] == pytest.approx(r["n_returned"][STAINLESS, 1], abs=2.0)
    assert math.isfinite(r["n_fresh"][STAINLESS, 1])
    assert c.nbytes < 65_536
    assert len(r["n_watched"]) == N_FAMILIES
