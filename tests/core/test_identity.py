"""Names become indices of a fixed table, and an index in use is never given away."""

from __future__ import annotations

import doctest
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core import identity
from governor.core.identity import HALF_LIFE_NS, IDLE_NS, OVERFLOW, Identities, IdentityTable

S = 1_000_000_000


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(identity).failed == 0


def test_the_same_key_has_the_same_index() -> None:
    """A key keeps its index, two keys have two, and none of them the shared one."""
    table = IdentityTable("flow", 8)
    first = [table.index(key, 0) for key in range(7)]
    assert sorted(first) == list(range(1, 8))
    assert [table.index(key, 1) for key in range(7)] == first


def test_who_finds_the_table_full_shares_index_zero() -> None:
    """Overflow is counted and harms nobody who is in the table."""
    table = IdentityTable("flow", 3)
    table.index(1, 0)
    table.index(2, 0)
    assert table.index(3, 0) == OVERFLOW
    assert table.index(4, 0) == OVERFLOW
    assert table.n_overflowed == 2
    assert table.index(2, 0) == 2


def test_a_table_of_one_is_refused() -> None:
    """There must be room beside the shared entry."""
    with pytest.raises(ValueError, match="at least 2"):
        IdentityTable("flow", 1)


def test_a_table_with_room_forgets_nobody() -> None:
    """However long unseen, an entry stays while places are free."""
    table = IdentityTable("flow", 100)
    first = table.index(1, 0)
    for key in range(2, 90):
        table.index(key, 1_000 * S)
    assert table.index(1, 2_000 * S) == first


def test_nobody_just_seen_gives_way() -> None:
    """A flood of fresh names cannot push out who was seen within the idle time."""
    table = IdentityTable("flow", 9)
    for key in range(8):
        table.index(key, 0)
    assert {table.index(key, IDLE_NS - 1) for key in range(100, 200)} == {OVERFLOW}
    assert table.index(100, IDLE_NS) != OVERFLOW


def test_a_freed_index_starts_from_nothing() -> None:
    """Attained service does not pass from one name to the next in the same place."""
    identities = Identities(2, 2, 2)
    idx = identities.flows.index(7, 0)
    identities.opened(0, idx, 0)
    identities.closed(0, idx, 0, 100.0)
    assert identities.flows.index(8, IDLE_NS) == idx
    assert identities.service_s(identities.flows, idx) == 0.0


def test_a_handover_is_told_and_a_new_place_is_not() -> None:
    """Only an index that stood for another key before has anything to be forgotten."""
    table = IdentityTable("flow", 3)
    told: list[int] = []
    table.on_handover = told.append
    first, second = table.index(1, 0), table.index(2, IDLE_NS)
    assert table.index(3, IDLE_NS) == first
    assert table.index(2, IDLE_NS) == second
    assert told == [first]


@given(start_ns=st.integers(0, 2**62), gaps=st.lists(st.integers(0, 10**13), max_size=20))
def test_attained_service_is_exact_on_any_clock(start_ns: int, gaps: list[int]) -> None:
    """Neither a late start of the clock nor long gaps overflow or distort the decayed sums."""
    identities = Identities(2, 2, 2)
    idx = identities.flows.index(1, start_ns)
    now_ns = start_ns
    identities.advance(now_ns)
    naive_s = 0.0
    for gap_ns in gaps:
        now_ns += gap_ns
        identities.advance(now_ns)
        naive_s = naive_s * 2.0 ** (-gap_ns / HALF_LIFE_NS) + 1.0
        identities.opened(0, idx, 0)
        identities.closed(0, idx, 0, 1.0)
    assert identities.service_s(identities.flows, idx) == pytest.approx(naive_s)


