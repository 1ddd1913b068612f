"""Who is crowd, and who comes by itself."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policies.herd import BOUND_MIN, KEPT_SHARE, WINDOW_NS, Herd

MS = 1_000_000
S = 1_000_000_000


def play(herd: Herd, arrivals_ns: list[int], until_ns: int) -> list[int]:
    """Feed arrivals with a tick every 50 ms; return those marked."""
    marked = []
    ticks = iter(range(0, until_ns, 50 * MS))
    tick_ns = next(ticks)
    for at_ns in sorted(arrivals_ns):
        while tick_ns <= at_ns:
            herd.tick(tick_ns)
            tick_ns = next(ticks, until_ns)
        if herd.note(at_ns):
            marked.append(at_ns)
    return marked


def poisson(seed: int, rate_hz: float, seconds: float) -> list[int]:
    """Independent callers."""
    rng, at_s, found = Random(seed), 0.0, []
    while (at_s := at_s + rng.expovariate(rate_hz)) < seconds:
        found.append(int(at_s * S))
    return found


def test_independent_callers_bear_no_mark() -> None:
    """Neither 5 nor 500 a second, once the bound has followed."""
    for rate_hz in (5.0, 50.0, 500.0):
        marked = play(Herd(), poisson(3, rate_hz, 60.0), 60 * S)
        assert not [x for x in marked if x > 10 * S]


def test_a_herd_is_marked_and_its_neighbours_are_not() -> None:
    """400 agents within 20 ms every 4 s: nearly all of them, and of 80 others who met them few."""
    herd_ns = [n * 4 * S + k * 50_000 for n in range(3, 15) for k in range(400)]
    others_ns = poisson(5, 100.0, 60.0)
    marked = set(play(Herd(), herd_ns + others_ns, 60 * S))
    assert len(marked & set(herd_ns)) > 0.9 * len(herd_ns)
    assert len(marked & set(others_ns)) < 0.02 * len(others_ns)


def test_a_herd_that_comes_back_never_becomes_the_rule() -> None:
    """After an hour of herds the bound is still that of the callers between them."""
    herd = Herd()
    play(herd, [n * 4 * S + k * 50_000 for n in range(900) for k in range(40)], 3600 * S)
    assert herd.bound <= 3 * BOUND_MIN


def test_a_ramp_is_followed() -> None:
    """Ten times the traffic is the rule within seconds."""
    arrivals_ns = poisson(1, 100.0, 20.0) + [20 * S + x for x in poisson(2, 1000.0, 60.0)]
    marked = play(Herd(), arrivals_ns, 80 * S)
    assert not [x for x in marked if x > 24 * S]


def test_the_crowd_leaves_places_to_those_who_come_by_themselves() -> None:
    """As many as come within a hold, and never more than a quarter."""
    herd = Herd()
    assert herd.kept_places(100, 20.0) == 4
    assert herd.kept_places(100, 1e6) == 25
    assert herd.kept_places(3, 20.0) == 0


@given(st.lists(st.integers(0, 5 * S), max_size=400), st.integers(1, 1000))
def test_a_window_has_no_mark_below_its_bound(arrivals_ns: list[int], limit: int) -> None:
    """Marked or not, at least the bound's arrivals of each window go free."""
    herd = Herd()
    n_by_window: dict[int, int] = {}
    for at_ns in sorted(arrivals_ns):
        window = at_ns // WINDOW_NS
        n_by_window[window] = n_by_window.get(window, 0) + 1
        assert herd.note(at_ns) == (n_by_window[window] > herd.bound)
    assert 0 <= herd.kept_places(limit, 100.0) <= KEPT_SHARE * limit


def test_a_clock_that_stands_still_or_goes_back_breaks_nothing() -> None:
    """The gate's clock never goes back; here even that would only lengthen a window."""
    herd = Herd()
    for at_ns in (S, S, 0, S):
        herd.note(at_ns)
        herd.tick(at_ns)
    assert herd.bound >= BOUND_MIN
