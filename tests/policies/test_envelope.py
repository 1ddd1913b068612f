"""Envelopes: noise begins nothing, what lasts does; the same for one agent and for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.envelope import (
    N_BEGIN,
    N_CALLS_MIN,
    N_END,
    N_MEASURES,
    RATE_KEPT,
    RETRIES_WEIGHT,
    UNLIMITED,
    Envelope,
    Measure,
    advance,
    begins_above,
    learn,
    learned_limits,
)


def above(envelope: Envelope, n_calls: float = 100.0) -> list[float]:
    """Return where deviations from one envelope begin, ``n_calls`` behind the share."""
    calls_hz = np.array([n_calls * RETRIES_WEIGHT])
    found: list[float] = begins_above(np.array([envelope.limits]), calls_hz)[0].tolist()
    return found


def twin(readings: list[int]) -> list[bool]:
    """Return whether it deviates after each second: above (1), between (0), within (-1)."""
    deviates, found = False, []
    for idx in range(len(readings)):
        n, wanted = (N_END, -1) if deviates else (N_BEGIN, 1)
        since = [i for i, x in enumerate(found) if i and found[i] != found[i - 1]]
        start = (since[-1] + 1) if since else (1 if found and found[0] else 0)
        latest = readings[max(start, idx + 1 - n) : idx + 1]
        if len(latest) == n and all(x == wanted for x in latest):
            deviates = not deviates
        found.append(deviates)
    return found


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from((-1, 0, 1)), st.integers(1, 40)), max_size=12))
def test_a_deviation_begins_and_ends_after_seconds_on_end(runs: list[tuple[int, int]]) -> None:
    """The streaming count agrees with looking back over all seconds, whatever comes."""
    readings = [x for x, n in runs for _ in range(n)]
    streak, deviates = np.zeros(1, np.int16), np.zeros(1, np.bool_)
    found = []
    for x in readings:
        before = bool(deviates[0])
        flips = advance(np.array([x > 0]), np.array([x < 0]), streak, deviates)
        assert bool(flips[0]) == (before != bool(deviates[0]))
        found.append(bool(deviates[0]))
    assert found == twin(readings)


@settings(max_examples=40)
@given(st.floats(0.01, 1e4), st.floats(0.0, 1.0), st.floats(0.0, 1e5))
def test_a_deviation_begins_above_its_limit_never_below(
    rate_hz: float, share: float, n_calls: float
) -> None:
    """Noise raises what begins a deviation; what nobody limits never deviates."""
    found = above(Envelope(rate_hz=rate_hz, retry_share=share), n_calls)
    assert found[Measure.RATE] > rate_hz
    assert found[Measure.RETRIES] >= share
    assert found[Measure.IN_FLIGHT] == found[Measure.FAN_OUT] == UNLIMITED
    assert found[Measure.UPSTREAMS] == UNLIMITED
    if share < 0.999 and n_calls > N_CALLS_MIN * 1.01:
        assert found[Measure.RETRIES] < 1.0  # retries alone always count
    if n_calls < N_CALLS_MIN * 0.99:
        assert found[Measure.RETRIES] == UNLIMITED


def test_upstreams_left_out_may_not_be_called() -> None:
    """A list of upstreams is a limit of none of the others; no list is no limit."""
    assert above(Envelope(upstreams=0b101))[Measure.UPSTREAMS] == 0.0
    assert Envelope().limits == (UNLIMITED,) * N_MEASURES


@pytest.mark.parametrize(("share", "n_most"), [(0.8, 0), (1.0, 3)])
def test_poisson_traffic_within_its_limit_deviates_hardly_ever(share: float, n_most: int) -> None:
    """At four fifths of the limit never in 200 agent-hours; exactly at it at most in 3 of 200."""
    rng = np.random.default_rng(1)
    n = 200
    limits = np.tile(np.array(Envelope(rate_hz=5.0).limits), (n, 1))
    measures = np.zeros((n, N_MEASURES))
    streak, deviates = np.zeros((n, N_MEASURES), np.int16), np.zeros((n, N_MEASURES), np.bool_)
    begins = begins_above(limits, np.zeros(n))
    n_began = 0
    for counts in rng.poisson(5.0 * share, (1_200, n)):
        measures[:, Measure.RATE] *= RATE_KEPT
        measures[:, Measure.RATE] += (1.0 - RATE_KEPT) * counts
        flips = advance(measures > begins, measures <= limits, streak, deviates)
        n_began += int((flips & deviates).sum())
    assert n_began <= n_most


def test_only_readings_within_the_limit_teach() -> None:
    """Slow growth moves a learned envelope, a leap does not; a short past limits nothing."""
    largest = np.array([[2.0, 1.0, 10.0]])
    limits = learned_limits(largest, np.array([True]), 3.0)
    assert limits.tolist() == [[6.0, 3.0, 30.0]]
    learn(largest, np.array([[5.0, 100.0, 30.0]]), limits)
    assert largest.tolist() == [[5.0, 1.0, 30.0]]
    assert learned_limits(largest, np.array([False]), 3.0).tolist() == [[UNLIMITED] * 3]
