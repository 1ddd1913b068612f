"""One pool of rows for all upstreams: whose row is whose, and which may be given away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signals import ATTEMPT_MASK, FAILED, Shared, SignalBank
from signals.retry import MEMORY_NS, keep_failure
from signals.rows import N_ROWS, NO_ROW, clear_row, find_row, make_heads, take_row
from signals.state import EPOCH_NS, FLOW_DTYPE, LEAP_MAX_NS, PROCESS_DTYPE, make_flows
from signals.trees import make_agents
from tests.signals.short import ShortBank
from tests.signals.test_bank import Event, feed, make_events
from tests.signals.twins.rows import NaiveRows

MS = 1_000_000
S = 1_000 * MS

PLACE = ("flow", "upstream", "generation", "next", "n_open")
"""Whose row it is and where it hangs: all else is what its flow did."""


class Rows:
    """The parts as the events' kernels put them together, at instants of one's own."""

    def __init__(self, n_rows: int, n_flows: int = 16) -> None:
        self.process = np.zeros(1, PROCESS_DTYPE)
        self.flows = make_flows(n_rows)
        self.heads = make_heads(n_rows)
        self.agents = make_agents(n_flows)

    def take(self, upstream: int, flow: int, now_ns: int) -> int:
        """An arrival's row."""
        row = take_row(
            self.process, self.heads, self.flows, self.agents, upstream, flow, EPOCH_NS + now_ns
        )
        if row != NO_ROW:
            self.flows[row]["last_ns"] = EPOCH_NS + now_ns
        return row

    def owners(self) -> list[tuple[int, int]]:
        """The pair of every row in use."""
        used = self.flows[1 : int(self.process[0]["n_rows_used"]) + 1]
        return [(int(row["upstream"]), int(row["flow"])) for row in used]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take"] * 6 + ["open", "close", "fail", "watch", "hand over"]),
        st.integers(0, 3),  # upstream
        st.integers(1, 7),  # flow
        st.sampled_from([0, 1, 5 * S, 30 * S, 61 * S]),  # time that passes before
    ),
    max_size=80,
)


def act(what: str, rows: Rows, twin: NaiveRows, row: int, now_ns: int) -> None:
    """Let something befall a row that its pair has just used."""
    record, known = rows.flows[row], twin.rows[row - 1]
    if what == "open":
        record["n_open"] += 1
        known.n_open += 1
    elif what == "close" and known.n_open > 0:
        record["n_open"] -= 1
        known.n_open -= 1
    elif what == "fail" and len(known.failed_ns) < 4:
        keep_failure(rows.flows, row, float(now_ns), 0, 0, EPOCH_NS + now_ns, 0)
        known.failed_ns.append(now_ns)
    elif what == "watch":
        record["watched_ns"] = EPOCH_NS + now_ns
        known.watched_ns = now_ns


@settings(max_examples=150, deadline=None)
@given(n_rows=st.integers(2, 12), steps=STEPS)
def test_rows_are_those_of_a_plain_list(
    n_rows: int, steps: list[tuple[str, int, int, int]]
) -> None:
    """Same rows, same counters; nobody has another's, and no row that is needed changes hands."""
    rows, twin = Rows(n_rows), NaiveRows(n_rows)
    now_ns = 0
    for what, upstream, flow, gap_ns in steps:
        now_ns += gap_ns + 1
        if what == "hand over":
            rows.agents["generation"][flow] += 1
            twin.hand_over(flow)
            continue
        needed = {k: row.pair for k, row in enumerate(twin.rows) if row.is_needed(now_ns)}
        row = rows.take(upstream, flow, now_ns)
        assert row == twin.take(upstream, flow, now_ns)
        owners = rows.owners()
        assert owners == [known.pair for known in twin.rows]
        assert len(set(owners)) == len(owners)
        assert all(owners[k] == pair for k, pair in needed.items())
        for u, f in owners:
            found = find_row(rows.heads, rows.flows, u, f)
            assert owners[found - 1] == (u, f)
        if row != NO_ROW:
            act(what, rows, twin, row, now_ns)
    p = rows.process[0]
    assert (p["n_rows_reclaimed"], p["n_rows_overflowed"]) == (twin.n_reclaimed, twin.n_overflowed)


