"""A service that takes long is not a service that stands still."""

from __future__ import annotations

import pytest

from policies.limit.adaptive import AdaptiveLimit
from policies.limit.fixed import FixedLimit
from policies.limit.throughput import STEP_NS

NS_PER_S = 1_000_000_000
TICK_NS = 50_000_000
N_PLACES = 32


def run(
    limit: FixedLimit, start_ns: int, stop_ns: int, ends_at_ns: list[int], lease_ns: int
) -> int:
    """Tick with every place taken; leases of `lease_ns` end at the instants given."""
    for now_ns in range(start_ns, stop_ns, TICK_NS):
        while ends_at_ns and ends_at_ns[0] <= now_ns:
            ends_at_ns.pop(0)
            limit.on_depart(now_ns, lease_ns, True)
        limit.tick(now_ns, N_PLACES)
    return stop_ns


def test_capacity_is_unknown_until_a_lease_has_ended() -> None:
    """All places taken from the first instant on and no end yet: unknown, not 0.01/s."""
    limit = FixedLimit(N_PLACES)
    run(limit, 0, 30 * NS_PER_S, [], 0)
    assert limit.capacity_hz(30 * NS_PER_S) == 0.0


@pytest.mark.parametrize("lease_s", [1, 5, 20])
def test_steady_long_leases_give_their_own_rate(lease_s: int) -> None:
    """With 32 places of 1 to 20 s each, the capacity under press is 32 / lease, within half."""
    lease_ns = lease_s * NS_PER_S
    limit = FixedLimit(N_PLACES)
    ends = [lease_ns + idx * lease_ns // N_PLACES for idx in range(3 * N_PLACES)]
    now_ns = run(limit, 0, lease_ns + STEP_NS, ends, lease_ns)
    for _ in range(20):
        now_ns = run(limit, now_ns, now_ns + lease_ns // 10, ends, lease_ns)
        assert limit.capacity_hz(now_ns) == pytest.approx(N_PLACES / lease_s, rel=0.5)


def test_a_service_that_does_stand_still_is_seen() -> None:
    """Leases of 0.1 s that stop ending: within 4 s less than a tenth of the capacity is left."""
    lease_ns = NS_PER_S // 10
    limit = FixedLimit(N_PLACES)
    ends = [lease_ns + idx * lease_ns // N_PLACES for idx in range(10 * N_PLACES)]
    now_ns = run(limit, 0, NS_PER_S, ends, lease_ns)
    assert limit.capacity_hz(now_ns) == pytest.approx(N_PLACES / 0.1, rel=0.2)
    now_ns = run(limit, now_ns, now_ns + 4 * NS_PER_S, [], lease_ns)
    assert limit.capacity_hz(now_ns) < 0.1 * N_PLACES / 0.1


def test_what_was_proven_bounds_the_best_capacity_from_below() -> None:
    """One request of 0.1 s and then a standstill: ten a second were served, not one an hour."""
    limit = AdaptiveLimit(rng_seed=1)
    phase = limit.on_dispatch(0, 1, False)
    limit.on_answer(NS_PER_S // 10, phase, 0, 1, 1)
    limit.on_depart(NS_PER_S // 10, NS_PER_S // 10, True)
    for now_ns in range(NS_PER_S // 10, 5 * NS_PER_S, TICK_NS):
        limit.tick(now_ns, limit.limit)
    assert limit.best_capacity_hz(5 * NS_PER_S) >= 10.0


def test_a_short_pause_is_no_standstill() -> None:
    """All places taken for 0.4 s without an end leaves capacity what it was."""
    limit = FixedLimit(N_PLACES)
    limit.on_depart(0, NS_PER_S // 10, True)
    for now_ns in range(0, 4 * NS_PER_S // 10, TICK_NS):
        limit.tick(now_ns, N_PLACES)
    assert limit.capacity_hz(4 * NS_PER_S // 10) == pytest.approx(N_PLACES / 0.1)
