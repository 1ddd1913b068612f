"""What agrees with what was measured, and what does not."""

from __future__ import annotations

import math

from bench.simulate.check import Pair, count_agreeing, measured_cells, values_of


def pair(measured: tuple[float, float, float], simulated: tuple[float, float, float]) -> Pair:
    """Return a cell by (goodput, waste, attempts)."""
    names = ("goodput", "waste", "attempts")
    return Pair(
        "x",
        "governor",
        1,
        dict(zip(names, measured, strict=True)),
        dict(zip(names, simulated, strict=True)),
    )


def test_deviation_is_of_what_was_measured() -> None:
    """Nothing against nothing agrees; something against nothing is infinitely off."""
    cell = pair((100.0, 0.0, 2.0), (109.0, 0.1, 2.0))
    assert round(cell.deviation("goodput"), 3) == 0.09
    assert math.isinf(cell.deviation("waste"))
    assert cell.deviation("attempts") == 0.0


def test_only_waste_has_an_allowance_and_it_is_counted_apart() -> None:
    """Within half a point of all upstream seconds waste agrees, but not strictly."""
    cell = pair((100.0, 0.001, 1.0), (80.0, 0.003, 1.05))
    assert not cell.agrees("goodput")
    assert cell.agrees("waste")
    assert not cell.agrees("waste", is_strict=True)
    assert count_agreeing([cell]) == (2, 3)
    assert count_agreeing([cell], is_strict=True) == (1, 3)


def test_measured_cells_are_the_benchmarks_own() -> None:
    """Density and storms with nothing and with Governor in front; warm goodput where it is told."""
    found = {(scenario.name, peer) for scenario, peer, _, _ in measured_cells()}
    assert {("density-5000", "direct"), ("stall", "governor"), ("herd", "governor")} <= found
    assert {peer for _, peer in found} == {"direct", "governor"}
    values = values_of(
        {"warm_goodput_hz": 5.0, "goodput_hz": 4.0, "waste_ratio": 0.1, "attempts_per_task": 1.0}
    )
    assert values["goodput"] == 5.0
