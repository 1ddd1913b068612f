"""The gate benchmark drives the real gate consistently."""

from __future__ import annotations

import pytest

from bench.gate import MIXES, Mix, Traffic


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.label)
def test_a_batch_leaves_the_gate_consistent(mix: Mix) -> None:
    """Every arrival is counted, and in flight are exactly those that the mix holds open."""
    traffic = Traffic(mix, seed=3)
    traffic.batch(traffic.arrivals(500))
    assert traffic.gate.ledger.n_arrived == 500
    assert traffic.gate.in_flight == traffic.n_open
    assert traffic.gate.in_flight <= mix.in_flight