def test_a_clock_that_jumps_back_breaks_nothing() -> None:
    """Earlier instants give finite readings."""
    identities = Identities(4, 4, 4)
    identities.advance(10**15)
    flow = identities.flows.index(1, 10**15)
    identities.advance(0)
    identities.opened(0, flow, 0)
    identities.closed(0, flow, 0, 1.0)
    assert identities.service_s(identities.flows, flow) == pytest.approx(1.0)


def make_identities() -> Identities:
    """Return tables with indices 1..5 in use."""
    identities = Identities(8, 8, 8)
    for table in (identities.tenants, identities.flows, identities.trees):
        for key in range(1, 6):
            assert table.index(key, 0) == key
    return identities


def test_the_larger_of_flow_and_tree_counts() -> None:
    """Neither a busy agent nor a fan-out over many passes an idle caller."""
    identities = make_identities()
    for flow in (1, 2, 3):
        identities.opened(1, flow, 1)
        identities.closed(1, flow, 1, 2.0)
    identities.opened(1, 4, 1)
    assert identities.attained_s(4, 1, 0.1) == pytest.approx(6.0)
    identities.opened(1, 1, 2)
    assert identities.attained_s(1, 2, 0.1) == pytest.approx(2.0)


def test_open_calls_count_as_attained_but_not_the_caller_itself() -> None:
    """The hundredth call of a fan-out ranks behind the first of another at once."""
    identities = make_identities()
    for _ in range(100):
        identities.opened(1, 1, 1)
    identities.opened(1, 2, 2)
    assert identities.attained_s(1, 1, 0.1) == pytest.approx(9.9)
    assert identities.attained_s(2, 2, 0.1) == 0.0


def test_labels_name_kind_and_hash_only() -> None:
    """A label is stable and tells no more than 32 bits of a keyed hash."""
    table = IdentityTable("tree", 4)
    idx = table.index(-2, 0)
    assert table.label(idx) == "tree-fffffffe"
    assert table.label(OVERFLOW) == "tree-others"


def test_heaviest_lists_the_most_attained_first() -> None:
    """The state page sees who has had most."""
    identities = make_identities()
    for flow, seconds in ((1, 1.0), (2, 5.0), (3, 3.0)):
        identities.opened(0, flow, 0)
        identities.closed(0, flow, 0, seconds)
    assert identities.flows.heaviest(2) == [2, 3]


def test_a_million_names_take_no_more_memory() -> None:
    """Memory is bounded by the table, not by how many names callers invent."""
    table = IdentityTable("flow", 1_024)
    for key in range(20_000):
        table.index(key, key * 10_000_000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for key in range(20_000, 120_000):
        table.index(key * 7_919, key * 10_000_000)
    grown_bytes = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown_bytes < 200_000
    assert len(table) < 1_024


_EVENTS = st.lists(
    st.tuples(st.sampled_from(("arrive", "close", "wait")), st.integers(0, 30), st.integers(0, 90)),
    max_size=200,
)


@given(events=_EVENTS, capacity=st.integers(2, 12))
@settings(max_examples=200)
def test_an_index_with_open_leases_is_never_given_to_another(
    events: list[tuple[str, int, int]], capacity: int
) -> None:
    """Whatever comes and goes, a live index belongs to the key that opened it."""
    identities = Identities(2, capacity, 2)
    now_ns = 0
    holders: dict[int, list[int]] = {}
    for what, key, gap_s in events:
        if what == "arrive":
            idx = identities.flows.index(key, now_ns)
            if idx != OVERFLOW:
                assert set(holders.get(idx, [key])) <= {key}
                holders.setdefault(idx, []).append(key)
                identities.opened(0, idx, 0)
        elif what == "close":
            held = [idx for idx, keys in holders.items() if keys]
            if held:
                holders[held[0]].pop()
                if not holders[held[0]]:
                    del holders[held[0]]
                identities.closed(0, held[0], 0, 0.1)
        else:
            now_ns += gap_s * S
        for idx, keys in holders.items():
            assert identities.flows.n_open[idx] == len(keys)
