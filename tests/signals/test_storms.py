"""Storms that callers make themselves: seen in time, named a cascade, and nothing before.

A small simulation on a virtual clock: callers think, call, and repeat what was
refused after their client library's back-off. Nothing is marked, so retries
are inferred.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import pytest

from signals import UNMARKED
from signals.kernel import IS_COMPILED
from tests.signals.short import ShortBank

S = 1_000_000_000
FAULT_S = 20.0
FAULT_ENDS_S = 24.0
TICK_S = 0.05

Backoff = Callable[[np.random.Generator, int], float]

BACKOFFS: dict[str, tuple[int, Backoff]] = {
    "openai": (2, lambda rng, n: min(0.5 * 2**n, 8.0) * rng.uniform(0.75, 1.0)),
    "codex": (4, lambda rng, n: 0.2 * 2**n * rng.uniform(0.9, 1.1)),
    "boto": (2, lambda rng, n: rng.uniform(0.0, min(0.05 * 2**n, 20.0))),
    "full jitter": (3, lambda rng, n: rng.uniform(0.0, 2.0**n)),
    "vercel": (2, lambda rng, n: 2.0 * 2**n),
}
"""Retries allowed, and the wait before retry number n."""


def simulate(law: str, n_callers: int, seed: int) -> list[dict[str, float]]:
    """Refuse nine in ten from ``FAULT_S`` to ``FAULT_ENDS_S``; return the readings of each tick."""
    n_retries, backoff = BACKOFFS[law]
    rng = np.random.default_rng(seed)
    bank = ShortBank(n_callers + 1)
    queue: list[tuple[float, int, int, int]] = []  # when, caller, retry number, shape
    for caller in range(1, n_callers + 1):
        queue.append((rng.exponential(10.0), caller, 0, int(rng.integers(2**60))))
    heapq.heapify(queue)
    ticks: list[dict[str, float]] = []
    while queue[0][0] < 30.0:
        now_s, caller, n, shape = heapq.heappop(queue)
        while len(ticks) * TICK_S <= now_s:
            bank.tick(int(len(ticks) * TICK_S * S))
            ticks.append({reading.name: reading.value for reading in bank.read()})
        attempt = bank.observe_arrival(int(now_s * S), caller, shape, UNMARKED, True)
        assert attempt == n
        is_refused = FAULT_S <= now_s < FAULT_ENDS_S and rng.random() < 0.9
        bank.observe_departure(int(now_s * S) + 1, caller, shape, attempt, is_refused)
        if is_refused and n < n_retries:
            heapq.heappush(queue, (now_s + backoff(rng, n) + 1e-6, caller, n + 1, shape))
        else:
            think_s = rng.exponential(10.0) + 0.3
            heapq.heappush(queue, (now_s + think_s, caller, 0, int(rng.integers(2**60))))
    return ticks


def find_first(ticks: list[dict[str, float]], name: str) -> float:
    """Return when a reading first was not zero; infinity if never."""
    return next((idx * TICK_S for idx, tick in enumerate(ticks) if tick[name] > 0.0), np.inf)


LONG = pytest.mark.long_play


@pytest.mark.parametrize(
    ("law", "bound_s"),
    [
        pytest.param("openai", 1.0, marks=LONG),
        pytest.param("codex", 0.8, marks=LONG),
        ("boto", 0.6),  # the soonest over: the one that is played without a compiler too
        pytest.param("full jitter", 1.2, marks=LONG),
        pytest.param("vercel", 2.6, marks=LONG),
    ],
)
def test_a_refusal_is_seen_as_a_retry_storm(law: str, bound_s: float) -> None:
    """The alarm and the verdict come within about the law's own back-off, never before."""
    for seed in range(2 if IS_COMPILED else 1):
        ticks = simulate(law, 500, seed)
        alarm_s = find_first(ticks, "retry_synchrony_alarm")
        cascade_s = find_first(ticks, "cascade")
        assert FAULT_S < alarm_s <= FAULT_S + bound_s
        assert FAULT_S < cascade_s <= FAULT_S + bound_s + 1.0
        assert ticks[-1]["cascade"] == 0.0
        before = ticks[: int(FAULT_S / TICK_S)]
        assert max(tick["retry_share"] for tick in before) == 0.0


def test_a_handful_of_callers_is_never_a_storm() -> None:
    """Twenty callers make two calls a second: whatever they do is harmless and unseen."""
    ticks = simulate("openai", 20, 1)
    assert find_first(ticks, "synchrony_alarm") == np.inf
    assert find_first(ticks, "retry_synchrony_alarm") == np.inf
