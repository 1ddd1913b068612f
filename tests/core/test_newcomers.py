"""A new name is worth nothing."""

from __future__ import annotations

import pytest

from governor.core.newcomers import HALF_LIFE_NS, N_TENANTS_MAX, Newcomers

S = 1_000_000_000


def test_each_newcomer_ranks_behind_those_before() -> None:
    """The first has had nothing; the hundredth as much as ninety-nine calls."""
    newcomers = Newcomers()
    ranks = [newcomers.charge(S, 1, 0.1) for _ in range(100)]
    assert ranks[0] == 0.0
    assert ranks[99] == pytest.approx(9.9)


def test_accounts_are_forgotten() -> None:
    """A half-life later half of it is left."""
    newcomers = Newcomers()
    newcomers.charge(S, 1, 8.0)
    assert newcomers.charge(S + HALF_LIFE_NS, 1, 0.0) == pytest.approx(4.0)


def test_tenants_do_not_share_an_account() -> None:
    """One tenant's fan-out leaves another's newcomers where they were."""
    newcomers = Newcomers()
    newcomers.charge(S, 1, 100.0)
    assert newcomers.charge(S, 2, 0.1) == 0.0


def test_memory_is_bounded() -> None:
    """However many tenants come."""
    newcomers = Newcomers()
    for tenant in range(3 * N_TENANTS_MAX):
        newcomers.charge(S, tenant, 1.0)
    assert len(newcomers) <= N_TENANTS_MAX


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    """The account neither grows nor shrinks."""
    newcomers = Newcomers()
    newcomers.charge(2 * S, 1, 1.0)
    assert newcomers.charge(S, 1, 0.0) == pytest.approx(1.0)
