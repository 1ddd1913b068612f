"""Phases and cohorts: maturity, stragglers, censoring."""

from __future__ import annotations

from math import exp, log

import pytest

from policies.limit.phases import LATE_RESPONSES, N_MIN, Cohort, Kind, Phase

MS = 1_000_000


def phase_of(n_sent: int, n_answered: int, response_ns: int = 100 * MS) -> Phase:
    """Return a closed phase, all sent at 0 and closed at 0."""
    phase = Phase(1, Kind.STEADY, 0, N_MIN)
    phase.n_dispatched = n_sent
    phase.n_answered = n_answered
    phase.response_sum_ns = n_answered * response_ns
    phase.log_sum = n_answered * log(response_ns)
    phase.log_sq_sum = n_answered * log(response_ns) ** 2
    phase.in_flight_sum = n_answered * 2 * 10
    phase.closed_at_ns = 0
    return phase


def test_an_open_phase_is_never_mature() -> None:
    """A phase that still takes dispatches cannot be judged."""
    phase = phase_of(16, 16)
    phase.closed_at_ns = -1
    assert not phase.is_mature(10**12, 0.0)


def test_all_answered_is_mature_at_once() -> None:
    """Nothing is missing: no waiting."""
    assert phase_of(16, 16).is_mature(0, 100 * MS)


def test_a_straggler_is_waited_for_but_not_for_ever() -> None:
    """With 15 of 16 answered the phase matures 1.2 mean response times after it closed."""
    phase = phase_of(16, 15)
    assert not phase.is_mature(119 * MS, 100 * MS)
    assert phase.is_mature(120 * MS, 100 * MS)


def test_too_many_missing_are_waited_for_longer() -> None:
    """Below 75 % answered the phase is judged only after twelve response times."""
    phase = phase_of(16, 8)
    late_ns = int(LATE_RESPONSES * 100 * MS)
    assert not phase.is_mature(late_ns - MS, 100 * MS)
    assert phase.is_mature(late_ns, 100 * MS)


def test_a_young_phase_waits_for_all_its_answers() -> None:
    """The first answers to come are the short ones: they alone must not make the base."""
    phase = phase_of(4, 3)
    phase.n_target = 4
    assert not phase.is_mature(200 * MS, 100 * MS)


def test_missing_answers_count_with_their_age() -> None:
    """A straggler enters at the logarithm of its age, never as if it had not been sent."""
    phase = phase_of(4, 3, response_ns=100 * MS)
    cohort = Cohort(phase, 800 * MS)
    assert cohort.level == pytest.approx((3 * log(100 * MS) + log(800 * MS)) / 4)
    assert cohort.response_ns == pytest.approx(275 * MS)
    assert cohort.n == 4


def test_cohort_of_equal_answers() -> None:
    """Equal response times: no spread, level is their logarithm."""
    cohort = Cohort(phase_of(16, 16), 0)
    assert exp(cohort.level) == pytest.approx(100 * MS)
    assert cohort.spread == pytest.approx(0.0, abs=1e-6)
    assert cohort.in_flight == pytest.approx(10.0)


def test_bound_is_half_of_the_dispatches() -> None:
    """A phase met the limit when at least half of its dispatches did; an empty one did not."""
    phase = phase_of(16, 16)
    phase.n_bound = 7
    assert not phase.is_bound
    phase.n_bound = 8
    assert phase.is_bound
    assert not Phase(0, Kind.LOW, 0, 16).is_bound