def test_an_unknown_flow_takes_no_row() -> None:
    """Flow 0 is nobody in particular, and is no overflow either."""
    rows = Rows(4)
    assert rows.take(0, 0, 0) == NO_ROW
    assert rows.process[0]["n_rows_used"] == rows.process[0]["n_rows_overflowed"] == 0


def test_a_cleared_row_is_a_new_one() -> None:
    """Every field that a flow writes is zero again; whose it is and its open calls stay."""
    flows = make_flows(2)
    flows[1:].view(np.uint8)[:] = 1
    clear_row(flows, 1)
    for name in FLOW_DTYPE.names or ():
        assert flows[name][1].any() == (name in PLACE), name


@pytest.mark.parametrize("n_rows", [1, 2, 3, 1_000, N_ROWS])
def test_heads_are_a_power_of_two_and_as_many_as_rows(n_rows: int) -> None:
    """A mask then finds the bucket; at one upstream each flow has its own."""
    n = len(make_heads(n_rows))
    assert n >= n_rows
    assert n & (n - 1) == 0


# -- through banks -------------------------------------------------------------------


def fail(bank: SignalBank, now_ns: int, flow: int, shape: int = 7) -> None:
    """Let one call come and fail."""
    bank.observe_end(now_ns, bank.observe_arrival(now_ns, 1, flow, 1, shape), FAILED)


def attempt_of(bank: SignalBank, now_ns: int, flow: int, shape: int = 7) -> int:
    """Let one call come; return its attempt."""
    return bank.observe_arrival(now_ns, 1, flow, 1, shape) & ATTEMPT_MASK


def read_of_flows(bank: SignalBank) -> dict[str, float]:
    """The readings that rest on rows and on nothing that upstreams share."""
    prefixes = ("retry", "synchrony", "failure", "cascade", "repeat", "organic", "identified")
    return {x.name: x.value for x in bank.read() if x.name.startswith(prefixes)}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=1_056_721_085)  # an unknown caller's retry at one moved the other's count of flows
def test_upstreams_never_see_each_others_rows(seed: int) -> None:
    """Two upstreams that the same flows call read the same together as each alone."""
    events = [make_events(seed + k, 200, 12, 50.0, 0.5) for k in range(2)]
    shared = Shared(64)
    together = [ShortBank(16, shared, k) for k in range(2)]
    alone = [ShortBank(16, Shared(64)) for _ in range(2)]
    both = sorted(
        ((event[1], k, event) for k in range(2) for event in events[k]), key=lambda x: x[:2]
    )
    stop_ns = both[-1][0] + 1
    for bank in (*together, *alone):
        bank.tick(0)
    for _, k, event in both:
        assert feed(together[k], [event]) == feed(alone[k], [event])
    for k in range(2):
        together[k].tick(stop_ns)
        alone[k].tick(stop_ns)
        assert read_of_flows(together[k]) == read_of_flows(alone[k])


def make_tight(n_flows: int = 64) -> ShortBank:
    """A bank over a pool of eight rows."""
    return ShortBank(n_flows, Shared(64, n_rows=9))


def stretch(events: list[Event]) -> list[Event]:
    """Slow events down until rows fall silent between them; no gap is cut as a leap."""
    slow: list[Event] = []
    previous_ns = at_ns = 0
    for kind, now_ns, *rest in events:
        at_ns += min(60 * (now_ns - previous_ns), LEAP_MAX_NS)
        previous_ns = now_ns
        slow.append((kind, at_ns, *rest))
    return slow


@pytest.mark.long_play
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), order=st.randoms())
def test_renumbering_flows_changes_nothing_in_a_full_pool(seed: int, order: Any) -> None:
    """Who gets a row, and who loses one, depends on when they came, not on their number."""
    events = stretch(make_events(seed, 200, 20, 20.0, 0.5))
    names = list(range(1, 64))
    order.shuffle(names)
    renamed = [(k, t, names[f] if f else 0, *rest) for k, t, f, *rest in events]
    here, there = make_tight(), make_tight()
    assert feed(here, events) == feed(there, renamed)
    assert here.read() == there.read()
    assert here.describe_rows() == there.describe_rows()
    assert here.describe_rows().used == 8


