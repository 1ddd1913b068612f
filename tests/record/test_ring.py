"""The ring: the last records in order, whatever came before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.record.events import Kind
from governor.record.ring import N_MIN, Ring
from governor.record.rows import in_chunks
from governor.record.tap import Tap
from tests.record.traffic import Run, make_config


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


def test_every_number_of_an_arrival_comes_back() -> None:
    """What a gate decides by is all in the record: a new field that is forgotten fails here."""
    names = Arrival.__slots__
    told = {name: 10 + place for place, name in enumerate(names)}
    told |= {name: True for name in names if name.startswith(("is_", "can_"))}
    arrival = Arrival(is_exempt=True)
    for name, value in told.items():
        setattr(arrival, name, value)
    arrival.tenant = arrival.flow = arrival.tree = 0  # of which each table has an entry
    run = Run(make_config())
    run.gates[0].arrive(0, arrival)
    _, events = run.tap.ring.since(0)
    shapes = [shape for chunk in in_chunks(events) for shape in chunk.shapes]
    assert len(shapes) == 1
    found = Arrival(*shapes[0])
    assert {name: getattr(found, name) for name in names} == {
        name: getattr(arrival, name) for name in names
    }
