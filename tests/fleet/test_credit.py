"""What is lent is never more than half of what is free, whoever holds what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.fleet.credit import lend


@given(st.integers(-5, 500), st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_all_credit_together_leaves_half_of_what_is_free(n_free: int, opens: list[int]) -> None:
    """And all of the half is lent; who is lent something may hold more than it does."""
    credits = lend(n_free, opens)
    extras = [credit - n for credit, n in zip(credits, opens, strict=True) if credit]
    assert sum(extras) == max(0, n_free // 2)
    assert all(extra > 0 for extra in extras)


@given(st.integers(0, 500), st.integers(1, 100))
def test_who_holds_more_is_lent_more(n_free: int, n_open: int) -> None:
    """Demand shows in what is held."""
    idle, busy = lend(n_free, [0, n_open])
    assert busy - n_open >= idle - 1 or not busy