@pytest.mark.long_play
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), tick_ms=st.integers(300, 9_000))
def test_splitting_ticks_changes_nothing_in_a_full_pool(seed: int, tick_ms: int) -> None:
    """Rows are given away by events, at their instants: never by a tick."""
    events = stretch(make_events(seed, 60, 20, 20.0, 1.0))  # good ends tell no time
    stop_ns = events[-1][1] + S
    ticks: list[Event] = [("tick", t) for t in range(0, stop_ns, tick_ms * MS)]
    here, there = make_tight(), make_tight()
    here.tick(0)
    feed(here, events)
    feed(there, sorted(events + ticks, key=lambda event: event[1]))
    here.tick(stop_ns)
    there.tick(stop_ns)
    assert here.read() == there.read()
    assert here.describe_rows() == there.describe_rows()


def test_who_finds_the_pool_full_is_unknown_and_counted() -> None:
    """It infers nothing, disturbs nobody, and has a row once another's has been silent."""
    bank = SignalBank(16, Shared(64, n_rows=3))
    fail(bank, 0, 1)
    fail(bank, 0, 2)
    fail(bank, 0, 3)
    assert bank.describe_rows() == (2, 2, 0, 1)
    assert bank.state.bank[0]["open_unidentified"] == 1
    assert attempt_of(bank, S, 3) == 0
    assert bank.culprits().n_flows == 2
    assert [attempt_of(bank, S, flow) for flow in (1, 2)] == [1, 1]
    assert not bank.state.flows[NO_ROW]["n_failed"].any()
    assert bank.describe_rows().overflowed == 2


def test_a_silent_pair_gives_way_and_an_open_call_does_not() -> None:
    """A minute after its last call, its failure and its end, a row is anybody's."""
    bank = SignalBank(16, Shared(64, n_rows=3))
    fail(bank, 0, 1)
    held = bank.observe_arrival(0, 1, 2, 1, 7)
    fail(bank, MEMORY_NS - 1, 3)
    assert bank.describe_rows().reclaimed == 0
    fail(bank, MEMORY_NS, 4)
    fail(bank, MEMORY_NS, 5)
    assert bank.describe_rows() == (2, 2, 1, 2)
    assert attempt_of(bank, MEMORY_NS + S, 4) == 1
    bank.observe_end(MEMORY_NS + S, held, FAILED)
    fail(bank, MEMORY_NS + 30 * S, 6)
    assert bank.describe_rows().reclaimed == 1
    assert attempt_of(bank, MEMORY_NS + 31 * S, 2) == 1


def test_culprits_are_those_of_one_upstream() -> None:
    """By the flow's number, not by the row's."""
    shared = Shared(64)
    banks = [SignalBank(16, shared, k) for k in range(2)]
    for flow in (9, 5):
        fail(banks[1], 0, flow)
    fail(banks[0], 0, 5)
    assert [x.idx for x in banks[1].culprits().flows] == [5, 9]
    assert [(x.idx, x.n_pending) for x in banks[0].culprits().flows] == [(5, 1)]


def test_a_number_handed_to_another_caller_starts_from_nothing() -> None:
    """At every upstream; whoever keeps its number keeps its memory."""
    shared = Shared(64, n_flows=16)
    banks = [SignalBank(16, shared, k) for k in range(2)]
    for bank in banks:
        fail(bank, 0, 1)
        fail(bank, 0, 2)
    shared.forget_flow(1)
    shared.forget_flow(99)  # no such flow: nothing happens
    assert [attempt_of(bank, S, 1) for bank in banks] == [0, 0]
    assert [attempt_of(bank, S, 2) for bank in banks] == [1, 1]


@pytest.mark.parametrize("n_upstreams", [1, 64, 200])
def test_memory_for_flows_does_not_grow_with_upstreams(n_upstreams: int) -> None:
    """One pool serves any number of upstreams, and the last is as good as the first."""
    shared = Shared(64, n_rows=1_024)
    banks = [SignalBank(16, shared, k) for k in range(n_upstreams)]
    for bank in banks:
        assert bank.state.flows is shared.flows
        assert bank.state.row_heads is shared.row_heads
        fail(bank, 0, 3)
    assert banks[0].describe_rows().used == n_upstreams
    assert attempt_of(banks[-1], S, 3) == 1


def test_the_pool_is_small() -> None:
    """A row for each of 100,000 pairs, in less than half of what signals may take (64 MB)."""
    assert N_ROWS > 100_000
    assert N_ROWS * FLOW_DTYPE.itemsize + make_heads(N_ROWS).nbytes < 32e6
