"""Contention: against its slow twin; nothing is lost, nobody is charged for himself."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import Shared, SignalBank
from signals.contention import TENANT_DTYPE, make_tenants
from signals.kernel import IS_COMPILED
from tests.signals.twins.contention import NaiveContention

S = 1_000_000_000
N = 6


def make_calls(seed: int, n: int, heavy: int) -> list[tuple[int, int, int, int]]:
    """Two places, four tenants, one of them heavy: (instant, 0 or 1, call, tenant)."""
    random = Random(seed)
    free = [0.0, 0.0]
    events, at_s = [], 0.0
    for call in range(n):
        at_s += random.expovariate(8.0 if call < n // 2 else 24.0)
        tenant = heavy if random.random() < 0.6 else random.randrange(8)
        free.sort()
        free[0] = max(at_s, free[0]) + random.uniform(0.08, 0.12)
        events += [(int(at_s * S), 0, call, tenant), (int(free[0] * S), 1, call, tenant)]
    return sorted(events)


def tell(
    events: list[tuple[int, int, int, int]], names: list[int], tick_ns: int
) -> tuple[SignalBank, NaiveContention]:
    """Tell a bank, and the twin what the bank's usual latency was."""
    bank = SignalBank(8, Shared(2_048), n_tenants=N)
    twin = NaiveContention(N)
    bank.tick(0)
    handles, spans, arrived = {}, {}, {}
    second, next_ns = 0, tick_ns
    for t_ns, what, call, tenant in events:
        while next_ns <= t_ns:
            bank.tick(next_ns)
            next_ns += tick_ns
        while (second + 1) * S <= t_ns:
            bank.advance((second + 1) * S)
            twin.close_second(second)
            second += 1
        who = names[tenant]
        if what == 0:
            handles[call] = bank.observe_arrival(t_ns, who, 1, 0, call)
            spans[call], arrived[call] = twin.arrive(t_ns, who), t_ns
        else:
            base_s = float(bank.state.saturation[0]["base_s"])
            bank.observe_end(t_ns, handles[call])
            twin.wait(t_ns, who, t_ns - arrived[call], base_s)
            spans[call][2] = t_ns
    bank.tick((second + 1) * S)
    twin.close_second(second)
    return bank, twin


@given(seed=st.integers(0, 10_000), heavy=st.integers(0, 7))
@settings(max_examples=6 if IS_COMPILED else 1, deadline=None)
def test_the_kernel_is_its_twin(seed: int, heavy: int) -> None:
    """Accounts are those of the definition; caused and suffered sum to the same."""
    bank, twin = tell(make_calls(seed, 400, heavy), list(range(8)), 50_000_000)
    found = {row[0]: row for row in bank.costliest_tenants(N)}
    for who in range(N):
        caused = twin.sum_of(twin.caused, who)
        if caused > 1e-6:
            assert found[who][1] == pytest.approx(caused, rel=1e-6)
            assert found[who][2] == pytest.approx(twin.sum_of(twin.suffered, who), abs=1e-9)
    if found:
        assert sum(row[3] for row in found.values()) == pytest.approx(1.0)
        total = sum(row[1] for row in found.values())
        suffered = sum(twin.sum_of(twin.suffered, who) for who in range(N))
        assert total == pytest.approx(suffered, rel=1e-6)
    assert all(math.isfinite(reading.value) for reading in bank.read())
    assert bank.state.contention[0]["n_active"] == 0


@given(seed=st.integers(0, 10_000), order=st.permutations([1, 2, 3, 4, 5]))
@settings(max_examples=5 if IS_COMPILED else 1, deadline=None)
def test_renumbering_tenants_and_splitting_ticks_change_nothing(
    seed: int, order: list[int]
) -> None:
    """Another name or another tick: the same cost, for the tenant of that name."""
    events = [(*row[:3], 1 + row[3] % 5) for row in make_calls(seed, 300, 2)]
    plain, _ = tell(events, list(range(8)), 50_000_000)
    names = [0, *order, 6, 7]
    other, _ = tell(events, names, 170_000_000)
    before = {names[row[0]]: row[1:] for row in plain.costliest_tenants(N)}
    after = {row[0]: row[1:] for row in other.costliest_tenants(N)}
    assert before.keys() == after.keys()
    for who, row in before.items():
        assert row == pytest.approx(after[who], rel=1e-6)


def test_who_holds_the_places_is_named_and_who_is_alone_is_not() -> None:
    """A heavy tenant costs the others; one tenant by itself costs nobody."""
    bank, _ = tell(make_calls(1, 400, 3), list(range(8)), 50_000_000)
    assert bank.costliest_tenants(1)[0][0] == 3
    alone, _ = tell([(*row[:3], 1) for row in make_calls(1, 400, 3)], list(range(8)), 50_000_000)
    assert alone.costliest_tenants(5) == []


def test_nobody_is_named_where_nobody_waits() -> None:
    """The natural spread of latencies is no waiting."""
    random = Random(2)
    bank = SignalBank(8, Shared(2_048))
    events = []
    for call in range(300):
        at_ns = call * S // 15
        events += [(at_ns, 0, call), (at_ns + int(random.lognormvariate(-2.0, 0.5) * S), 1, call)]
    handles = {}
    for t_ns, what, call in sorted(events):
        if what == 0:
            handles[call] = bank.observe_arrival(t_ns, 1 + call % 4, 1, 0, call)
        else:
            bank.observe_end(t_ns, handles[call])
    bank.tick(25 * S)
    assert bank.costliest_tenants(4) == []


def test_the_table_must_hold_the_overflow() -> None:
    """Entry 0 is shared by all beyond the table; rows are small."""
    with pytest.raises(ValueError, match="n_tenants is 0"):
        make_tenants(0)
    assert TENANT_DTYPE.itemsize <= 88
