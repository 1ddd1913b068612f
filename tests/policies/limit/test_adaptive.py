"""The adaptive limit whole: growth, stragglers, losses, clocks."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.limit import AdaptiveLimit
from policies.limit.adaptive import INITIAL
from policies.limit.ring import N_RING
from tests.policies.limit.feed import S, run_closed_loop


def test_every_phase_closes_by_count_or_time() -> None:
    """Eight dispatches and five seconds close a phase even without the ninth."""
    limit = AdaptiveLimit(1)
    limit.tick(0, 0)
    stamps = [limit.on_dispatch(idx, 1, False) for idx in range(4 + 6 + 8)]
    limit.tick(6 * S, 1)
    assert limit.on_dispatch(6 * S, 1, False) > stamps[-1]


def test_equal_answers_let_it_grow() -> None:
    """A service that never slows down is found to be larger and larger."""
    seen = run_closed_loop(AdaptiveLimit(1), lambda _now, _n: S // 10, S)
    assert seen[-1] > 4 * INITIAL


def test_a_queue_stops_the_growth() -> None:
    """Beyond 40 slots each answer waits for its turn: the limit settles near 40."""

    def sharing(_now_ns: int, n: int) -> int:
        return S // 10 * max(40, n) // 40

    seen = run_closed_loop(AdaptiveLimit(1), sharing, 20 * S)
    late = seen[len(seen) // 2 :]
    assert 30 <= sum(late) / len(late) <= 60


def test_a_slower_service_keeps_the_limit() -> None:
    """Ten times slower and just as many slots: the limit comes back to them."""

    def stalled(now_ns: int, n: int) -> int:
        slow = 10 if now_ns > 10 * S else 1
        return slow * S // 10 * max(40, n) // 40

    seen = run_closed_loop(AdaptiveLimit(1), stalled, 60 * S)
    assert sum(seen[-200:]) / 200 >= 24


def test_refusals_do_not_teach() -> None:
    """Requests that never give a sample leave base and level alone, and are not waited for."""
    limit = AdaptiveLimit(1)
    for idx in range(500):
        now_ns = idx * S // 100
        phase = limit.on_dispatch(now_ns, 2, False)
        if idx % 2:
            limit.on_depart(now_ns + S // 1000, S // 1000, False)
        else:
            limit.on_answer(now_ns + S // 20, phase, now_ns, 2, 2)
            limit.on_depart(now_ns + S // 20, S // 20, True)
        limit.tick(now_ns, 2)
    assert limit.limit >= INITIAL
    assert limit.response_ns() == pytest.approx(S // 20, rel=0.01)


def test_only_lost_requests_teach_nothing() -> None:
    """An endpoint that answers nobody normally keeps the first limit."""
    limit = AdaptiveLimit(1)
    for idx in range(2000):
        limit.on_dispatch(idx * S // 100, 1, False)
        limit.on_depart(idx * S // 100 + 1000, 1000, False)
        limit.tick(idx * S // 100, 0)
    assert limit.limit == INITIAL
    assert limit.response_ns() == 0


def test_same_seed_same_limit() -> None:
    """Nothing but the seed decides the length of phases."""
    a = run_closed_loop(AdaptiveLimit(7), lambda _now, n: S // 10 * max(20, n) // 20, 10 * S)
    b = run_closed_loop(AdaptiveLimit(7), lambda _now, n: S // 10 * max(20, n) // 20, 10 * S)
    assert a == b


def test_time_shift_changes_nothing() -> None:
    """Only differences of instants matter."""

    def sharing(_now_ns: int, n: int) -> int:
        return S // 10 * max(20, n) // 20

    a = run_closed_loop(AdaptiveLimit(7), sharing, 10 * S)
    b = run_closed_loop(AdaptiveLimit(7), sharing, 10 * S, start_ns=10**15)
    assert a[2:] == pytest.approx(b[2:], rel=0.2)


@pytest.mark.parametrize("bounds", [(0, 1, 5), (5, 6, 9), (5, 1, 4)])
def test_bounds_are_checked(bounds: tuple[int, int, int]) -> None:
    """Impossible bounds are refused, never bent."""
    initial, floor, ceiling = bounds
    with pytest.raises(ValueError, match="floor"):
        AdaptiveLimit(1, initial, floor, ceiling)


EVENTS = st.lists(
    st.tuples(st.sampled_from("daaltx"), st.integers(-(2 * S), 3 * S), st.integers(0, 40)),
    min_size=1,
    max_size=400,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(0, 2**31), st.integers(1, 64))
def test_any_history_keeps_it_sane(
    events: list[tuple[str, int, int]], seed: int, initial: int
) -> None:
    """Answers, losses, stalls and jumps of the clock: 1 <= limit, no NaN, bounded memory."""
    limit = AdaptiveLimit(seed, initial)
    now_ns = 10 * S
    open_leases: list[tuple[int, int, int]] = []
    for what, step_ns, pick in events:
        now_ns = max(0, now_ns + step_ns // (1 if pick % 5 == 0 else 100))
        if what == "d":
            for _ in range(1 + pick):
                n = len(open_leases) + 1
                phase = limit.on_dispatch(now_ns, n, n >= limit.limit)
                open_leases.append((phase, now_ns, n))
        elif what == "t":
            limit.tick(now_ns, len(open_leases))
        elif open_leases:
            phase, sent_ns, n_sent = open_leases.pop(pick % len(open_leases))
            if what == "a":
                limit.on_answer(now_ns, phase, sent_ns, n_sent, len(open_leases) + 1)
            if what != "x":
                limit.on_depart(now_ns, now_ns - sent_ns, what == "a")
        assert limit.limit >= 1
        assert isfinite(limit.capacity_hz(now_ns))
        assert isfinite(limit.best_capacity_hz(now_ns))
        assert limit.response_ns() >= 0
    assert all(isfinite(x) for x in limit.explain().values() if isinstance(x, float))
    assert len(limit._phases) == N_RING


def test_a_ceiling_from_refusals_bounds_the_best_capacity() -> None:
    """What it served in its best times says nothing once it refuses beyond so many places."""
    limit = AdaptiveLimit(1)
    run_closed_loop(limit, lambda _now, _n: S // 10, S)
    now_ns = 20 * S
    before_hz = limit.best_capacity_hz(now_ns)
    for step in range(2):
        limit.tick(now_ns + step * S, 0)
    for _ in range(5):
        limit.on_refused(now_ns, 6)
    assert limit.best_capacity_hz(now_ns) == pytest.approx(50.0, rel=0.1)
    assert before_hz > 100.0
