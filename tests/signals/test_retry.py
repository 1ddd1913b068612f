"""Retry inference: what counts as a retry, what does not, and the cascade verdict."""

from __future__ import annotations

import numpy as np
import pytest

from signals import UNMARKED
from signals.retry import ATTEMPT_MAX, FAILED_MAX, MEMORY_NS
from signals.state import N_FAILURES
from tests.signals.short import ShortBank

MS = 1_000_000
S = 1_000 * MS


def read(bank: ShortBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


@pytest.fixture
def bank() -> ShortBank:
    """A bank whose flow 1 has failed with shape 7 at the first attempt."""
    bank = ShortBank(16)
    assert bank.observe_arrival(0, 1, 7, UNMARKED, True) == 0
    bank.observe_departure(100 * MS, 1, 7, 0, True)
    return bank


def test_the_same_shape_after_a_failure_is_a_retry_once(bank: ShortBank) -> None:
    """A failure excuses one retry; the next call of that shape is fresh again."""
    assert bank.observe_arrival(600 * MS, 1, 7, UNMARKED, True) == 1
    assert bank.observe_arrival(700 * MS, 1, 7, UNMARKED, True) == 0


def test_attempts_count_on(bank: ShortBank) -> None:
    """A retry that fails makes the next one attempt 2, and so on up to the bound."""
    attempt = 0
    for step in range(ATTEMPT_MAX + 5):
        now_ns = S + step * 100 * MS
        attempt = bank.observe_arrival(now_ns, 1, 7, UNMARKED, True)
        assert attempt == min(step + 1, ATTEMPT_MAX)
        bank.observe_departure(now_ns + 50 * MS, 1, 7, attempt, True)


@pytest.mark.parametrize(("flow", "shape"), [(1, 8), (2, 7), (0, 7), (-1, 7), (99, 7)])
def test_another_shape_or_flow_is_no_retry(bank: ShortBank, flow: int, shape: int) -> None:
    """Both must match, and unknown callers are never inferred to be anyone."""
    assert bank.observe_arrival(600 * MS, flow, shape, UNMARKED, True) == 0


def test_a_failure_is_forgotten_after_a_minute(bank: ShortBank) -> None:
    """No SDK backs off for longer."""
    early, late = ShortBank(2), bank
    early.observe_departure(0, 1, 7, 0, True)
    assert early.observe_arrival(MEMORY_NS - 1, 1, 7, UNMARKED, True) == 1
    assert late.observe_arrival(100 * MS + MEMORY_NS, 1, 7, UNMARKED, True) == 0


def test_a_mark_is_believed(bank: ShortBank) -> None:
    """A marked 0 is fresh and leaves the memory alone; a marked 3 is 3 and uses it up."""
    assert bank.observe_arrival(200 * MS, 1, 7, 0, True) == 0
    assert bank.observe_arrival(300 * MS, 1, 7, 3, True) == 3
    assert bank.observe_arrival(400 * MS, 1, 7, UNMARKED, True) == 0
    assert bank.observe_arrival(500 * MS, 0, 0, 2**62, True) == ATTEMPT_MAX


def test_success_leaves_no_trace() -> None:
    """The same shape again after a good answer is a poll, not a retry."""
    bank = ShortBank(4)
    bank.observe_arrival(0, 1, 7, UNMARKED, True)
    bank.observe_departure(MS, 1, 7, 0, False)
    assert bank.observe_arrival(2 * MS, 1, 7, UNMARKED, True) == 0


def test_memory_per_flow_is_bounded_and_the_oldest_shape_goes() -> None:
    """Four shapes a flow, sixty-four failures a shape."""
    bank = ShortBank(4)
    for shape in range(N_FAILURES + 1):
        bank.observe_departure(shape * MS, 1, shape, 0, True)
    found = [bank.observe_arrival(S, 1, shape, UNMARKED, True) for shape in range(N_FAILURES + 1)]
    assert found == [0] + [1] * N_FAILURES
    for _ in range(FAILED_MAX + 10):
        bank.observe_departure(2 * S, 2, 7, 0, True)
    n_retries = sum(
        bank.observe_arrival(3 * S, 2, 7, UNMARKED, True) for _ in range(FAILED_MAX + 10)
    )
    assert n_retries == FAILED_MAX


def test_a_shape_is_any_64_bit_number() -> None:
    """Of either sign, a fingerprint matches itself and not its neighbours."""
    bank = ShortBank(4)
    shapes = (-(2**63), -1, 2**63 - 1, 0x0123456789ABCDEF)
    for shape in shapes:
        bank.observe_departure(0, 1, shape, 0, True)
    assert [bank.observe_arrival(MS, 1, shape, UNMARKED, True) for shape in shapes] == [1] * 4


def make_agents(rng: np.random.Generator, backoff_s: float) -> list[tuple[float, int, int, int]]:
    """Calls of agents that rarely repeat a shape: (instant, flow, shape, attempt)."""
    calls = []
    for flow in range(1, 60):
        now_s, shape = rng.exponential(10.0), 0
        for _ in range(60):
            shape = shape if rng.random() < 0.02 else int(rng.integers(0, 2**60))
            n_attempts = min(int(rng.geometric(0.7)), 3)
            for attempt in range(n_attempts):
                calls.append((now_s, flow, shape, attempt))
                now_s += 0.3 + backoff_s * rng.uniform(0.75, 1.0)
            now_s += 0.3 + rng.exponential(10.0)
    return calls


@pytest.mark.long_play
@pytest.mark.parametrize("backoff_s", [0.03, 0.5, 2.0, 8.0])
def test_precision_and_recall_on_agents(backoff_s: float) -> None:
    """All retries of agents are found, hardly one is false, attempts are exact."""
    calls = make_agents(np.random.default_rng(int(backoff_s * 100)), backoff_s)
    bank = ShortBank(64)
    is_failed = [
        after[1:3] == call[1:3] and after[3] == call[3] + 1
        for call, after in zip(calls, [*calls[1:], (0.0, 0, 0, 0)], strict=True)
    ]
    starts = [(call[0], 1, idx) for idx, call in enumerate(calls)]
    ends = [(call[0] + 0.3, 0, idx) for idx, call in enumerate(calls)]
    found = [0] * len(calls)
    for now_s, is_start, idx in sorted(starts + ends):
        _, flow, shape, _ = calls[idx]
        now_ns = int(now_s * 1e9)
        if is_start:
            found[idx] = bank.observe_arrival(now_ns, flow, shape, UNMARKED, True)
        else:
            bank.observe_departure(now_ns, flow, shape, found[idx], is_failed[idx])
    true = [call[3] for call in calls]
    n_both = sum(t > 0 and f > 0 for t, f in zip(true, found, strict=True))
    assert n_both == sum(t > 0 for t in true)
    assert n_both / sum(f > 0 for f in found) > 0.98
    assert sum(t == f for t, f in zip(true, found, strict=True)) / len(calls) > 0.98


def test_cascade_needs_share_and_distinct_flows() -> None:
    """One stuck caller is no cascade, however often it retries; five are."""
    one, five = ShortBank(16), ShortBank(16)
    for step in range(200):
        one.observe_arrival(step * 10 * MS, 1, 0, 1, True)
        five.observe_arrival(step * 10 * MS, 1 + step % 5, 0, step % 2, True)
    for bank in (one, five):
        bank.tick(2 * S)
    assert (read(one)["cascade"], read(one)["retrying_flows"]) == (0.0, 1.0)
    assert (read(five)["cascade"], read(five)["retrying_flows"]) == (1.0, 5.0)
    assert one.retry_ratio() == pytest.approx(1.0)
    assert five.retry_ratio() == pytest.approx(0.5, abs=0.01)


def test_retrying_flows_expire_after_a_second() -> None:
    """Each flow is counted by its latest retry."""
    bank = ShortBank(16)
    for flow in range(1, 11):
        bank.observe_arrival(0, flow, 0, 1, True)
    bank.observe_arrival(600 * MS, 1, 0, 2, True)
    bank.tick(900 * MS)
    assert read(bank)["retrying_flows"] == 10.0
    bank.tick(1_200 * MS)
    assert read(bank)["retrying_flows"] == 1.0
    bank.tick(2 * S)
    assert read(bank)["retrying_flows"] == 0.0
