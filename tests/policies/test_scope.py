"""Refusals that spare some callers are told from those that fall on all alike."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from bench.service.bucket import TokenBucket
from policies.scope import LULL_NS, N_CLASSES, N_WINDOWS, RefusalScope

MS = 1_000_000
S = 1_000_000_000

Refuses = Callable[[int, int, int], bool]


def play(
    scope: RefusalScope,
    seed: int,
    refuses: Refuses,
    hz_by_class: dict[tuple[int, int], float],
    seconds: float = 3.0,
    refused_after_ns: int = 5 * MS,
) -> int | None:
    """Send Poisson streams of (kind, tenant); return when refusals were found to spare some."""
    rng = Random(seed)
    sent = sorted(
        (now_ns, kind, tenant)
        for (kind, tenant), hz in hz_by_class.items()
        for now_ns in _poisson(rng, hz, seconds)
    )
    refusals: list[tuple[int, int, int, int]] = []
    tick_ns = 0
    for now_ns, kind, tenant in sent:
        while refusals and refusals[0][0] <= now_ns:
            scope.on_refused(*refusals.pop(0))
        while tick_ns <= now_ns:
            if scope.tick(tick_ns):
                return tick_ns
            tick_ns += 50 * MS
        if scope.is_watching:
            scope.on_sent(now_ns, kind, tenant)
        if refuses(now_ns, kind, tenant):
            refusals.append((now_ns + refused_after_ns, now_ns, kind, tenant))
    return None


def _poisson(rng: Random, hz: float, seconds: float) -> list[int]:
    instants, now_s = [], rng.expovariate(hz)
    while now_s < seconds:
        instants.append(int(now_s * S))
        now_s += rng.expovariate(hz)
    return instants


@pytest.mark.parametrize("seed", range(5))
def test_one_kind_refused_beside_one_that_is_not_is_partial(seed: int) -> None:
    """A back end that is broken refuses its own kind only, and is found within half a second."""
    found_ns = play(RefusalScope(), seed, lambda _, kind, __: kind == 1, {(1, 1): 80, (2, 1): 100})
    assert found_ns is not None
    assert found_ns < 0.6 * S


def test_refusals_after_a_time_out_are_still_laid_to_their_kind() -> None:
    """A back end's calls that are refused only after two seconds count where they were sent."""
    found_ns = play(
        RefusalScope(),
        1,
        lambda _, kind, __: kind == 1,
        {(1, 1): 80, (2, 1): 100},
        seconds=6.0,
        refused_after_ns=2 * S,
    )
    assert found_ns is not None
    assert found_ns < 5 * S


def test_one_tenant_refused_beside_others_is_partial() -> None:
    """A key whose own quota is spent says nothing of the others'."""
    streams = {(1, tenant): 20.0 for tenant in range(1, 11)}
    assert play(RefusalScope(), 2, lambda _, __, tenant: tenant == 3, streams) is not None


@pytest.mark.parametrize("seed", range(20))
def test_a_common_bucket_is_never_partial(seed: int) -> None:
    """A token bucket refuses whoever comes when it is empty, whatever the shares of the kinds."""
    bucket = TokenBucket(80.0, 40.0, 0.0)
    streams = {(1, 1): 100.0, (2, 1): 20.0, (3, 2): 60.0, (3, 3): 5.0}
    is_refused = lambda now_ns, _, __: not bucket.take(now_ns * 1e-9)  # noqa: E731
    assert play(RefusalScope(), seed, is_refused, streams, seconds=20.0) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_that_is_refused_for_its_instant_is_not_partial(seed: int) -> None:
    """Steady callers who come when there is room are no other sort than the crowd beside them."""
    scope = RefusalScope()
    streams = {(1, 1): 80.0, (1, 2): 10.0}

    def refuses(now_ns: int, _: int, tenant: int) -> bool:
        # full for 60 ms of every second: whoever comes then is refused
        return now_ns % S < 60 * MS

    rng = Random(seed)
    crowd = {(1, 3): 0.1}
    assert play(scope, rng.randrange(100), refuses, {**streams, **crowd}, seconds=20.0) is None


def test_a_single_sort_of_call_tells_nothing() -> None:
    """Who has nobody beside it to be compared with is refused as a whole."""
    assert play(RefusalScope(), 3, lambda *_: True, {(1, 1): 200.0}) is None


def test_calls_are_counted_only_while_something_is_refused() -> None:
    """Watching begins with a refusal, ends three seconds after the last, and keeps nothing."""
    scope = RefusalScope()
    assert not scope.is_watching
    scope.on_refused(S, S - 5 * MS, 1, 1)
    assert scope.is_watching
    scope.tick(S + LULL_NS + 1)
    assert not scope.is_watching


def test_what_is_kept_is_bounded() -> None:
    """However many tenants and windows: three seconds, and tenants share their classes."""
    scope = RefusalScope()
    scope.on_refused(0, 0, 1, 1)
    for n in range(20_000):
        scope.on_sent(n * MS, 1, n)
    assert len(scope._windows) == N_WINDOWS
    assert all(len(window.by_class) <= N_CLASSES + 1 for window in scope._windows)
