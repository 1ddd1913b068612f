"""The fixed limit, and the contract that every limit keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.limit.peers import EnvoyGradient, Gradient2
from policies.limit import AdaptiveLimit, FixedLimit, Limit

MS = 1_000_000

MAKERS: list[Callable[[], Limit]] = [
    lambda: FixedLimit(8),
    lambda: AdaptiveLimit(1),
    EnvoyGradient,
    Gradient2,
]


@pytest.mark.parametrize("make", MAKERS)
def test_every_limit_keeps_the_contract(make: Callable[[], Limit]) -> None:
    """Dispatch, answer, depart, tick and explain work on a fresh limit; unknown reads 0."""
    limit = make()
    assert limit.limit >= 1
    assert limit.capacity_hz(0) == 0.0
    assert limit.best_capacity_hz(0) == 0.0
    assert limit.response_ns() == 0
    for idx in range(200):
        now_ns = idx * 50 * MS
        phase = limit.on_dispatch(now_ns, 1, False)
        limit.on_answer(now_ns + 20 * MS, phase, now_ns, 1, 1)
        limit.on_depart(now_ns + 20 * MS, 20 * MS, True)
        limit.tick(now_ns + 30 * MS, 0)
    assert limit.limit >= 1
    assert limit.response_ns() == pytest.approx(20 * MS, rel=0.01)
    assert limit.capacity_hz(10_000 * MS) > 0.0
    assert set(limit.explain()) >= {"kind", "limit"}


def test_fixed_stays() -> None:
    """Nothing moves a limit that somebody set."""
    limit = FixedLimit(3)
    for _ in range(50):
        limit.on_answer(10**12, 0, 0, 3, 3)
        limit.tick(10**12, 3)
    assert limit.limit == 3


def test_fixed_refuses_nonsense() -> None:
    """A limit below one would hold everybody for ever."""
    with pytest.raises(ValueError, match="limit"):
        FixedLimit(0)
