"""When refusals are a storm, and for whom a retry can still help."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.slots import N_STORM, STORM_NS, RefusalStorm, latest_ns, standstill_ns

S = 1_000_000_000


def test_the_fifth_refusal_within_a_second_is_a_storm() -> None:
    """Four are not, nor are five over a longer time."""
    storm = RefusalStorm()
    for n in range(N_STORM - 1):
        storm.note(n * 1_000)
        assert not storm.is_on(n * 1_000, 0)
    storm.note(S)
    assert storm.is_on(STORM_NS, 0)
    assert not storm.is_on(STORM_NS + 1, 0)


def test_while_callers_are_invited_it_is_a_storm() -> None:
    """Who was given a time must not be overtaken by who was given none."""
    storm = RefusalStorm()
    assert storm.is_on(0, 1)
    assert not storm.is_on(0, 0)


def test_a_caller_stays_away_from_a_standstill_as_it_would_by_itself() -> None:
    """Half a second, doubled with each attempt, at most eight; a first attempt has no number."""
    assert [standstill_ns(n) / S for n in (-1, 0, 1, 2, 3, 4, 5, 99)] == [
        0.5,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        8.0,
        8.0,
    ]


@given(st.integers(0, 100 * S), st.booleans(), st.integers(0, 100 * S), st.integers(0, 10 * S))
def test_a_slot_leaves_time_for_the_answer(
    patience_ns: int, is_deadline: bool, elapsed_ns: int, response_ns: int
) -> None:
    """Never beyond the horizon; within a deadline the answer fits after it."""
    found = latest_ns(60 * S, patience_ns, is_deadline, elapsed_ns, response_ns)
    assert found <= 60 * S
    if is_deadline and patience_ns:
        assert elapsed_ns + found + response_ns <= patience_ns
    else:
        assert found == 60 * S
