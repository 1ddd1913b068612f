"""What is lent is what is free, whoever holds what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.workers.credit import lend


@given(st.integers(-5, 500), st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_all_credit_together_is_what_is_free(n_free: int, opens: list[int]) -> None:
    """So all of it together cannot exceed the limit; who is lent something may hold more."""
    credits = lend(n_free, opens)
    extras = [credit - n for credit, n in zip(credits, opens, strict=True) if credit]
    assert sum(extras) == max(0, n_free)
    assert all(extra > 0 for extra in extras)


@given(st.integers(0, 500), st.integers(1, 100))
def test_who_holds_more_is_lent_more(n_free: int, n_open: int) -> None:
    """Demand shows in what is held."""
    idle, busy = lend(n_free, [0, n_open])
    assert busy - n_open >= idle - 1 or not busy
