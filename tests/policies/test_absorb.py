"""Which refusals may be waited out, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.absorb import N_TRIES_MAX, longest_wait_ns

S = 1_000_000_000
NS = st.integers(0, 100 * S)


def test_off_is_never() -> None:
    """Without a bound nothing is waited out."""
    assert longest_wait_ns(0, 0, 10 * S, 0, 0) == 0


@given(NS, st.integers(0, 6), st.integers(-S, 100 * S), NS, NS)
def test_bounds(
    bound_ns: int, n_absorbed: int, left_ns: int, response_ns: int, asked_ns: int
) -> None:
    """Not above the route's bound, not beyond patience, never shorter than the upstream asked."""
    longest_ns = longest_wait_ns(bound_ns, n_absorbed, left_ns, response_ns, asked_ns)
    assert 0 <= longest_ns <= bound_ns
    if longest_ns:
        assert n_absorbed < N_TRIES_MAX
        assert asked_ns <= longest_ns <= left_ns - response_ns
