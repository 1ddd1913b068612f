"""A ramp for providers that throttle steep demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.acceleration import Acceleration

MS = 1_000_000
S = 1_000_000_000


def offer(acceleration: Acceleration, demand_hz: float, from_s: float, to_s: float) -> list[int]:
    """Send as much of a steady demand as fits; return calls sent per second."""
    sent = []
    waiting = 0.0
    for second in range(int(from_s), int(to_s)):
        n_sent = 0
        for step in range(20):
            acceleration.tick(second * S + step * 50 * MS)
            waiting += demand_hz / 20
            while waiting >= 1.0 and acceleration.has_room:
                acceleration.take()
                waiting -= 1.0
                n_sent += 1
        sent.append(n_sent)
    return sent


def test_steep_demand_becomes_a_ramp() -> None:
    """Doubling per minute from 10/s: 20/s after a minute, 40/s after two."""
    sent = offer(Acceleration(2.0, 10.0), 1000.0, 0, 121)
    assert 9 <= sent[1] <= 12
    assert 18 <= sent[60] <= 22
    assert 36 <= sent[120] <= 44


def test_demand_below_the_envelope_is_never_held() -> None:
    """Who stays where it was waits for nothing, whatever it did before."""
    acceleration = Acceleration(2.0, 10.0)
    assert sum(offer(acceleration, 8.0, 0, 60)) >= 8 * 60 - 1


def test_the_envelope_forgets() -> None:
    """After ten minutes of silence the ramp begins at the floor again."""
    acceleration = Acceleration(4.0, 5.0)
    offer(acceleration, 1000.0, 0, 120)
    assert acceleration.envelope_hz > 50.0
    offer(acceleration, 0.0, 120, 720)
    assert acceleration.envelope_hz == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize(("growth", "floor_hz"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.0)])
def test_what_makes_no_ramp_is_refused(growth: float, floor_hz: float) -> None:
    """A factor of one or less would never rise."""
    with pytest.raises(ValueError, match="must be above"):
        Acceleration(growth, floor_hz)


@given(st.lists(st.tuples(st.integers(-10, 5000), st.integers(0, 50)), max_size=100))
def test_no_clock_breaks_the_envelope(steps: list[tuple[int, int]]) -> None:
    """Standing still, jumping back or leaping ahead: the envelope stays between its bounds."""
    acceleration = Acceleration(3.0, 2.0)
    now_ns = 0
    for step_ms, n_calls in steps:
        now_ns += step_ms * MS
        acceleration.tick(now_ns)
        for _ in range(n_calls):
            acceleration.take()
        assert 2.0 <= acceleration.envelope_hz <= 1e9
