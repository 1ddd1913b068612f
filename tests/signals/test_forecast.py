"""The forecast against its slow twin, and what must hold whatever happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from signals import ATTEMPT_MASK, FAILED, GONE, Shared, SignalBank
from signals.forecast import READINGS
from signals.generations import HORIZON
from signals.kernel import IS_COMPILED
from tests.signals.forecast_script import MS, Actor, Life, S, write

TOLD_HZ = 60.0

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking a script of calls takes longer than reading it."""

LIVES = st.builds(
    Life,
    seed=st.integers(0, 2**32),
    n_steps=st.just(100),
    n_flows=st.just(40),
    family=st.sampled_from([1, 4, 7, 15]),  # told: 0 is replaced by what habits tell
    rate_hz=st.sampled_from([50.0, 100.0, 300.0]),
    fail_share=st.sampled_from([0.0, 0.3, 0.7]),
    leave_share=st.sampled_from([0.0, 0.2]),
    patience_ns=st.sampled_from([0, 0, S]),
    invites=st.booleans(),
    thinks=st.booleans(),
)


def read(bank: SignalBank) -> dict[str, float]:
    """Every reading by name."""
    return {reading.name: reading.value for reading in bank.read()}


def own(bank: SignalBank) -> list[float]:
    """The forecast's readings."""
    values = read(bank)
    return [values[name] for name, _ in READINGS]


def hurry(seed: int, family: int, rate_hz: float) -> Life:
    """A life in which all attempts of a family learn within a bin, one more than are redrawn."""
    return Life(seed, family, 100, rate_hz, 0.7, 0.2, 40, S)


