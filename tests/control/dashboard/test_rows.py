"""One upstream as a row: differences of counters, and signs."""

from __future__ import annotations

from governor.control.dashboard.rows import COLUMNS, SIGNS, TOTALS, Row
from governor.core.arrival import Arrival
from governor.core.bands import Band
from governor.core.lease import make_lease
from tests.control.stub import StubRuntime


def read(row: Row) -> dict[str, float]:
    """Return the row by column."""
    return dict(zip((*COLUMNS, *TOTALS), (*row.history, *row.totals), strict=True))


def test_rates_are_differences_over_the_time_between_samples() -> None:
    """Five arrivals in two seconds are 2.5 a second; nothing more came after that."""
    runtime = StubRuntime()
    row = Row(runtime.gates["tools"], 0)
    runtime.intervene(3)
    row.sample(2.0)
    found = read(row)
    assert (found["arrivals_hz"], found["retries_hz"]) == (2.5, 1.5)
    assert (found["arrived"], found["waited"], found["sent_away"]) == (5, 1, 3)
    assert SIGNS[5] == "sent_away"
    assert int(found["signs"]) >> 5 & 1
    row.sample(2.0)
    found = read(row)
    assert (found["arrivals_hz"], found["arrived"]) == (0.0, 5)
    assert not int(found["signs"]) >> 5 & 1


def test_recent_waste_fades_while_its_share_stays() -> None:
    """Half of 40 ms wasted stays half without new calls, until too little is left to tell."""
    runtime = StubRuntime()
    row = Row(runtime.gates["tools"], 0)
    runtime.intervene()
    row.sample(1.0)
    assert read(row)["waste_recent"] == 0.5
    row.sample(60.0)
    assert read(row)["waste_recent"] == 0.5
    row.sample(600.0)
    assert read(row)["waste_recent"] == 0.0


def test_no_time_passed_is_no_rate() -> None:
    """Two samples at one instant divide by nothing."""
    runtime = StubRuntime()
    row = Row(runtime.gates["tools"], 0)
    runtime.intervene()
    row.sample(0.0)
    assert read(row)["arrivals_hz"] == 0.0


def test_the_forecast_has_eight_points() -> None:
    """Half a second each, whatever the detector's own grid."""
    assert len(Row(StubRuntime().gates["tools"], 0).forecast()) == 8


def test_everybody_who_waits_is_in_one_of_the_columns() -> None:
    """Calls of a kind that hangs wait with the long ones: both are contained."""
    gate = StubRuntime().gates["tools"]
    row = Row(gate, 0)
    for band in Band:
        gate.line.push(make_lease(Arrival(), 0, 0), 0.0, band)
    row.sample(1.0)
    found = read(row)
    waiting = [found[f"waiting_{name}"] for name in ("own", "long", "crowd")]
    assert (waiting, gate.line_length) == ([1, 2, 1], 4)
