"""The tally: counts by key, bounded whatever comes."""

from __future__ import annotations

from governor.control import tally as module
from governor.control.tally import RequestTally
from tests.control.stub import make_record


def test_counts_by_upstream_route_class_and_decision() -> None:
    """Each finished request counts once, under its key, with its duration."""
    tally = RequestTally()
    for status in (200, 204, 404, 503):
        tally.observe(make_record(status=status))
    assert tally.counts == {
        ("tools", "all", 2, "admit"): 2,
        ("tools", "all", 4, "admit"): 1,
        ("tools", "all", 5, "admit"): 1,
    }
    assert tally.durations["tools"].count == 4
    assert tally.durations["tools"].sum_ns == 4 * 12_345_678


def test_series_are_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Beyond the bound, further keys share one."""
    monkeypatch.setattr(module, "KEYS_MAX", 2)
    tally = RequestTally()
    for idx in range(5):
        tally.observe(make_record(upstream=f"u{idx}"))
    assert tally.counts[("other", "other", 2, "other")] == 3
    assert len(tally.counts) == 3
    assert len(tally.durations) == 2
