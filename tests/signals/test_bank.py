"""The bank against its slow twin, its invariants, and its cost."""

from __future__ import annotations

import math
import timeit
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import UNMARKED, warm_up
from signals.kernel import IS_COMPILED
from signals.state import LEAP_MAX_NS
from tests.naive import NaiveBank
from tests.signals.short import ShortBank

MS = 1_000_000
S = 1_000 * MS

Event = tuple[Any, ...]

CAN_BE_NEGATIVE = ("demand_trend", "propagation_service", "propagation_early_service")
"""A trend falls; -1 is nobody."""

N_EVENTS = 300 if IS_COMPILED else 60
"""Fewer without a compiler: with callers out the forecast is drawn anew every 50 ms."""


def make_events(seed: int, n: int, n_flows: int, rate_hz: float, p_fail: float) -> list[Event]:
    """Random traffic with waves, failures, quick returns, and unknown and marked callers."""
    rng = np.random.default_rng(seed)
    now_ns = 0
    events: list[Event] = []
    for _ in range(n):
        if rng.random() < 0.01:
            now_ns += int(rng.integers(0, 3 * S))
            wave = rng.permutation(n_flows)[: rng.integers(1, 30)]
            for flow in wave:
                now_ns += int(rng.integers(0, MS))
                events.append(("arrive", now_ns, int(flow), 7, int(rng.integers(-1, 2)), True))
            continue
        now_ns += int(rng.exponential(S / rate_hz))
        flow, shape = int(rng.integers(0, n_flows + 1)), int(rng.integers(0, 3))
        if rng.random() < 0.5:
            marked = int(rng.choice([UNMARKED] * 8 + [0, 1]))
            events.append(("arrive", now_ns, flow, shape, marked, rng.random() < 0.8))
        else:
            attempt = int(rng.integers(0, 3))
            events.append(("depart", now_ns, flow, shape, attempt, rng.random() < p_fail))
    return events


def feed(bank: ShortBank | NaiveBank, events: list[Event], shift_ns: int = 0) -> list[int]:
    """Play events into a bank; return the attempts that it inferred."""
    attempts = []
    for kind, now_ns, *rest in events:
        if kind == "arrive":
            attempts.append(bank.observe_arrival(now_ns + shift_ns, *rest))
        elif kind == "depart":
            bank.observe_departure(now_ns + shift_ns, *rest)
        else:
            bank.tick(now_ns + shift_ns)
    return attempts


def read(bank: ShortBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rate_hz=st.sampled_from([5.0, 50.0, 500.0]),
    p_fail=st.sampled_from([0.0, 0.1, 0.9]),
)
def test_bank_equals_its_slow_twin(seed: int, rate_hz: float, p_fail: float) -> None:
    """Every attempt and every reading is what whole histories and plain sums give."""
    events = make_events(seed, N_EVENTS, 40, rate_hz, p_fail)
    fast, slow = ShortBank(40), NaiveBank(40)
    for start in range(0, len(events), 50):
        part = events[start : start + 50]
        assert feed(fast, part) == feed(slow, part)
        stop_ns = part[-1][1]
        fast.tick(stop_ns)
        slow.tick(stop_ns)
        expected = slow.read()
        found = read(fast)
        assert {k: found[k] for k in expected} == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), shift_ns=st.integers(-(2**60), 2**60))
def test_shifting_time_changes_no_reading(seed: int, shift_ns: int) -> None:
    """Only differences between instants matter."""
    events = make_events(seed, N_EVENTS, 20, 50.0, 0.3)
    here, there = ShortBank(32), ShortBank(32)
    assert feed(here, events) == feed(there, events, shift_ns)
    assert here.read() == there.read()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), order=st.randoms())
def test_renumbering_flows_changes_no_reading(seed: int, order: Any) -> None:
    """A flow's number is a name, entry 0 (unknown) apart."""
    events = make_events(seed, N_EVENTS, 20, 50.0, 0.3)
    names = list(range(1, 64))
    order.shuffle(names)
    renamed = [(k, t, names[f] if f else 0, *rest) for k, t, f, *rest in events]
    here, there = ShortBank(64), ShortBank(64)
    assert feed(here, events) == feed(there, renamed)
    assert here.read() == there.read()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), tick_ms=st.integers(5, 2000))
