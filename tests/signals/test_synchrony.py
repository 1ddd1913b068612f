"""The scans: against paper and slow sums, on made waves and surges, and on recorded traffic."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import UNMARKED
from signals.kernel import IS_COMPILED
from signals.state import N_SCALES, make_bank
from signals.synchrony import (
    ALARM_NATS,
    MEAN_FLOOR,
    NARROWEST_NS,
    classify_gap,
    compute_surprise,
    is_clock_coarse,
)
from tests import naive
from tests.signals.short import ShortBank

TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"
MS = 1_000_000
S = 1_000 * MS
N_FLOWS = 4_096


def read(bank: ShortBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


def play(
    bank: ShortBank, at_ns: np.ndarray, flows: np.ndarray, *, is_identified: bool = True
) -> None:
    """Let fresh calls arrive in order of time."""
    for idx in np.argsort(at_ns, kind="stable"):
        bank.observe_arrival(int(at_ns[idx]), int(flows[idx]), 0, 0, is_identified)


def make_organic(
    rng: np.random.Generator, rate_hz: float, stop_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Independent callers: Poisson arrivals of a thousand flows."""
    n = rng.poisson(rate_hz * stop_s)
    return rng.integers(0, int(stop_s * S), n), rng.integers(1, 1_000, n)


@given(
    count=st.floats(0, 1e6),
    mean=st.floats(MEAN_FLOOR, 1e6),
    dispersion=st.floats(1.0, 1e3),
)
def test_surprise_is_the_formula(count: float, mean: float, dispersion: float) -> None:
    """Same as on paper, never negative, never NaN."""
    found = compute_surprise(count, mean, dispersion)
    expected = naive.compute_surprise(count, mean, dispersion)
    assert math.isfinite(found)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_surprise_bounds_the_poisson_tail() -> None:
    """exp(-D) is never below the tail probability it stands for."""
    for mean in (0.02, 0.5, 3.0, 40.0):
        for count in range(1, 80):
            terms = (math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count))
            tail = 1.0 - sum(terms)
            assert math.exp(-compute_surprise(count, mean, 1.0)) >= tail - 1e-9


def test_five_retriers_out_of_nothing_alarm_and_four_do_not() -> None:
    """The least wave that can be told from chance at the floor."""
    assert compute_surprise(5, MEAN_FLOOR, 1.0) >= ALARM_NATS > compute_surprise(4, MEAN_FLOOR, 1.0)


@given(st.integers(0, 10**12))
def test_gap_class_is_the_widest_scale_not_wider_than_the_gap(gap_ns: int) -> None:
    """A flow silent for a gap is fresh in all windows up to that gap."""
    fresh = [scale for scale in range(N_SCALES) if gap_ns >= NARROWEST_NS << scale]
    assert classify_gap(gap_ns) == (max(fresh) if fresh else -1)


LONG = pytest.mark.long_play


@pytest.mark.parametrize(
    ("jitter_ms", "k", "rate_hz"),
    [
        pytest.param(1, 12, 2.0, marks=LONG),
        (20, 16, 2.0),
        pytest.param(1, 30, 55.0, marks=LONG),
        pytest.param(40, 50, 55.0, marks=LONG),
    ],
)
def test_a_wave_of_distinct_callers_alarms(jitter_ms: int, k: int, rate_hz: float) -> None:
    """Callers in step are seen within two windows, on calm and on busy traffic."""
    for seed in range(3 if IS_COMPILED else 1):
        rng = np.random.default_rng(seed)
        bank = ShortBank(N_FLOWS)
        at_ns, flows = make_organic(rng, rate_hz, 32.0)
        wave_ns = 30 * S + rng.integers(0, jitter_ms * MS, k)
        wave = rng.permutation(np.arange(2_000, 3_000))[:k]
        play(bank, np.concatenate([at_ns, wave_ns]), np.concatenate([flows, wave]))
        bank.tick(32 * S)
        assert read(bank)["synchrony_alarms"] == 1.0
        assert read(bank)["synchrony_hint"] == 0.0


def test_one_caller_however_fast_is_no_herd() -> None:
    """A burst of one flow, or of seven, leaves the scan silent."""
    rng = np.random.default_rng(1)
    bank = ShortBank(N_FLOWS)
    at_ns, flows = make_organic(rng, 5.0, 32.0)
    burst_ns = 30 * S + rng.integers(0, 20 * MS, 700)
    play(bank, np.concatenate([at_ns, burst_ns]), np.concatenate([flows, 2_000 + burst_ns % 7]))
    bank.tick(32 * S)
    assert read(bank)["synchrony_alarms"] == 0.0


def test_an_unidentified_burst_is_a_hint_only() -> None:
    """Without identity a burst of one caller looks like a wave: no alarm is raised on it."""
    rng = np.random.default_rng(2)
    bank = ShortBank(N_FLOWS)
    at_ns, flows = make_organic(rng, 2.0, 30.4)
    wave_ns = 30 * S + rng.integers(0, MS, 30)
    at_ns, flows = np.concatenate([at_ns, wave_ns]), np.concatenate([flows, np.zeros(30, int)])
    play(bank, at_ns, flows)
    bank.tick(30 * S + 400 * MS)
    assert read(bank)["synchrony_alarms"] == 0.0
    assert read(bank)["synchrony_hint"] == 1.0


