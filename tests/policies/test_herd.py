"""Who is crowd, and who comes by itself."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.herd import BOUND_MIN, KEPT_SHARE, WINDOW_NS, Herd

MS = 1_000_000
S = 1_000_000_000


Arrival = tuple[int, int]
"""When, and whose: 0 is nobody in particular."""


def play(herd: Herd, arrivals: list[Arrival], until_ns: int, n_parts: int = 1) -> list[Arrival]:
    """Feed arrivals with a tick every 50 ms; return those marked."""
    marked = []
    ticks = iter(range(0, until_ns, 50 * MS))
    tick_ns = next(ticks)
    for at_ns, flow in sorted(arrivals):
        while tick_ns <= at_ns:
            herd.tick(tick_ns, n_parts)
            tick_ns = next(ticks, until_ns)
        if herd.note(at_ns, flow):
            marked.append((at_ns, flow))
    return marked


def poisson(
    seed: int, rate_hz: float, seconds: float, from_s: float = 0.0, n_flows: int = 0
) -> list[Arrival]:
    """Independent callers, named from 1000 on or nobody in particular."""
    rng, at_s, found = Random(seed), from_s, []
    while (at_s := at_s + rng.expovariate(rate_hz)) < from_s + seconds:
        found.append((int(at_s * S), 1000 + rng.randrange(n_flows) if n_flows else 0))
    return found


def herds(n: int, size: int, spread_s: float = 0.02) -> list[Arrival]:
    """Callers 1 to ``size``, all within ``spread_s``, every 4 s."""
    step_ns = int(spread_s * S) // size
    return [(k * 4 * S + m * step_ns, 1 + m) for k in range(1, n + 1) for m in range(size)]


def test_independent_callers_bear_no_mark() -> None:
    """Neither 5 nor 500 a second, once the bound has followed."""
    for rate_hz in (5.0, 50.0, 500.0):
        marked = play(Herd(), poisson(3, rate_hz, 60.0), 60 * S)
        assert not [at_ns for at_ns, _ in marked if at_ns > 10 * S]


@pytest.mark.parametrize("spread_s", [0.002, 0.02, 0.1])
def test_a_herd_is_marked_and_its_neighbours_are_not(spread_s: float) -> None:
    """400 agents every 4 s: nearly all of them; of 80 others who come as they like hardly any."""
    crowd, others = herds(12, 400, spread_s), poisson(5, 60.0, 50.0, n_flows=80)
    marked = [x for x in play(Herd(), crowd + others, 60 * S) if x[0] > 10 * S]
    n_crowd = sum(at_ns > 10 * S for at_ns, _ in crowd)
    assert sum(flow < 1000 for _, flow in marked) > 0.9 * n_crowd
    assert sum(flow >= 1000 for _, flow in marked) <= 0.002 * len(others)


def test_a_herd_of_strangers_is_marked() -> None:
    """Whoever was never seen to come alone has no such name to lose."""
    strangers = [(5 * S + k * 50_000, 1 + k) for k in range(400)]
    marked = play(Herd(), strangers + poisson(5, 60.0, 5.0, n_flows=80), 6 * S)
    assert len(marked) >= 400 - BOUND_MIN - 20


@pytest.mark.parametrize(("n_parts", "at_most"), [(3, 1.2), (10, 2.5)])
def test_parts_let_about_as_many_of_a_herd_pass_as_one_would(n_parts: int, at_most: float) -> None:
    """Of ten more, for each counts whole callers; with a whole bound each it were seven times."""

    def count_unmarked(n: int) -> int:
        arrivals = herds(12, 400, 0.06) + poisson(5, 60.0, 50.0, n_flows=80)
        marked = [
            play(Herd(), [x for x in arrivals if x[1] % n == part], 60 * S, n) for part in range(n)
        ]
        return 12 * 400 - sum(flow < 1000 for part in marked for _, flow in part)

    alone = count_unmarked(1)
    assert 0.5 * alone < count_unmarked(n_parts) < at_most * alone


@pytest.mark.parametrize("n_parts", [2, 10, 1000])
def test_independent_callers_of_a_part_bear_no_mark(n_parts: int) -> None:
    """However many the parts, six times its own scatter is no crowd."""
    for rate_hz in (50.0, 500.0, 5000.0):
        marked = play(Herd(), poisson(3, rate_hz, 20.0), 20 * S, n_parts)
        assert not [at_ns for at_ns, _ in marked if at_ns > 10 * S]


def test_a_herd_that_comes_back_never_becomes_the_rule() -> None:
    """After an hour of herds the bound is still that of the callers between them."""
    herd = Herd()
    play(herd, herds(899, 40), 3600 * S)
    assert herd.bound <= 2 * BOUND_MIN


@pytest.mark.parametrize(("before_hz", "after_hz"), [(100.0, 1000.0), (1.0, 10_000.0)])
def test_demand_that_rises_is_followed(before_hz: float, after_hz: float) -> None:
    """However steep, it is the rule within seconds."""
    arrivals = poisson(1, before_hz, 20.0) + poisson(2, after_hz, 5.0, from_s=20.0)
    marked = play(Herd(), arrivals, 26 * S)
    assert not [at_ns for at_ns, _ in marked if at_ns > 23 * S]


def test_the_crowd_leaves_places_to_those_who_come_by_themselves() -> None:
    """As many as come within a hold, and never more than a quarter."""
    herd = Herd()
    assert herd.kept_places(100, 20.0) == 4
    assert herd.kept_places(100, 1e6) == 25
    assert herd.kept_places(3, 20.0) == 0


@given(st.integers(1, 40), st.integers(1, 400))
def test_what_parts_keep_is_what_the_whole_keeps(n_parts: int, part: int) -> None:
    """Whole places of equal parts add up, though each by itself would be cut down."""
    herd = Herd()
    kept = [herd.kept_places(part, 1e6, rank / n_parts) for rank in range(n_parts)]
    assert sum(kept) == herd.kept_places(part * n_parts, 1e6)


@given(st.lists(st.integers(0, 5 * S), max_size=400), st.integers(1, 1000))
def test_a_window_has_no_mark_below_its_bound(arrivals_ns: list[int], limit: int) -> None:
    """Unless a crowd goes on, the first of each window go free, up to its bound."""
    herd = Herd()
    n_by_window: dict[int, int] = {}
    for at_ns in sorted(arrivals_ns):
        window = at_ns // WINDOW_NS
        n_by_window[window] = n_by_window.get(window, 0) + 1
        is_first = n_by_window.get(window - 1, 0) <= 1
        if herd.note(at_ns, 0) and is_first:
            assert n_by_window[window] > herd.bound
    assert 0 <= herd.kept_places(limit, 100.0) <= KEPT_SHARE * limit


def test_a_clock_that_stands_still_or_goes_back_breaks_nothing() -> None:
    """The gate's clock never goes back; here even that would only lengthen a window."""
    herd = Herd()
    for at_ns in (S, S, 0, S):
        herd.note(at_ns, 1)
        herd.tick(at_ns)
    assert herd.bound >= BOUND_MIN
