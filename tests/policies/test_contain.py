"""Long calls leave room for brief ones."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policies.contain import KEPT_SHARE, N_KINDS, Containment

MS = 1_000_000
S = 1_000_000_000
BRIEF, LONG = 7, 9


def play(
    loads: dict[int, tuple[float, float]], seconds: float, limit: int = 50, is_cut: bool = False
) -> Containment:
    """Let kinds come at (rate, holding time), exponential both, and tick every 50 ms."""
    rng, containment = Random(1), Containment()
    ends: list[tuple[int, int, int]] = []
    nexts = {kind: rng.expovariate(rate) for kind, (rate, _) in loads.items()}
    for tick_ns in range(0, int(seconds * S), 50 * MS):
        while ends and ends[0][0] <= tick_ns:
            at_ns, kind, opened_ns = heappop(ends)
            containment.close(kind, opened_ns, at_ns - opened_ns)
        for kind, (rate, held_s) in loads.items():
            while nexts[kind] * S <= tick_ns:
                containment.open(tick_ns, kind)
                held_ns = int(rng.expovariate(1.0 / held_s) * S)
                heappush(ends, (tick_ns + held_ns, kind, tick_ns))
                nexts[kind] += rng.expovariate(rate)
        containment.tick(tick_ns, limit)
    if not is_cut:
        for at_ns, kind, opened_ns in ends:
            containment.close(kind, opened_ns, at_ns - opened_ns)
    return containment


def test_minutes_leave_room_for_seconds() -> None:
    """The long may not take what the brief need: their load, its deviation, and one."""
    containment = play({BRIEF: (20.0, 0.3), LONG: (1.0, 30.0)}, 60.0, is_cut=True)
    assert containment.is_long(LONG)
    assert not containment.is_long(BRIEF)
    assert 7 <= containment.kept_places <= 13  # 6 + sqrt(6) + 1 = 9.4 on average


def test_one_cloud_is_not_split() -> None:
    """Kinds within a factor of four are equals."""
    containment = play({1: (10.0, 0.2), 2: (10.0, 0.4), 3: (5.0, 0.8)}, 30.0)
    assert containment.kept_places == 0
    assert not any(containment.is_long(kind) for kind in range(N_KINDS))


def test_a_kind_that_hangs_becomes_long_while_it_hangs() -> None:
    """Before its first call has ended, and no longer once all have."""
    containment = play({BRIEF: (20.0, 0.1)}, 10.0)
    for n in range(20):
        containment.open(10 * S + n, LONG)
    containment.tick(10 * S + 50 * MS, 50)
    assert not containment.is_long(LONG)
    for _ in range(20):
        containment.open(11 * S, BRIEF)
        containment.close(BRIEF, 11 * S, 100 * MS)
    containment.tick(12 * S, 50)
    assert containment.is_long(LONG)
    assert containment.n_long == 20
    for n in range(20):
        containment.close(LONG, 10 * S + n, 2 * S - n)
    assert containment.n_long == 0


def test_a_kind_nobody_calls_keeps_no_place() -> None:
    """A health check of yesterday is no reason to keep a place free."""
    containment = play({BRIEF: (5.0, 0.05)}, 10.0)
    for at_s in range(10, 400):
        containment.open(at_s * S, LONG)
        containment.close(LONG, at_s * S, 900 * MS)
        containment.tick(at_s * S + 950 * MS, 50)
    assert containment.kept_places == 0


@given(
    st.lists(
        st.tuples(st.integers(0, N_KINDS - 1), st.integers(0, 40_000), st.integers(1, 200)),
        max_size=150,
    )
)
def test_counts_agree_with_the_open_calls(
    calls: list[tuple[int, int, int]],
) -> None:
    """Whatever kinds come and go, the long are counted exactly and half of the limit is free."""
    containment = Containment()
    live: list[tuple[int, int]] = []
    now_ns = 0
    for kind, wait_ms, limit in calls:
        now_ns += (wait_ms + 1) * MS
        if len(live) > 5:
            closed, opened_ns = live.pop(0)
            containment.close(closed, opened_ns, now_ns - opened_ns)
        containment.open(now_ns, kind)
        live.append((kind, now_ns))
        containment.tick(now_ns, limit)
        assert containment.n_long == sum(containment.is_long(k) for k, _ in live)
        assert 0 <= containment.kept_places <= KEPT_SHARE * limit
    for kind, opened_ns in live:
        containment.close(kind, opened_ns, now_ns - opened_ns)
    assert containment.n_long == 0