@pytest.mark.parametrize("factor", [pytest.param(3, marks=LONG), 10])
@pytest.mark.parametrize(
    "ramp_s", [0.001, pytest.param(1.0, marks=LONG), pytest.param(5.0, marks=LONG)]
)
def test_a_surge_of_fresh_callers_is_no_synchrony(factor: int, ramp_s: float) -> None:
    """Demand that rises and stays is told from a wave that passes."""
    rng = np.random.default_rng(factor)
    bank = ShortBank(N_FLOWS)
    parts = [make_organic(rng, 18.0, 40.0)]
    n = rng.poisson(18.0 * (factor - 1) * 10)
    rise_s = 30.0 + rng.uniform(0, 10.0, n)
    kept = rng.random(n) < np.minimum(1.0, (rise_s - 30.0) / ramp_s)
    parts.append(((rise_s[kept] * S).astype(np.int64), rng.integers(1_000, 4_000, kept.sum())))
    play(bank, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    bank.tick(40 * S)
    assert read(bank)["synchrony_alarms"] == 0.0


@LONG
def test_a_clock_of_whole_seconds_is_not_taken_for_synchrony() -> None:
    """Coarse stamps void the scan instead of alarming."""
    rng = np.random.default_rng(3)
    bank = ShortBank(N_FLOWS)
    at_ns, flows = make_organic(rng, 30.0, 60.0)
    play(bank, at_ns // S * S, flows)
    bank.tick(60 * S)
    assert read(bank)["coarse_clock"] == 1.0
    assert read(bank)["synchrony_alarms"] == read(bank)["retry_synchrony_alarms"] == 0.0


@given(st.lists(st.integers(0, 3 * S), max_size=300))
@settings(max_examples=30, deadline=None)
def test_coarse_clock_guard_is_the_formula(gaps_ns: list[int]) -> None:
    """The kernel and the definition agree on any gaps."""
    bank, slow = make_bank(1), naive.NaiveBank(2)
    slow.stamps = [0]
    for gap_ns in gaps_ns:
        n = int(bank[0]["n_gaps"])
        bank[0]["gaps"][n % 256] = gap_ns
        bank[0]["n_gaps"] = n + 1
        slow.stamps.append(slow.stamps[-1] + gap_ns)
    assert bool(is_clock_coarse(bank)) == slow.is_clock_coarse()


@pytest.mark.parametrize("k", [8, 100])
def test_a_step_of_retries_alarms_within_a_window(k: int) -> None:
    """Retries of distinct flows are seen 0.1 s after they begin, over background retries."""
    rng = np.random.default_rng(k)
    bank = ShortBank(N_FLOWS)
    at_ns, flows = make_organic(rng, 20.0, 30.0)
    for idx in np.argsort(at_ns):
        marked = int(rng.random() < 0.01)
        bank.observe_arrival(int(at_ns[idx]), int(flows[idx]), 0, marked, True)
    assert read(bank)["retry_synchrony_alarms"] == 0.0
    for idx, offset_ns in enumerate(np.sort(rng.integers(0, 100 * MS, k))):
        bank.observe_arrival(30 * S + int(offset_ns), 2_000 + idx, 0, 1, True)
    bank.tick(30 * S + 120 * MS)
    assert read(bank)["retry_synchrony_alarm"] == 1.0
    assert read(bank)["retry_synchrony_excess"] > 4.0
    assert read(bank)["retrying_flows"] >= k


def test_alarms_less_than_a_second_apart_are_one() -> None:
    """One event is counted once, and reads as over a second after its end."""
    bank = ShortBank(N_FLOWS)
    bank.tick(0)
    for idx in range(300):
        bank.observe_arrival(10 * S + idx * 5 * MS, 1 + idx, 0, 1, True)
    bank.tick(12 * S)
    assert read(bank)["retry_synchrony_alarms"] == 1.0
    bank.tick(14 * S)
    assert read(bank)["retry_synchrony_alarm"] == 0.0
    assert read(bank)["retry_synchrony"] == 0.0


def read_trace(name: str, flow: str, speed: float) -> Iterator[tuple[int, int]]:
    """Yield (instant, flow index) of a recording."""
    path = TRACES / name
    if not path.exists():
        pytest.skip("recorded traffic is not here")
    known: dict[str, int] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            idx = known.setdefault(row[flow], 1 + len(known)) if flow else 0
            yield int(float(row["t_s"]) * 1e9 / speed), idx


@LONG
@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_recorded_agents_raise_no_alarm(speed: float) -> None:
    """Six hours of a Claude Code fleet, as recorded and ten times as fast: silence."""
    bank = ShortBank(N_FLOWS)
    strongest = 0.0
    for now_ns, flow in read_trace("claude_code_fleet_6h.csv.gz", "agent", speed):
        bank.observe_arrival(now_ns, flow, now_ns, UNMARKED, True)
        bank.observe_departure(now_ns, flow, now_ns, 0, False)
        bank.tick(now_ns)
        strongest = max(strongest, bank.synchrony_nats())
    readings = read(bank)
    assert readings["synchrony_alarms"] == readings["retry_synchrony_alarms"] == 0.0
    assert strongest < ALARM_NATS - 5.0