def test_splitting_a_tick_changes_no_reading(seed: int, tick_ms: int) -> None:
    """How often time is told to pass makes no difference, only how far it has passed."""
    events = make_events(seed, N_EVENTS, 20, 50.0, 0.3)
    stop_ns = events[-1][1] + S
    ticks: list[Event] = [("tick", t) for t in range(0, stop_ns, tick_ms * MS)]
    often = sorted(events + ticks, key=lambda event: event[1])
    here, there = ShortBank(32), ShortBank(32)
    here.tick(0)
    feed(here, events)
    feed(there, often)
    here.tick(stop_ns)
    there.tick(stop_ns)
    assert here.read() == there.read()


@settings(max_examples=50, deadline=None)
@given(
    instants=st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=60),
    flow=st.integers(-(2**62), 2**62),
    fingerprint=st.integers(-(2**63), 2**64 - 1),
    marked=st.integers(-(2**62), 2**62),
)
def test_any_clock_and_any_number_leave_sane_readings(
    instants: list[int], flow: int, fingerprint: int, marked: int
) -> None:
    """Stalled, leaping and backward clocks, and absurd numbers, give finite readings in range."""
    bank = ShortBank(8)
    for now_ns in instants:
        attempt = bank.observe_arrival(now_ns, flow, fingerprint, marked, True)
        assert 0 <= attempt <= 100
        bank.observe_departure(now_ns, flow, fingerprint, attempt, True)
        bank.tick(now_ns)
    for reading in bank.read():
        assert math.isfinite(reading.value)
        assert reading.value >= 0.0 or reading.name in CAN_BE_NEGATIVE
        assert not reading.name.endswith("_share") or reading.value <= 1.0
    assert bank.organic_hz() >= 0.0


def test_reading_is_pure_and_a_new_bank_is_not_ready() -> None:
    """Reading twice gives the same; nothing is claimed before anything was seen."""
    bank = ShortBank(4)
    assert bank.read() == bank.read()
    assert not any(reading.is_ready for reading in bank.read())
    assert all(reading.value == 0.0 for reading in bank.read())
    assert repr(bank) == "SignalBank(n_flows=4, n_arrivals=0)"


def test_a_bank_without_entries_is_refused() -> None:
    """Entry 0, the overflow, must exist."""
    with pytest.raises(ValueError, match="n_flows is 0"):
        ShortBank(0)


def test_memory_does_not_grow_with_callers() -> None:
    """A million distinct flow numbers (fewer without a compiler) leave the arrays as they were."""
    bank = ShortBank(16)
    size = sum(array.nbytes for array in bank.state)
    for flow in range(1_000_000 if IS_COMPILED else 2_000):
        bank.observe_arrival(flow * 1_000, flow, flow, UNMARKED, True)
    assert sum(array.nbytes for array in bank.state) == size


def test_organic_rate_follows_fresh_demand_only() -> None:
    """At 20 fresh arrivals and 20 retries a second, organic demand reads 20/s."""
    bank = ShortBank(64)
    for step in range(1200):
        bank.observe_arrival(step * 25 * MS, step % 60, 0, step % 2, True)
    bank.tick(30 * S)
    assert bank.organic_hz() == pytest.approx(20.0, rel=0.05)
    assert bank.expected_hz(10) == pytest.approx(read(bank)["forecast_500ms"])
    assert bank.crossing_s() == read(bank)["storm_crossing"]
    assert bank.is_storm() == (read(bank)["storm_alarm"] == 1.0)
    assert read(bank)["arrival_rate"] == pytest.approx(40.0, rel=0.05)
    assert read(bank)["retry_share"] == pytest.approx(0.5, rel=0.05)


def test_a_long_silence_counts_as_one_minute() -> None:
    """A machine that slept a week forgets as after a minute and goes on at once."""
    bank = ShortBank(4)
    bank.observe_arrival(0, 1, 1, UNMARKED, True)
    bank.tick(7 * 86_400 * S)
    assert bank.state.bank[0]["n_closed"] == LEAP_MAX_NS // (10 * MS)
    assert read(bank)["arrival_rate"] == 0.0


@pytest.mark.skipif(not IS_COMPILED, reason="there is nothing to compile")
def test_warm_up_leaves_nothing_to_compile() -> None:
    """After warm-up an arrival and a departure cost microseconds, not seconds."""
    warm_up()
    bank = ShortBank(4)
    cost_s = timeit.timeit(lambda: bank.observe_arrival(0, 1, 1, UNMARKED, True), number=1000)
    assert cost_s < 0.05
