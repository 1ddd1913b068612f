"""The table of metrics is unique and complete: see also ``test_collector``."""

from __future__ import annotations

from governor.control.collector import GATE_ROWS
from governor.control.metrics import METRICS
from governor.control.signal_metrics import PROCESS_ROWS, SIGNAL_ROWS
from signals import SignalBank


def test_rows_refer_to_the_table_and_to_real_readings() -> None:
    """No family without a row in the table; no reading that no signal gives."""
    assert set(GATE_ROWS) <= set(METRICS)
    assert {name for name, _ in SIGNAL_ROWS.values()} <= set(METRICS)
    assert set(PROCESS_ROWS.values()) <= set(METRICS)
    given = {reading.name for reading in SignalBank(2).read()}
    assert set(SIGNAL_ROWS) | set(PROCESS_ROWS) <= given
