"""The ring: the last records in order, whatever came before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.record.events import Kind
from governor.record.ring import N_MIN, Ring
from governor.record.tap import Tap


@given(st.integers(0, 4 * N_MIN), st.integers(0, 5 * N_MIN))
def test_it_gives_what_is_still_there_from_a_number_on(n: int, since: int) -> None:
    """The records of a number and later, oldest first, but for those that made room."""
    tap = Tap(Ring(N_MIN))
    for number in range(n):
        tap.note(number, Kind.TICK, 0)
    first, events = tap.ring.since(since)
    expected = list(range(min(max(since, n - N_MIN, 0), n), n))
    assert events["t_ns"].tolist() == expected
    assert first == (expected[0] if expected else n)
    assert tap.ring.n_written == n


def test_a_number_out_of_range_is_counted_and_costs_its_record_only() -> None:
    """A fault in recording never reaches a request."""
    tap = Tap(Ring(N_MIN))
    tap.note(1 << 70, Kind.TICK, 0)
    tap.note(5, Kind.TICK, 0)
    assert tap.n_faults == 1
    assert tap.ring.since(0)[1]["t_ns"].tolist() == [5]


def test_a_ring_too_small_is_refused() -> None:
    """It says what is allowed."""
    with pytest.raises(ValueError, match="at least"):
        Ring(1)
