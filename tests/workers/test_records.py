"""Records carry every number of an arrival, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.workers.records import (
    ARRIVAL,
    HEAD,
    ID_AT,
    ID_BYTES,
    REASON_CODE,
    REASONS,
    UP_BYTES,
    Kind,
    pack_arrival,
    unpack_arrival,
)
from policies.decision import Reason
from tests.support.fields import fields_of

KEY = st.integers(-(1 << 63), (1 << 63) - 1)
TIME = st.integers(0, 1 << 62)


@given(
    keys=st.tuples(KEY, KEY, KEY, KEY, KEY, KEY, KEY),
    times=st.tuples(TIME, TIME),
    attempt=st.integers(-1, 1 << 40),
    small=st.tuples(st.integers(0, 7), st.integers(0, 255), st.integers(0, 255)),
    flags=st.tuples(*[st.booleans()] * 4),
    switches=st.integers(-1, (1 << 16) - 1),
    request_id=st.binary(max_size=ID_BYTES),
)
def test_an_arrival_comes_out_as_it_went_in(
    keys: tuple[int, ...],
    times: tuple[int, int],
    attempt: int,
    small: tuple[int, int, int],
    flags: tuple[bool, bool, bool, bool],
    switches: int,
    request_id: bytes,
) -> None:
    """Every field; an attempt beyond all reason is cut to what fits."""
    tenant, flow, tree, parent, fingerprint, affinity, source = keys
    urgency, family, kind = small
    arrival = Arrival(
        tenant,
        flow,
        tree,
        fingerprint,
        attempt,
        urgency,
        times[0],
        flags[0],
        flags[1],
        flags[2],
        family,
        parent,
        flags[3],
        kind,
        affinity,
        switches,
        times[1],
        source,
    )
    memory = memoryview(bytearray(2 * UP_BYTES))
    pack_arrival(memory, UP_BYTES, 5, 6, 7, Kind.ARRIVE, -8, arrival, 9, request_id, 10)
    assert HEAD.unpack_from(memory, UP_BYTES) == (5, 6, 7, Kind.ARRIVE, 0, -8)
    fields = ARRIVAL.unpack_from(memory, UP_BYTES)
    assert (fields[9], fields[15], fields[16]) == (parent, 9, 10)
    assert bytes(memory[UP_BYTES + ID_AT :][: fields[23]]) == request_id
    assert bytes(memory[:UP_BYTES]) == bytes(UP_BYTES)
    found = unpack_arrival(fields, tenant, flow, tree)
    for name in fields_of(Arrival):
        if name == "parent_flow":
            continue
        expected = getattr(arrival, name)
        if name == "attempt":
            expected = min(expected, (1 << 31) - 1)
        assert getattr(found, name) == expected, name


def test_every_reason_has_a_code() -> None:
    """Reasons travel as numbers, there and back."""
    assert [REASONS[REASON_CODE[reason]] for reason in Reason] == list(Reason)
