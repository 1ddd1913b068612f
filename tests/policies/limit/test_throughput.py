"""Departure rate, mean lease and capacity."""

from __future__ import annotations

import pytest

from policies.limit.throughput import Throughput

S = 1_000_000_000
STEP = S // 5


def pump(throughput: Throughput, start_ns: int, n_steps: int, hz: float, is_pressed: bool) -> int:
    """Feed ``n_steps`` steps of 0.2 s with a lease of 0.1 s; return the instant after them."""
    for _ in range(n_steps):
        n = round(hz / 5)
        throughput.n_departed += n
        throughput.held_ns += n * S // 10
        start_ns += STEP
        throughput.advance(start_ns, is_pressed)
    return start_ns


def test_unknown_is_zero() -> None:
    """Before any departure nothing is claimed."""
    throughput = Throughput()
    throughput.advance(0, False)
    assert throughput.capacity_hz(32) == 0.0
    assert throughput.best_capacity_hz(32) == 0.0


def test_slack_capacity_is_littles_law() -> None:
    """Low demand says nothing of capacity: the limit over the mean lease does."""
    throughput = Throughput()
    throughput.advance(0, False)
    pump(throughput, 0, 20, 10.0, is_pressed=False)
    assert throughput.capacity_hz(32) == pytest.approx(320.0)


def test_pressed_capacity_is_departures_since_the_press() -> None:
    """The slack before the press must not lower it."""
    throughput = Throughput()
    throughput.advance(0, False)
    now_ns = pump(throughput, 0, 20, 10.0, is_pressed=False)
    pump(throughput, now_ns, 4, 300.0, is_pressed=True)
    assert throughput.capacity_hz(32) == pytest.approx(300.0)


def test_best_capacity_outlives_a_stall() -> None:
    """Invitations are spaced by the best capacity, not by a stall's."""
    throughput = Throughput()
    throughput.advance(0, False)
    now_ns = pump(throughput, 0, 20, 300.0, is_pressed=True)
    pump(throughput, now_ns, 20, 30.0, is_pressed=True)
    assert throughput.capacity_hz(32) == pytest.approx(30.0, rel=0.1)
    assert throughput.best_capacity_hz(32) > 280.0


def test_an_endpoint_that_lets_nobody_go_is_not_unknown() -> None:
    """Capacity under press is never 0.0, which would mean unknown."""
    throughput = Throughput()
    throughput.advance(0, False)
    now_ns = pump(throughput, 0, 5, 100.0, is_pressed=True)
    pump(throughput, now_ns, 200, 0.0, is_pressed=True)
    assert 0.0 < throughput.capacity_hz(32) < 1.0


def test_a_clock_that_stands_still_changes_nothing() -> None:
    """Steps end by time only."""
    throughput = Throughput()
    throughput.advance(5 * S, False)
    throughput.n_departed = 10
    throughput.advance(5 * S, True)
    throughput.advance(4 * S, True)
    assert throughput.rate_hz == 0.0
    assert throughput.n_departed == 10
