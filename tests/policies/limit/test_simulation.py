"""The limit behind the real gate on a virtual clock, judged by the worst seed.

The whole comparison is ``python -m bench limit``; these few cells guard what
must not break: short runs, small services, every law that once collapsed it.
"""

from __future__ import annotations

import pytest

from bench.limit.cells import Cell, make_limit, make_simulation, run_cell

SEEDS = (0, 1)


def worst_ratio(cell: Cell, window: str) -> float:
    """Return the lowest goodput over the oracle's, among the seeds."""
    ratios = []
    for seed in SEEDS:
        ours, oracle = (
            run_cell((cell, name, seed))[1][window]["goodput_hz"] for name in ("ours", "oracle")
        )
        ratios.append(ours / oracle)
    return min(ratios)


@pytest.mark.parametrize("law", ["constant", "exponential", "lognormal 0.5", "lognormal 1.5"])
def test_steady_overload_keeps_the_slots_busy(law: str) -> None:
    """At 130 % load no seed falls under 0.8 of the oracle's goodput."""
    assert worst_ratio(Cell("steady", "slots", law, 4), "steady") >= 0.8


def test_a_stall_is_survived() -> None:
    """Ten times slower for 4 s: no collapse of the limit, no lasting queue."""
    assert worst_ratio(Cell("stall", "slots", "lognormal 0.5", 32), "stall") >= 0.9


def test_half_load_holds_nobody_beside_a_free_slot() -> None:
    """After 5 s at 50 % load the limit never stands in the way."""
    for law in ("exponential", "lognormal 1.5"):
        for seed in SEEDS:
            low = run_cell((Cell("low", "slots", law, 32), "ours", seed))[1]["low"]
            assert low["n_held_free"] == 0


def test_no_drift_in_long_overload() -> None:
    """Over 200 s of 150 % the smallest service's limit does not ratchet: within half either way."""
    cell = Cell("drift", "slots", "exponential", 4)
    simulation = make_simulation(cell, make_limit("ours", 4, 1), 1)
    windows = simulation.run()
    early, late = (windows[f"drift {x}"]["limit"] for x in ("early", "late"))
    assert late < 1.5 * early
    assert early < 1.5 * late


def test_same_seed_same_run() -> None:
    """The simulator and everything under it are deterministic."""
    job = (Cell("herd", "slots", "exponential", 4), "ours", 3)
    assert run_cell(job)[1] == run_cell(job)[1]
