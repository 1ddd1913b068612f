"""Calls and bytes on paper are those of the words that would be sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.simulate import cost


def test_bytes_are_those_of_the_command() -> None:
    """One row more costs one key and its fields; a batch costs less than its rows apart."""
    per_row = cost.call_bytes(2) - cost.call_bytes(1)
    assert 100 < per_row < cost.call_bytes(1) < 400
    assert cost.call_bytes(10) < 10 * cost.call_bytes(1)
    assert cost.reply_bytes(10) > 9 * (cost.reply_bytes(2) - cost.reply_bytes(1))


def test_calls_follow_governors_upstreams_and_ticks() -> None:
    """One a tick and upstream; in one call a tick the same rows."""
    apart, batched = cost.on_paper(1_000, 10), cost.on_paper(1_000, 10, is_batched=True)
    assert (apart.calls_hz, batched.calls_hz) == (200_000.0, 20_000.0)
    assert batched.in_bytes_hz < apart.in_bytes_hz


def test_a_gate_costs_its_calls_and_its_ticks() -> None:
    """From medians: so many calls and, for each upstream, twenty ticks a second."""
    gate = cost.GateCost(10e-6, 60e-6, 150e-6, 400e-6)
    assert gate.core_ratio(1_000, 10) == pytest.approx(0.01 + 10 * 20 * 150e-6)
    assert gate.core_ratio(1_000, 10, 1.0) == pytest.approx(0.06 + 10 * 20 * 400e-6)


def test_measured_cases_are_read_where_there_are_any(tmp_path: Path) -> None:
    """None before the first; then as they were written."""
    path = tmp_path / "redis.json"
    assert cost.measured_redis(path) == []
    path.write_text(json.dumps({"cases": [{"governors": 3.0, "calls_hz": 60.0}]}))
    assert cost.measured_redis(path)[0]["calls_hz"] == 60.0
