"""Counting rules and bounds of the silence section, on made counts; playback of made calls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.detect.playback import ARRIVAL, TICK_NS, S, order, play
from bench.detect.silence import (
    FAILING,
    chart,
    count_events,
    fail_alone,
    six_sigma,
    upper_bound,
)
from bench.detect.surges import Rise, make_newcomers
from bench.detect.traces import Trace


def make_trace(rate_hz: float, stop_s: float) -> Trace:
    """Poisson calls, each its own caller."""
    rng = np.random.default_rng(1)
    t_s = np.sort(rng.uniform(0.0, stop_s, rng.poisson(rate_hz * stop_s)))
    n = len(t_s)
    zeros = np.zeros(n, np.int64)
    flow = np.arange(1, n + 1)
    return Trace("made", t_s, flow, flow, flow, np.full(n, 0.2), zeros + 200, zeros)


def test_the_upper_bound_is_the_poisson_one() -> None:
    """Nothing seen: 3.0; in general the mean at which as few have a chance of 5 %."""
    assert upper_bound(0) == pytest.approx(-math.log(0.05), rel=1e-6)
    assert upper_bound(1) == pytest.approx(4.7439, abs=1e-3)
    assert upper_bound(10) == pytest.approx(16.962, abs=1e-2)


def test_flags_close_together_are_one_event() -> None:
    """Runs, and runs with short breaks, count once."""
    assert count_events(np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], bool), 2) == 2
    assert count_events(np.zeros(5, bool), 2) == 0


def test_counting_rules_see_a_jump_and_nothing_before() -> None:
    """Steady counts are silent; a tenfold minute is flagged at once by all three."""
    counts = np.random.default_rng(2).poisson(20.0, 300).astype(float)
    counts[200:] *= 10.0
    assert np.flatnonzero(six_sigma(counts))[0] == 200
    for kind in ("ewma", "cusum"):
        values = chart(counts, kind)
        assert values[:200].max() < 10.0 < values[200:205].max()


@pytest.mark.parametrize("how", FAILING)
def test_failing_alone_changes_no_arrival(how: str) -> None:
    """Nobody comes back: same arrivals, more failures than none."""
    trace = make_trace(20.0, 120.0)
    played, failed = fail_alone(trace, how, 1)
    assert (played.t_s == trace.t_s).all()
    assert 0.0 < failed.mean() <= 0.95


def test_events_are_in_order_and_every_end_follows_its_arrival() -> None:
    """An end at the instant of its arrival comes after it."""
    n = 50
    at_s = np.sort(np.random.default_rng(3).uniform(0.0, 1.0, n))
    latency_s = np.where(np.arange(n) % 2 == 0, 0.0, 0.3)
    events = order(at_s, latency_s, np.zeros(n, bool), np.arange(n), np.arange(n))
    assert (np.diff(events.at_ns) >= 0).all()
    for call in range(n):
        mine = events.kind[events.call == call]
        assert mine[0] == ARRIVAL
        assert len(mine) == 2


def test_playback_ticks_every_50_ms_and_stops_in_time() -> None:
    """Calls that end later than the recording are left open; readings are one a tick."""
    trace = make_trace(20.0, 2.0)
    n = len(trace)
    events = order(trace.t_s, np.full(n, 5.0), np.zeros(n, bool), trace.flow, trace.flow)
    bank, ticks = play(events, 2.0, ("arrival_rate", "load_shape"))
    assert len(ticks["arrival_rate"]) == 2 * S // TICK_NS
    assert bank.state.bank[0]["n_arrivals"] == n


def test_newcomers_come_after_the_rise_begins() -> None:
    """A ramp begins at its instant and reaches its rate."""
    new_s = make_newcomers(Rise(3.0, 5.0, "5 s"), 50.0, np.random.default_rng(4))
    assert new_s.min() >= 60.0
    assert (new_s < 62.5).sum() < (new_s > 87.5).sum()
