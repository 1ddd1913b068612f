"""A pace believes bad news at once and good news later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.pace import N_OVERDUE, PEAK_STEP, TAU_NS, Pace

MS = 1_000_000
S = 1_000_000_000


def answer(pace: Pace, now_ns: int, response_ns: int) -> None:
    """Let a call that was sent in time be answered now."""
    pace.sent(now_ns - response_ns)
    pace.answered(now_ns, now_ns - response_ns)


def test_a_peak_is_believed_at_once() -> None:
    """A slower answer becomes the reading, a faster one moves it by its age over tau."""
    pace = Pace()
    assert pace.read_ns(0) == 0.0
    answer(pace, S, 100 * MS)
    assert pace.read_ns(S) == 100 * MS
    answer(pace, 2 * S, 300 * MS)
    assert pace.read_ns(2 * S) == 300 * MS
    answer(pace, 2 * S + TAU_NS, 100 * MS)
    assert pace.read_ns(2 * S + TAU_NS) == pytest.approx((100 + 200 * 0.36788) * MS, rel=1e-4)


def test_one_slow_call_is_an_outlier_two_are_a_change() -> None:
    """No single sample counts more than four times the mean."""
    pace = Pace()
    answer(pace, S, 100 * MS)
    answer(pace, 62 * S, 60 * S)
    assert pace.read_ns(62 * S) == PEAK_STEP * 100 * MS
    answer(pace, 63 * S, S)
    assert pace.read_ns(63 * S) == S


def test_silence_speaks() -> None:
    """Unanswered calls of a mean age above the mean raise the reading, without any sample."""
    pace = Pace()
    answer(pace, S, 100 * MS)
    for _ in range(N_OVERDUE):
        pace.sent(S)
    assert pace.read_ns(S + 50 * MS) == 100 * MS
    assert pace.read_ns(S + 250 * MS) == 250 * MS
    assert pace.read_ns(S + 60 * S) == PEAK_STEP * 100 * MS
    pace.dropped(S)
    assert pace.read_ns(S + 60 * S) == 100 * MS


@given(st.lists(st.tuples(st.integers(0, S), st.integers(0, 10 * S)), max_size=60))
def test_reads_within_what_was_seen(calls: list[tuple[int, int]]) -> None:
    """The reading lies between the fastest and the slowest answer, whatever the order."""
    pace, now_ns = Pace(), 10 * S
    for pause_ns, response_ns in calls:
        now_ns += pause_ns
        answer(pace, now_ns, response_ns)
        seen = [max(1, x) for _, x in calls]
        assert min(seen) * (1 - 1e-9) <= pace.read_ns(now_ns) <= max(seen) * (1 + 1e-9)
    assert pace.n_unanswered == 0
