"""The fates of failures: who comes back, against a life table from histories."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.reproduction import (
    AGES,
    BIN_NS,
    classify_age,
    compute_return_share,
    count_away,
    count_return,
    give_up,
)
from signals.shape import make_shape
from tests.signals.twins import reproduction as slow

ORIGIN = 72_000
"""A bin: an hour."""


@given(st.integers(0, AGES - 1))
def test_classes_of_age_double(age: int) -> None:
    """The class is the last one whose beginning has been reached."""
    assert classify_age(age) == slow.class_of(age)


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.one_of(st.none(), st.integers(0, 1_300))), max_size=40
    ),
    st.integers(0, 1_400),
)
@settings(max_examples=25, deadline=None)
def test_the_return_share_is_the_life_table(rows: list[tuple[int, int | None]], extra: int) -> None:
    """Returns, losses and those still away, from any history; late returns are losses."""
    now = ORIGIN + 401 + extra
    shape = make_shape()
    known: list[tuple[int, int | None]] = []
    events: list[tuple[int, int, int]] = []
    for failed, lag in rows:
        back = None if lag is None or lag >= AGES or ORIGIN + failed + lag >= now else failed + lag
        known.append((ORIGIN + failed, None if back is None else ORIGIN + back))
        events.append((ORIGIN + failed, 0, 0))
        if back is not None:
            events.append((ORIGIN + back, 1, ORIGIN + failed))
    events.sort()
    for idx in range(ORIGIN, now):
        while events and events[0][0] == idx:
            _, kind, failed = events.pop(0)
            if kind == 0:
                count_away(shape, idx * BIN_NS + 7)
            else:
                count_return(shape, idx * BIN_NS + 9, failed * BIN_NS + 7, True)
        give_up(shape, idx)
    found = compute_return_share(shape, now)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(slow.return_share(known, now), abs=1e-9)


def test_those_still_away_are_neither_returned_nor_lost() -> None:
    """Half of a crash's callers are back, the others not yet due: p is nearer to 1 than to 0.5."""
    shape = make_shape()
    for idx in range(100):
        count_away(shape, (ORIGIN + idx) * BIN_NS)
    for idx in range(50):
        count_return(shape, (ORIGIN + idx + 50) * BIN_NS, (ORIGIN + idx) * BIN_NS, True)
    assert compute_return_share(shape, ORIGIN + 100) > 0.8


def test_a_failure_that_a_fresh_call_answers_is_lost() -> None:
    """Half of the clients retry, the others' programs ask anew as soon: p is 1/2, not 1."""
    shape = make_shape()
    for idx in range(100):
        count_away(shape, (ORIGIN + idx) * BIN_NS)
        count_return(shape, (ORIGIN + idx + 5) * BIN_NS, (ORIGIN + idx) * BIN_NS, idx % 2 == 0)
    assert shape[0]["n_away"] == 0
    assert compute_return_share(shape, ORIGIN + 110) == pytest.approx(0.5)
