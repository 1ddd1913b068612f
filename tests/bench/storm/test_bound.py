"""The best that any work-conserving order could give."""

from __future__ import annotations

import numpy as np
import pytest

from bench.storm.bound import serve


def test_the_preferred_wait_only_for_a_slot() -> None:
    """A preferred task that arrives amid a herd takes the next slot that is free."""
    arrived = np.array([0.0, 0.0, 0.0, 0.0, 0.5])
    demand = np.array([1.0, 1.0, 1.0, 1.0, 1.0])
    preferred = np.array([False, False, False, False, True])
    found = serve(arrived, demand, preferred, 2)
    assert found.started_s.tolist() == [0.0, 0.0, 1.0, 2.0, 1.0]
    assert found.done_s[4] == 2.0


def test_no_slot_is_idle_while_somebody_waits() -> None:
    """All work is done as early as the slots allow, whatever the order."""
    rng = np.random.default_rng(1)
    demand = rng.exponential(1.0, 400)
    found = serve(np.zeros(400), demand, rng.random(400) < 0.2, 8)
    assert found.done_s.max() <= demand.sum() / 8 + demand.max()
    assert (found.started_s < np.inf).all()


def test_without_contention_nobody_waits() -> None:
    """As many slots as tasks: each starts when it arrives."""
    arrived = np.array([3.0, 1.0, 2.0])
    found = serve(arrived, np.ones(3), np.zeros(3, dtype=bool), 3)
    assert found.started_s.tolist() == pytest.approx(arrived.tolist())
