"""What governing does for callers, estimated against those it leaves alone."""

from __future__ import annotations

from random import Random

import pytest

from policies.holdback import N_MIN, Holdback


def test_the_share_of_callers_is_held_back() -> None:
    """Of 60,000 callers 5 %, the same ones each time."""
    holdback = Holdback(0.05)
    chosen = [flow for flow in range(1, 60_000) if holdback.is_held_back(flow)]
    assert 0.04 < len(chosen) / 60_000 < 0.06
    assert chosen == [flow for flow in range(1, 60_000) if Holdback(0.05).is_held_back(flow)]


def test_nobody_is_held_back_by_default() -> None:
    """A share of 0 leaves no caller ungoverned, nor those that share the overflow entry."""
    assert not any(Holdback(0.0).is_held_back(flow) for flow in range(10_000))
    assert not Holdback(0.5).is_held_back(0)


def test_the_estimate_covers_the_truth() -> None:
    """The 95 % interval holds the true difference in at least 90 of 100 lives."""
    n_held = 0
    for seed in range(100):
        rng, holdback = Random(seed), Holdback(0.1)
        for _ in range(4000):
            flow = rng.randrange(1, 500)
            is_back = holdback.is_held_back(flow)
            holdback.close(flow, rng.random() < (0.90 if is_back else 0.97))
        estimate = holdback.estimate()
        assert estimate is not None
        n_held += estimate.low <= 0.07 <= estimate.high
    assert n_held >= 90


def test_few_calls_say_nothing() -> None:
    """Below thirty calls in an arm there is no estimate."""
    holdback = Holdback(0.5)
    for number in range(N_MIN - 1):
        holdback.close(number + 1, True)
    assert holdback.estimate() is None


@pytest.mark.parametrize("share", [-0.1, 0.6])
def test_a_share_out_of_bounds_is_refused(share: float) -> None:
    """Most traffic must be governed for the comparison to mean anything."""
    with pytest.raises(ValueError, match=r"from 0 to 0\.5"):
        Holdback(share)