@settings(max_examples=16 if IS_COMPILED else 2, deadline=None, phases=PHASES)
@example(life=hurry(45, 4, 300.0))
@example(life=hurry(69, 4, 50.0))
@example(life=hurry(62, 7, 100.0))
@given(life=LIVES)
def test_it_equals_its_slow_twin(life: Life) -> None:
    """Curves at every step, then counts, alarm and score, are what whole histories give."""
    actor = Actor(life, TOLD_HZ)
    record, twin = actor.record, actor.twin
    assert twin is not None
    for step in write(life):
        actor.play([step])
        np.testing.assert_allclose(record["faded"], twin.faded, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(record["unfaded"], twin.unfaded, rtol=1e-6, atol=1e-6)
    assert record["pending"]["n_out"] == len(twin.out())
    assert record["patience"]["n_waiting"] == len(twin.waiting())
    assert record["patience"]["n_orphans"] == twin.n_orphans()
    np.testing.assert_allclose(record["patience"]["pace_hz"], twin.pace_hz, rtol=1e-9, atol=1e-9)
    assert record["storm"]["is_on"] == twin.is_on
    assert record["storm"]["n_alarms"] == twin.n_alarms
    errors = np.array(twin.errors)
    np.testing.assert_allclose(record["score"]["error"], errors[:, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(record["score"]["persistence"], errors[:, 1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(record["score"]["actual"], errors[:, 2], rtol=1e-9)


@settings(max_examples=15 if IS_COMPILED else 2, deadline=None, phases=PHASES)
@given(life=LIVES, shift_ns=st.integers(-(10**18), 10**18), extra=st.integers(0, 2**32))
def test_shifting_time_and_splitting_ticks_change_nothing(
    life: Life, shift_ns: int, extra: int
) -> None:
    """Only differences of instants matter, and time passes the same in one step or many."""
    steps = write(life)
    plain, other = Actor(life, TOLD_HZ, False), Actor(life, TOLD_HZ, False)
    plain.play(steps)
    rng = np.random.default_rng(extra)
    for step in steps:
        other.play([step], shift_ns)
        if rng.random() < 0.3:
            other.bank.tick(step.at_ns + shift_ns + int(rng.integers(0, MS)) * 0)
    stop_ns = steps[-1].at_ns + 300 * MS
    plain.bank.tick(stop_ns)
    other.bank.tick(stop_ns + shift_ns)
    assert own(plain.bank) == own(other.bank)
    assert plain.record["faded"].tolist() == other.record["faded"].tolist()


@settings(max_examples=15 if IS_COMPILED else 2, deadline=None, phases=PHASES)
@given(life=LIVES, factor=st.integers(1, 39))
def test_renumbering_flows_changes_nothing(life: Life, factor: int) -> None:
    """Who is called what has no say; the unknown stay the unknown."""
    steps = write(life)
    renamed = [
        step._replace(flow=1 + (step.flow - 1 + factor) % (life.n_flows - 1) if step.flow else 0)
        for step in steps
    ]
    one, two = Actor(life, TOLD_HZ, False), Actor(life, TOLD_HZ, False)
    one.play(steps)
    two.play(renamed)
    assert one.record["faded"].tolist() == two.record["faded"].tolist()


@settings(max_examples=25 if IS_COMPILED else 3, deadline=None, phases=PHASES)
@given(life=LIVES, told_hz=st.sampled_from([0.0, 1e-6, 10.0, 1e9]), n_steps=st.integers(1, 100))
def test_no_more_come_back_than_are_out_and_nothing_is_ever_nan(
    life: Life, told_hz: float, n_steps: int
) -> None:
    """The known wave is at most who is out and who is invited; every reading is a number."""
    actor = Actor(life, told_hz, False)
    steps = write(life)[:n_steps]
    actor.play(steps)
    bins = (steps[-1].at_ns - steps[0].at_ns) // (50 * MS) + 1
    actor.bank.tick(steps[0].at_ns + bins * 50 * MS)  # the end of a bin: nobody since
    record = actor.record
    if record["is_active"] == 1:
        n = record["pending"]["n_out"] + record["pending"]["n_due"]
        assert record["known"].min() >= -1e-9
        assert record["known"].sum() <= n + 1e-6
    assert all(np.isfinite(value) for value in own(actor.bank))
    assert record["faded"].min() >= 0.0


def refuse(bank: SignalBank, n: int, at_ns: int, family: int = 1, due_ns: int = 0) -> None:
    """Let n callers be refused within 10 ms."""
    for flow in range(1, n + 1):
        now_ns = at_ns + flow * 10 * MS // (n + 1)
        call = bank.observe_arrival(now_ns, 1, flow, flow, flow, family=family)
        bank.observe_end(now_ns, call, FAILED, due_ns)


@pytest.fixture
def bank() -> SignalBank:
    """A bank that has seen 3 s of nothing much."""
    bank = SignalBank(300, Shared(1_024))
    bank.tick(0)
    bank.state.forecast[0]["told_hz"] = 100.0
    bank.tick(3 * S)
    return bank


def curve(bank: SignalBank) -> npt.NDArray[Any]:
    """The planning curve, arrivals per bin."""
    return np.array(bank.state.forecast[0]["faded"])


def test_refused_callers_of_a_known_client_come_back_in_its_band(bank: SignalBank) -> None:
    """OpenAI's first retry is due 375 to 500 ms after the failure: so says the curve."""
    refuse(bank, 200, 3 * S)
    bank.tick(3 * S + 50 * MS)
    known = np.array(bank.state.forecast[0]["known"])[1]
    band = known[5:11].sum()  # bins that hold 325 to 525 ms after the failures
    assert 0.85 * 200 < band <= 200
    values = read(bank)
    assert values["storm_alarm"] == 1.0
    assert 0.0 <= values["storm_crossing"] <= 0.35
    assert values["pending_failures"] == 200.0


def test_the_invited_are_expected_when_they_were_told(bank: SignalBank) -> None:
    """A Retry-After that the client obeys replaces its law; one that it ignores does not."""
    refuse(bank, 50, 3 * S, family=1, due_ns=2 * S)
    bank.tick(3 * S + 50 * MS)
    assert read(bank)["granted_slots"] == 50.0
    assert np.array(bank.state.forecast[0]["known"])[1, 38:41].sum() == 50.0
    other = SignalBank(300, Shared(1_024))
    other.tick(0)
    refuse(other, 50, 3 * S, family=7, due_ns=2 * S)
    other.tick(3 * S + 50 * MS)
    assert read(other)["granted_slots"] == 0.0
    assert read(other)["pending_failures"] == 50.0


def test_a_handful_is_no_storm(bank: SignalBank) -> None:
    """Fewer than five callers cannot hurt, however small the capacity."""
    bank.state.forecast[0]["told_hz"] = 1.0
    refuse(bank, 4, 3 * S)
    bank.tick(3 * S + 10 * MS + 40 * MS)
    assert bank.state.forecast[0]["n_failing"] < 1.0
    assert read(bank)["storm_alarm"] == 0.0


def test_a_storm_ends_once_and_everything_is_forgotten(bank: SignalBank) -> None:
    """Nobody comes back: the alarm falls, and after 12.8 s nobody is awaited."""
    refuse(bank, 200, 3 * S)
    for step in range(140):
        bank.tick(3 * S + step * 100 * MS)
    values = read(bank)
    assert values["storm_alarm"] == 0.0
    assert values["storm_alarms"] == 1.0
    assert values["pending_failures"] == 0.0
    assert (curve(bank) == 0.0).all()


def test_the_second_storm_is_foretold_by_the_first() -> None:
    """Callers of an unknown client come back after 1.3 s: learned once, expected next time."""
    bank = SignalBank(300, Shared(1_024))
    shares = []
    for storm in range(2):
        start_ns = storm * 3 * S
        bank.tick(start_ns)
        refuse(bank, 200, start_ns, family=15)
        bank.tick(start_ns + 50 * MS)
        known = np.array(bank.state.forecast[0]["known"])[1]
        shares.append(known[24:27].sum() / 200)
        for flow in range(1, 201):
            now_ns = start_ns + 1_300 * MS + flow * 10 * MS // 201
            call = bank.observe_arrival(now_ns, 1, flow, flow, flow, family=15)
            bank.observe_end(now_ns + MS, call)
    assert shares[0] < 0.3
    assert shares[1] > 0.75


def test_who_asks_anew_has_given_up_and_teaches_no_back_off(bank: SignalBank) -> None:
    """A fresh call ends the wait for a retry; that no retry came is what the law learns."""
    control = bank.state.calibration[0]
    control["after_success"][15, 24] = 400.0  # so long do these callers think: 256 to 304 ms
    for name in ("n_watched", "n_settled", "n_repeated"):
        control[name][15] = 400.0
    record = bank.state.forecast[0]
    waves = []
    for round_ns in (3 * S, 6 * S):
        refuse(bank, 200, round_ns, family=15)
        bank.tick(round_ns + 50 * MS)
        assert read(bank)["pending_failures"] == 200.0
        waves.append(np.array(record["known"])[1].sum())
        for flow in range(1, 201):
            now_ns = round_ns + 280 * MS + flow * 10 * MS // 201
            call = bank.observe_arrival(now_ns, 1, flow, flow, flow, family=15)
            assert call & ATTEMPT_MASK == 0
            bank.observe_end(now_ns + MS, call, GONE)
        bank.tick(round_ns + 350 * MS)
        assert read(bank)["pending_failures"] == 0.0
        assert record["backoff"]["n_returns"].sum() == 0
        assert read(bank)["return_share"] == 0.0
    assert waves[1] < 0.3 * waves[0]


def test_it_costs_nothing_where_nothing_fails(bank: SignalBank) -> None:
    """Without failures the curve is flat organic demand and no law is touched."""
    for step in range(500):
        call = bank.observe_arrival(3 * S + step * 10 * MS, 1, 1 + step % 50, 0, step)
        bank.observe_end(3 * S + step * 10 * MS + 5 * MS, call)
    bank.tick(8 * S)
    record = bank.state.forecast[0]
    assert record["is_active"] == 0
    assert record["backoff"]["is_primed"].sum() == 0
    assert bank.forecast_hz() == tuple(20.0 * curve(bank))
    np.testing.assert_allclose(curve(bank), np.full(HORIZON, 40.0 / 12.0))  # 8 of 12 half seconds
