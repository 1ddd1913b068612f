"""Quotas: when they will be empty, by what providers say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import SignalBank
from signals.kernel import IS_COMPILED
from signals.quota import MEMORY_S, N_QUOTAS, QUOTA_TOKENS
from signals.state import NOT_IN_SIGHT_S

S = 1_000_000_000


def read(bank: SignalBank, now_ns: int) -> tuple[float, float]:
    """Return seconds to the first empty quota and the least share left."""
    bank.tick(now_ns)
    found = {reading.name: reading.value for reading in bank.read()}
    return found["quota_seconds"], found["quota_left"]


def naive_empty_s(notes: list[tuple[float, float, float]], now_s: float, reset_s: float) -> float:
    """One quota from all its notes (instant, limit, remaining), weights written out."""
    start = 0
    for k in range(1, len(notes)):
        before, after = notes[k - 1], notes[k]
        whole = max(before[1], after[1])
        is_reset = after[2] - before[2] > 0.5 * whole > 0.0
        if is_reset or after[0] - before[0] > 60.0:
            start = k
    used = seconds = 0.0
    for before, after in zip(notes[start:], notes[start + 1 :], strict=False):
        weight = math.exp(-(notes[-1][0] - after[0]) / MEMORY_S)
        used += weight * (before[2] - after[2])
        seconds += weight * (after[0] - before[0])
    at_s, _, left = notes[-1]
    if reset_s and now_s >= at_s + reset_s:
        return NOT_IN_SIGHT_S
    if left <= 0.0:
        return 0.0
    if used <= 0.0 or seconds <= 0.0:
        return NOT_IN_SIGHT_S
    empty_s = max(0.0, left * seconds / used - (now_s - at_s))
    if reset_s and empty_s >= at_s + reset_s - now_s:
        return NOT_IN_SIGHT_S
    return min(empty_s, NOT_IN_SIGHT_S)


@given(
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 300)), min_size=1, max_size=30),
    reset_s=st.sampled_from([0, 7, 60]),
)
@settings(max_examples=40 if IS_COMPILED else 5, deadline=None)
def test_the_kernel_is_its_twin(steps: list[tuple[int, int]], reset_s: int) -> None:
    """Any course of one quota: the definition's answer, never NaN."""
    bank = SignalBank(2)
    bank.tick(0)
    now_ns, notes = 0, []
    for gap_ms, left in steps:
        now_ns += gap_ms * 1_000_000
        bank.note_quota(now_ns, 1, QUOTA_TOKENS, 200.0, float(left), reset_s * S)
        notes.append((now_ns / S, 200.0, float(left)))
    expected = naive_empty_s(notes, now_ns / S, float(reset_s))
    seconds, share = read(bank, now_ns)
    assert seconds == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert 0.0 <= share <= 1.0


def test_the_soonest_of_all_quotas_is_said() -> None:
    """Two credentials: the one that runs out first counts, unless its reset comes before."""
    bank = SignalBank(2)
    bank.tick(0)
    for second in range(5):
        bank.note_quota(second * S, 1, 0, 100.0, 100.0 - second, 0)
        bank.note_quota(second * S, 2, 0, 100.0, 100.0 - 10 * second, 0)
    assert read(bank, 4 * S) == (pytest.approx(6.0), pytest.approx(0.6))
    bank.note_quota(4 * S, 2, 0, 100.0, 60.0, 3 * S)
    assert read(bank, 4 * S)[0] > 50.0


def test_more_quotas_than_rows_and_nonsense_break_nothing() -> None:
    """The longest unheard of makes room; what is no number of tokens is not taken."""
    bank = SignalBank(2)
    for k in range(10 * N_QUOTAS):
        bank.note_quota(k * S // 10, k, k, 100.0, 50.0, 0)
        bank.note_quota(k * S // 10, k, k, math.nan, 50.0, 0)
        bank.note_quota(k * S // 10, k, k, 100.0, -5.0, 0)
    seconds, share = read(bank, 100 * S)
    assert seconds == NOT_IN_SIGHT_S
    assert 0.0 <= share <= 1.0
