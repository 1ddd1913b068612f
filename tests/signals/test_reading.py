"""Readings: the contract that every one of them keeps."""

from __future__ import annotations

import re

from signals import SignalBank

UNITS = {
    *("bool", "code", "count", "family", "hz", "hz_per_second", "index", "levels", "nats"),
    *("noise units", "ratio", "seconds", "seconds_per_second"),
    *("agents", "attempts", "calls", "flows", "tenant", "tenants", "trees"),
}


def test_names_are_unique_words_and_units_are_known() -> None:
    """A reader can rely on names and units."""
    readings = SignalBank(2).read()
    names = [reading.name for reading in readings]
    assert len(set(names)) == len(names)
    for reading in readings:
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", reading.name)
        assert reading.unit in UNITS
        assert type(reading.value) is float
        assert type(reading.samples) is int
        assert type(reading.is_ready) is bool
