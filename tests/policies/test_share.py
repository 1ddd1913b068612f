"""Places are divided by demand, max-min fairly, and none is lost or made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.share import N_BINS, bin_of, fair_part, whole_places

DEMANDS = st.lists(st.integers(0, 500), min_size=1, max_size=12)


def histogram(demands: list[int]) -> tuple[list[int], list[int]]:
    """Return how many ask, and for how much, by bin."""
    n_asking, asked = [0] * N_BINS, [0] * N_BINS
    for demand in demands:
        if demand:
            n_asking[bin_of(demand)] += 1
            asked[bin_of(demand)] += demand
    return n_asking, asked


def parts(demands: list[int], places: float) -> list[float]:
    """Return everybody's part, each as it computes it itself."""
    return [
        fair_part(own, *histogram(demands[:idx] + demands[idx + 1 :]), places, len(demands))
        for idx, own in enumerate(demands)
    ]


@given(demands=DEMANDS, places=st.integers(1, 400))
def test_nobody_gets_more_than_it_asks_for_while_others_lack(
    demands: list[int], places: int
) -> None:
    """Where demand exceeds the places, a part is at most the demand; else all is met."""
    for own, part in zip(demands, parts(demands, places), strict=True):
        if sum(demands) > places:
            assert 0.0 <= part <= own
        else:
            assert part >= own


@given(demands=DEMANDS, places=st.integers(1, 400))
def test_all_places_are_given_and_no_more_where_bins_tell_demands_apart(
    demands: list[int], places: int
) -> None:
    """With at most one governor to a bin the parts are the places, to rounding."""
    seen: set[int] = set()
    apart = [x for x in demands if x and not (bin_of(x) in seen or seen.add(bin_of(x)))]
    if sum(apart) > places:
        assert abs(sum(parts(apart, places)) - places) < 1e-6


@given(demands=DEMANDS, places=st.integers(1, 400))
def test_slack_is_lent_out_evenly(demands: list[int], places: int) -> None:
    """What nobody asks for is divided among all, so the parts are the places again."""
    if sum(demands) <= places:
        assert abs(sum(parts(demands, places)) - places) < 1e-6


@given(n=st.integers(1, 50), places=st.integers(1, 1000))
def test_equal_parts_are_whole_places_that_add_up(n: int, places: int) -> None:
    """Hermite's identity: ranks take turns in rounding up; nobody is left without a place."""
    whole = [whole_places(places / n, rank, n) for rank in range(n)]
    assert sum(whole) == places if places >= n else whole == [1] * n
    assert max(whole) - min(whole) <= 1
