"""The ring: the last records in order, whatever came before."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Untouched
from governor.record.events import REASON_CODE, Kind
from governor.record.ring import N_MIN, Ring
from governor.record.rows import in_chunks
from governor.record.tap import Tap
from policies.decision import Outcome
from policies.limit import FixedLimit
from signals import SignalBank
from tests.record.traffic import Owner, Run, make_config
from tests.support.fields import fields_of


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


@given(
    st.lists(st.sampled_from(["arrive", "exempt", "nameless", "tick", "read"]), max_size=3 * N_MIN)
)
@settings(max_examples=20, deadline=None)
def test_every_arrival_has_the_checksum_of_its_own_id(steps: list[str]) -> None:
    """Whenever they are written, however often the ring has gone round meanwhile."""
    identities = Identities(8, 8, 8)
    gate = Gate("up", [FixedLimit(1)], SignalBank(8), identities)
    tap = Tap(Ring(N_MIN), salt=7)
    tap.attach([gate], identities)
    expected = []
    for number, step in enumerate(steps):
        if step == "tick":
            gate.tick(number)
        elif step == "read":
            tap.ring.since(0)
        else:
            owner = None if step == "nameless" else Owner(number)
            gate.arrive(number, Arrival(is_exempt=step == "exempt"), owner)
            expected.append(0 if owner is None else crc32(owner.request_id, 7))
    _, events = tap.ring.since(0)
    sums = events["request"][events["kind"] == Kind.ARRIVE].tolist()
    assert sums == expected[len(expected) - len(sums) :]
    assert len(sums) == len(expected) or len(events) == N_MIN
    assert tap.n_faults == 0


def test_a_ring_too_small_is_refused() -> None:
    """It says what is allowed."""
    with pytest.raises(ValueError, match="at least"):
        Ring(1)


@pytest.mark.parametrize("is_exempt", [True, False])
def test_every_number_of_an_arrival_comes_back(is_exempt: bool) -> None:
    """What a gate decides by is all in the record: a new field that is forgotten fails here.

    Both of one that is let through untouched, which is packed on a shorter way, and of others.
    """
    names = fields_of(Arrival)
    told = {name: 10 + place for place, name in enumerate(names)}
    told |= {name: True for name in names if name.startswith(("is_", "can_"))}
    arrival = Arrival()
    for name, value in told.items():
        setattr(arrival, name, value)
    arrival.is_exempt = is_exempt
    arrival.tenant = arrival.flow = arrival.tree = 0  # of which each table has an entry
    run = Run(make_config())
    decision = run.gates[0].arrive(0, arrival, Owner(1))
    assert (type(decision) is Untouched) is not is_exempt
    _, events = run.tap.ring.since(0)
    (chunk,) = in_chunks(events)
    heads = [chunk.head(idx) for idx in range(chunk.n)]
    found = [chunk.next_arrival()]
    reason, endpoint = REASON_CODE[decision.reason], decision.lease.endpoint_idx
    assert heads == [(0, 1, crc32(b"request-1", 7), 0, Kind.ARRIVE, 0, 0, reason, 0, endpoint)]
    assert [{name: getattr(one, name) for name in names} for one in found] == [
        {name: getattr(arrival, name) for name in names}
    ]


def test_an_end_and_a_first_byte_are_recorded_whole() -> None:
    """What was in their place before is not in them, but for what their kinds do not have."""
    run = Run(make_config(), n_records=N_MIN)
    gate, ring = run.gates[0], run.tap.ring
    ring.memory[:] = bytes([0xFF]) * len(ring.memory)
    lease = gate.arrive(5, Arrival()).lease
    gate.answered(6, lease, 200)
    gate.depart(7, lease, Outcome.FAILED, 503, 2_000)
    chunks = in_chunks(ring.since(0)[1])
    heads = [chunk.head(idx) for chunk in chunks for idx in range(chunk.n)]
    assert heads[0][4:] == (Kind.ARRIVE, 0, 0, 0, 0, lease.endpoint_idx)
    assert heads[1] == (6, 1, 0, 0, Kind.ANSWERED, 0, 0, 0, 200, 0)
    assert heads[2] == (7, 1, 0, 2_000, Kind.DEPART, 0, Outcome.FAILED, 0, 503, 0)
    assert run.tap.n_faults == 0
