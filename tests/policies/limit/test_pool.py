"""Cohorts that several governors answer for together: told and heard, they are the whole cohort."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.limit.phases import Cohort, Kind, Phase
from policies.limit.pool import N_SLOTS, N_SUMS, Pool

MS = 1_000_000
TICK_NS = 100 * MS
NOBODY = [0] * (N_SLOTS * N_SUMS)

CALLS = st.lists(st.tuples(st.integers(10, 5_000), st.booleans()), min_size=1, max_size=30)
"""Each with its response time in ms, and whether it is answered when all is told."""


def make_pool() -> Pool:
    """Return a pool of several governors."""
    pool = Pool()
    pool.share(TICK_NS)
    return pool


def open_phase(pool: Pool, tag: int) -> Phase:
    """Open a phase of a pool."""
    phase = Phase(tag, Kind.LOW, 0, 1 << 62)
    pool.open(phase, tag)
    return phase


def count(phase: Phase, response_ms: int, is_answered: bool = True) -> None:
    """Count a call that was sent at 0 and met 20 in flight."""
    phase.n_dispatched += 1
    phase.n_bound += 1
    if is_answered:
        phase.n_answered += 1
        phase.n_slow += 1
        phase.log_sum += log(response_ms * MS)
        phase.log_sq_sum += log(response_ms * MS) ** 2
        phase.response_sum_ns += response_ms * MS
        phase.in_flight_sum += 40


@settings(max_examples=25)
@given(ours=CALLS, theirs=CALLS)
def test_what_two_have_counted_is_the_whole_cohort(
    ours: list[tuple[int, bool]], theirs: list[tuple[int, bool]]
) -> None:
    """Mean, spread and number are those of one governor that had sent all; to a thousandth."""
    one, other, alone = make_pool(), make_pool(), make_pool()
    mine, its, whole = (open_phase(pool, 5) for pool in (one, other, alone))
    for phase, calls in ((mine, ours), (its, theirs), (whole, ours + theirs)):
        for call in calls:
            count(phase, *call)
    if not mine.n_answered:
        count(mine, 100)
        count(whole, 100)
    now_ns = 10_000 * MS
    one.hear(now_ns, other.tell(now_ns), NOBODY)
    found, wanted = Cohort(one.whole(mine), now_ns), Cohort(whole, now_ns)
    assert found.n == wanted.n
    assert found.level == pytest.approx(wanted.level, abs=0.002)
    assert found.spread == pytest.approx(wanted.spread, abs=0.1)
    assert found.response_ns == pytest.approx(wanted.response_ns, rel=0.01, abs=MS)
    assert found.in_flight == pytest.approx(wanted.in_flight)
    assert found.is_bound == wanted.is_bound
    assert found.is_slow == wanted.is_slow


def test_a_slot_that_is_used_again_begins_at_nothing() -> None:
    """Totals go on over the phases of one slot, so what was told of an old one is no news."""
    one, other = make_pool(), make_pool()
    told = NOBODY
    for tag in range(3 * N_SLOTS):
        mine, its = open_phase(one, tag), open_phase(other, tag)
        for _ in range(tag + 1):
            count(its, 100)
        before, told = told, other.tell(0)
        one.hear(0, told, before)
        assert one.whole(mine).n_dispatched == tag + 1
        assert one.whole(mine).n_answered == tag + 1


def test_what_is_not_answered_elsewhere_counts_by_its_age() -> None:
    """Else the short answers, which come first, would pass for the cohort."""
    one, other = make_pool(), make_pool()
    mine, its = open_phase(one, 1), open_phase(other, 1)
    count(mine, 100)
    count(its, 0, is_answered=False)
    one.hear(3_000 * MS, other.tell(3_000 * MS), NOBODY)
    cohort = Cohort(one.whole(mine), 4_000 * MS)
    assert cohort.n == 2
    assert cohort.response_ns == pytest.approx((100 + 4_000) / 2 * MS)


def test_a_phase_is_judged_when_the_others_have_told() -> None:
    """Three exchanges after its end, and at once where nobody else is."""
    pool = make_pool()
    phase = open_phase(pool, 1)
    phase.closed_at_ns = 1_000 * MS
    assert not pool.is_heard(1_299 * MS, phase)
    assert pool.is_heard(1_300 * MS, phase)
    pool.share(0)
    assert pool.is_heard(1_000 * MS, phase)


def test_sums_of_others_than_before_are_not_compared() -> None:
    """When somebody has come or gone, the open phases are our own again; the next is not."""
    one, other = make_pool(), make_pool()
    mine, its = open_phase(one, 1), open_phase(other, 1)
    count(mine, 100)
    count(its, 100)
    one.hear(0, other.tell(0), NOBODY)
    assert one.whole(mine).n_dispatched == 2
    one.restart()
    one.hear(0, other.tell(0), NOBODY)
    assert one.whole(mine) is mine
    later = open_phase(one, 2)
    its = open_phase(other, 2)
    before = other.tell(0)
    count(its, 100)
    one.hear(0, other.tell(0), before)
    assert one.whole(later).n_dispatched == 1
