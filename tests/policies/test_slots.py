"""When refusals are a storm, and for whom a retry can still help."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.slots import N_RETRIES, N_STORM, STORM_NS, RefusalStorm, Tries, latest_ns
from signals.families import CLAUDE_CODE, FAMILIES, GOOGLE, STAINLESS, UNKNOWN

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


def test_a_client_stops_after_its_default() -> None:
    """OpenAI's and Anthropic's retry twice; who is not known may retry as it likes."""
    tries = Tries()
    assert not tries.are_spent(STAINLESS, 1)
    assert tries.are_spent(STAINLESS, 2)
    assert not tries.are_spent(CLAUDE_CODE, 9)
    assert tries.are_spent(CLAUDE_CODE, 10)
    for family in (UNKNOWN, GOOGLE, -1, 99):
        assert not tries.are_spent(family, 10)


def test_a_family_seen_beyond_its_default_is_not_held_to_it() -> None:
    """An application has set more tries: then nothing is known any more."""
    tries = Tries()
    assert not tries.are_spent(STAINLESS, 3)
    assert not tries.are_spent(STAINLESS, 2)
    assert tries.are_spent(CLAUDE_CODE, 10)


def test_every_family_is_listed() -> None:
    """One number for each, none negative."""
    assert len(N_RETRIES) == len(FAMILIES)
    assert all(n >= 0 for n in N_RETRIES)


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
