"""Saturation: against its slow twin, and against services whose capacity is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detect.loads import SERVICE_S, Kind, make_arrivals, play, serve
from signals import ANSWERED, GONE, Shared, SignalBank
from signals.kernel import IS_COMPILED
from signals.saturation import SATURATION_DTYPE
from tests.signals.twins.saturation import NaiveSaturation

MS = 1_000_000
S = 1_000 * MS
BUCKET_NS = 10 * MS


class Told(NamedTuple):
    """One thing that a bank is told."""

    t_ns: int
    order: int
    call: int
    what: str


def make_script(seed: int, n: int, rate_hz: float, places: int, mean_s: float) -> list[Told]:
    """Calls at a small service: some stream, some end without an answer."""
    random = Random(seed)
    free = [0.0] * places
    told, at_s = [], 0.0
    for call in range(n):
        at_s += random.expovariate(rate_hz)
        free.sort()
        ends_s = max(at_s, free[0]) + mean_s * math.exp(random.gauss(0.0, 0.5))
        free[0] = ends_s
        fails = random.random() < 0.1
        told.append(Told(int(at_s * S), 0, call, "arrive"))
        if random.random() < 0.3:
            told.append(Told(int(ends_s * S), 1, call, "first byte"))
            ends_s += random.random()
        told.append(Told(int(ends_s * S), 2, call, "fail" if fails else "end"))
    return sorted(told)


def tell(bank: SignalBank, told: Iterator[Told] | list[Told], shift_ns: int, tick_ms: int) -> None:
    """Tell a bank, ticking as often as asked."""
    bank.tick(shift_ns)
    handles: dict[int, int] = {}
    next_ns = tick_ms * MS
    for t_ns, _, call, what in told:
        while next_ns <= t_ns:
            bank.tick(shift_ns + next_ns)
            next_ns += tick_ms * MS
        now_ns = shift_ns + t_ns
        if what == "arrive":
            handles[call] = bank.observe_arrival(now_ns, 1 + call % 5, 1 + call % 7, 0, call)
        elif what == "first byte":
            bank.observe_answer(now_ns, handles[call])
        else:
            bank.observe_end(now_ns, handles[call], GONE if what == "fail" else ANSWERED)


def tell_twin(told: list[Told], until_ns: int) -> NaiveSaturation:
    """Tell the twin, bucket by bucket."""
    twin = NaiveSaturation()
    bucket = 0
    for t_ns, _, call, what in [*told, Told(until_ns, 0, -1, "")]:
        while (bucket + 1) * BUCKET_NS <= t_ns:
            bucket += 1
            twin.close_bucket(bucket % 100 == 0)
        if what == "arrive":
            twin.arrive(call, t_ns)
        elif what == "first byte":
            twin.first_byte(call, t_ns)
        elif what:
            twin.end(call, t_ns, what == "end")
    return twin


@given(
    seed=st.integers(0, 10_000),
    load=st.sampled_from([0.4, 0.9, 1.3]),
    places=st.sampled_from([2, 6]),
)
@settings(max_examples=8 if IS_COMPILED else 1, deadline=None)
def test_the_kernel_is_its_twin(seed: int, load: float, places: int) -> None:
    """Whatever the load, base, judgement and capacity are those of the definition."""
    rate_hz = 40.0
    mean_s = load * places / rate_hz / math.exp(0.125)
    told = make_script(seed, 600, rate_hz, places, mean_s)
    until_ns = (told[-1].t_ns // S + 2) * S
    bank = SignalBank(8, Shared(2_048))
    tell(bank, told, 0, 250)
    bank.tick(until_ns)
    twin = tell_twin(told, until_ns)
    s = bank.state.saturation[0]
    assert s["n_open"] == len(twin.met)
    assert s["n_unanswered"] == twin.unanswered
    assert s["n_windows"] == twin.n_windows
    assert s["spread"] == pytest.approx(twin.spread, rel=1e-6)
    assert twin.base is not None
    assert s["base_log"] == pytest.approx(twin.base[0], rel=1e-6)
    assert s["base_s"] == pytest.approx(twin.base[1], rel=1e-6)
    assert bool(s["is_full"]) == twin.full
    assert bool(s["is_saturated"]) == twin.saturated
    assert s["known_hz"] == pytest.approx(twin.known, rel=1e-6)
    assert s["proven_hz"] == pytest.approx(twin.proven, rel=1e-6)


@given(
    seed=st.integers(0, 10_000), shift_s=st.integers(-(10**6), 10**6), tick_ms=st.integers(7, 900)
)
@settings(max_examples=6 if IS_COMPILED else 1, deadline=None)
def test_shifting_time_and_splitting_ticks_change_nothing(
    seed: int, shift_s: int, tick_ms: int
) -> None:
    """Readings depend on what happened, not on the clock's origin nor on who asks how often."""
    told = make_script(seed, 300, 40.0, 4, 0.08)
    until_ns = (told[-1].t_ns // S + 1) * S
    found = []
    for shift_ns, ticks_ms in ((0, 50), (shift_s * S, tick_ms)):
        bank = SignalBank(8, Shared(2_048))
        tell(bank, told, shift_ns, ticks_ms)
        bank.tick(shift_ns + until_ns)
        found.append((bank.state.saturation.tobytes(), bank.state.headroom.tobytes(), bank.read()))
        assert all(math.isfinite(reading.value) for reading in bank.read())
    assert found[0] == found[1]


needs_compiler = pytest.mark.skipif(
    not IS_COMPILED, reason="minutes of traffic; the twin is compared without a compiler too"
)


def run_steady(load: float, places: int, end_s: float, kind: Kind | None = None) -> SignalBank:
    """Return a bank that has watched a service under steady load."""
    kind = kind or Kind()
    random = Random(5)
    rate_hz = load * places / kind.hold_s
    arrivals = [(at_s, 1) for at_s in make_arrivals(random, lambda _: rate_hz, rate_hz, end_s)]
    bank = SignalBank(8, Shared(4_096))
    for _ in play(bank, serve(random, arrivals, places, kind), end_s):
        pass
    return bank


def read(bank: SignalBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


@needs_compiler
def test_half_load_proves_more_than_it_asks() -> None:
    """At half load the capacity is a lower bound, above the demand and not above the truth."""
    found = read(run_steady(0.5, 16, 40.0))
    assert found["capacity_known"] == 0.0
    assert 0.55 < found["capacity"] / (16 / SERVICE_S) < 1.15
    assert 0.4 < found["utilisation"] < 1.0


@needs_compiler
def test_overload_makes_the_capacity_known() -> None:
    """Behind a queue the answer rate is the capacity."""

    def rate(at_s: float) -> float:
        return (0.5 if at_s < 20.0 else 1.4) * 16 / SERVICE_S

    random = Random(3)
    arrivals = [(at_s, 1) for at_s in make_arrivals(random, rate, 1.4 * 16 / SERVICE_S, 40.0)]
    bank = SignalBank(8, Shared(4_096))
    for _ in play(bank, serve(random, arrivals, 16, Kind()), 40.0):
        pass
    found = read(bank)
    assert found["capacity_known"] == found["saturated"] == 1.0
    assert found["capacity"] == pytest.approx(16 / SERVICE_S, rel=0.15)
    assert found["queueing_delay"] > 1.0


@needs_compiler
def test_streams_count_as_what_they_occupy() -> None:
    """Long streams with quick first bytes: capacity is in calls that places can hold."""
    kind = Kind(first_s=0.2, stream_s=(2.0, 4.0))
    found = read(run_steady(0.5, 32, 60.0, kind))
    assert 0.5 < found["capacity"] / (32 / kind.hold_s) < 1.3
    assert found["base_latency"] == pytest.approx(0.2, rel=0.3)


def test_memory_is_fixed() -> None:
    """One record, however many calls."""
    assert SATURATION_DTYPE.itemsize < 4_096
