"""Readings as of the last tick: when they change, and when they are ready."""

from __future__ import annotations

import pytest

from signals import Reading
from signals.summary import READINGS
from tests.signals.short import ShortBank

MS = 1_000_000
S = 1_000 * MS


def read(bank: ShortBank) -> dict[str, Reading]:
    """All readings by name."""
    return {reading.name: reading for reading in bank.read()}


def test_readings_change_with_the_tick_only() -> None:
    """However often asked between two ticks, the answer is the same."""
    bank = ShortBank(8)
    bank.tick(0)
    for idx in range(100):
        bank.observe_arrival(idx * 10 * MS, 1, 0, 0, True)
    assert read(bank)["arrival_rate"].value == bank.organic_hz() == 0.0
    bank.tick(S)
    assert read(bank)["arrival_rate"].value == pytest.approx(63.2, abs=1.0)  # 1 - 1/e of 100/s
    assert bank.organic_hz() == read(bank)["organic_rate"].value > 0.0


def test_rates_are_ready_after_a_second_and_the_scan_after_its_null() -> None:
    """Nothing is claimed before enough was seen."""
    bank = ShortBank(8)
    bank.tick(0)
    bank.tick(990 * MS)
    assert not read(bank)["arrival_rate"].is_ready
    bank.tick(S)
    assert read(bank)["arrival_rate"].is_ready
    assert read(bank)["retry_synchrony"].is_ready
    assert not read(bank)["synchrony"].is_ready
    bank.tick(8 * S)
    assert read(bank)["synchrony"].is_ready


def test_samples_say_what_stands_behind() -> None:
    """Arrivals, retries and recent identities are counted for the reader."""
    bank = ShortBank(8)
    for idx in range(10):
        bank.observe_arrival(idx * 20 * MS, idx % 4, 0, idx % 2, True)
    bank.tick(400 * MS)
    found = read(bank)
    assert found["arrival_rate"].samples == 10
    assert found["organic_rate"].samples == 5
    assert found["retrying_flows"].samples == 5
    assert found["identified_share"].samples == 10
    assert found["identified_share"].value == pytest.approx(0.7)
    assert [(x.name, x.unit) for x in bank.read()] == list(READINGS)


def test_failures_are_counted_over_arrivals() -> None:
    """Two arrivals, one failure: a half; more failures than arrivals: one."""
    bank = ShortBank(8)
    for idx in range(2):
        bank.observe_arrival(0, 1, idx, 0, True)
    bank.observe_departure(MS, 1, 0, 0, True)
    bank.tick(20 * MS)
    assert read(bank)["failure_share"].value == pytest.approx(0.5)
    for _ in range(9):
        bank.observe_departure(21 * MS, 1, 0, 0, True)
    bank.tick(40 * MS)
    assert read(bank)["failure_share"].value == 1.0
