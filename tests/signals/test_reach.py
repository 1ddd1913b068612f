"""Reach: distinct visitors of a minute, within the stated error."""

from __future__ import annotations

import numpy as np
import pytest

from signals.reach import N_CELLS, REACH_S, count_visitors, find_cell, visit


@pytest.mark.parametrize("n", [1, 10, 300, 4_000, 12_000])
def test_as_many_as_there_were_are_counted(n: int) -> None:
    """Three standard errors of linear counting, or one visitor."""
    cells = np.zeros(N_CELLS, np.int32)
    for identity in range(1, n + 1):
        visit(cells, identity, 100)
        visit(cells, identity, 100)
    share = n / N_CELLS
    error = np.sqrt(N_CELLS * (np.exp(share) - share - 1))
    assert abs(count_visitors(cells, 100) - n) <= max(1.0, 3 * error)


def test_visitors_of_more_than_a_minute_ago_are_gone() -> None:
    """The window slides by the second."""
    cells = np.zeros(N_CELLS, np.int32)
    visit(cells, 5, 1_000)
    visit(cells, 0, 1_000)
    assert round(count_visitors(cells, 1_000 + REACH_S - 1)) == 1
    assert count_visitors(cells, 1_000 + REACH_S) == 0


def test_narrow_integers_are_hashed_like_wide_ones() -> None:
    """Tables hold int32; a cell is always inside."""
    for identity in (1, 65_535, 2**31 - 1):
        assert find_cell(np.int32(identity)) == find_cell(identity)
        assert 0 <= find_cell(identity) < N_CELLS
