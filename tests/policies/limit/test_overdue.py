"""Overdue and stalled: told by the age of what is unanswered, before any answer is back."""

from __future__ import annotations

from policies.limit.base import Base
from policies.limit.overdue import Overdue

MS = 1_000_000
R_NS = 100 * MS


def usual() -> Base:
    """Return a base of 0.1 s."""
    base = Base()
    base.learn(18.4, 0.01, float(R_NS))
    return base


def run(overdue: Overdue, n_ticks: int, per_tick: int, n: int, age_ns: float, start: int) -> int:
    """Let ``per_tick`` answers come in each of ``n_ticks`` ticks; return the next tick's number."""
    base = usual()
    for number in range(start, start + n_ticks):
        overdue.n_answered += per_tick
        overdue.judge(number * 50 * MS, base, 0.25, n, age_ns)
    return start + n_ticks


def test_health_is_neither() -> None:
    """24 in flight of the usual age, 240 answers/s: nothing to see."""
    overdue = Overdue()
    run(overdue, 40, 12, 24, 0.6 * R_NS, 0)
    assert not overdue.is_overdue
    assert not overdue.is_stalled


def test_a_long_tail_is_overdue_and_no_stall() -> None:
    """Old requests beside a full rate of answers forbid growth and nothing else."""
    overdue = Overdue()
    run(overdue, 40, 12, 24, 4.0 * R_NS, 0)
    assert overdue.is_overdue
    assert not overdue.is_stalled


def test_a_stall_is_seen_within_a_second() -> None:
    """At a tenth of the answers, with twice in flight, it is a stall; and over when they return."""
    overdue = Overdue()
    number = run(overdue, 40, 12, 24, 0.6 * R_NS, 0)
    number = run(overdue, 16, 1, 50, 2.5 * R_NS, number)
    assert overdue.is_stalled
    run(overdue, 20, 16, 30, 0.6 * R_NS, number)
    assert not overdue.is_stalled
    assert not overdue.is_overdue


def test_nothing_is_said_without_a_base() -> None:
    """Before the first cohort was judged nothing is usual, so nothing is overdue."""
    overdue = Overdue()
    overdue.judge(50 * MS, Base(), 0.6, 100, 60e9)
    assert not overdue.is_overdue
    assert not overdue.is_stalled


def test_a_clock_that_stands_still_breaks_nothing() -> None:
    """Many looks at one instant, or an earlier one, give numbers."""
    overdue = Overdue()
    for now_ns in (5, 5, 3, 5):
        overdue.n_answered += 1
        overdue.judge(now_ns, usual(), 0.25, 5, 0.0)
    assert not overdue.is_stalled
