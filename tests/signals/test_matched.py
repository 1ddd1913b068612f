"""The matched filter: against slow sums, on waves with and without failures before them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import SignalBank, families
from signals.events import ANSWERED, FAILED, REFUSED
from signals.matched import (
    ALARM_NATS,
    BIN_BUCKETS,
    BIN_NS,
    BOUNDS,
    CALLS,
    DEMAND,
    INTERVALS_NS,
    ONE,
    RING,
    SLACK_NS,
    close_matched,
    expect_return,
    make_matched,
)
from signals.state import BUCKET_NS, RING_MASK, Records, make_bank
from tests.signals.twins.matched import SlowMatched

MS = 1_000_000
S = 1_000 * MS
FIRST_BIN = 180_000
UNKNOWN = families.UNKNOWN

Failure = tuple[int, int, int, int, bool]
"""Bin, family, attempt, due in (ms, 0 none), refused."""


class Filter:
    """The filter by itself on anonymous traffic, bin by bin."""

    def __init__(self, first_bin: int = FIRST_BIN) -> None:
        self.matched = make_matched()
        self.bank = make_bank(1)
        self.bucket = first_bin * BIN_BUCKETS
        self.expected: list[float] = []
        self.nats: list[float] = []

    @property
    def now_ns(self) -> int:
        """The open bin's beginning."""
        return self.bucket * BUCKET_NS

    def fail(self, t_ns: int, family: int, attempt: int, due_ns: int, is_refused: bool) -> None:
        """Let one call fail."""
        expect_return(self.matched, t_ns, family, attempt, due_ns, is_refused)

    def close(self, n_arrivals: int) -> None:
        """End the open bin."""
        b: Records = self.bank[0]
        for idx in range(BIN_BUCKETS):
            b["open_arrivals"] = n_arrivals if idx == BIN_BUCKETS - 1 else 0
            now = self.bucket & RING_MASK
            for name in ("cum_arrivals", "cum_unidentified"):
                b[name][now] = b[name][(self.bucket - 1) & RING_MASK] + b["open_arrivals"]
            b["bucket"] = self.bucket
            close_matched(self.matched, self.bank, self.bucket)
            self.bucket += 1
        self.expected.append(float(self.matched[0]["level"][CALLS]) / ONE)
        self.nats.append(float(self.matched[0]["nats"]))


def run(
    seed: int, n_bins: int, rate: float, failures: list[Failure], first_bin: int = FIRST_BIN
) -> tuple[Filter, SlowMatched]:
    """Play Poisson arrivals and the failures into both."""
    rng = np.random.default_rng(seed)
    fast, slow = Filter(first_bin), SlowMatched(first_bin)
    for idx, count in enumerate(rng.poisson(rate, n_bins)):
        slow.open_arrivals = 0
        for when, family, attempt, due_ms, is_refused in failures:
            if when == idx:
                t_ns = fast.now_ns + 3 * MS
                due_ns = t_ns + due_ms * MS if due_ms else 0
                fast.fail(t_ns, family, attempt, due_ns, is_refused)
                slow.fail(t_ns, family, attempt, due_ns, is_refused)
        slow.open_arrivals = int(count)
        fast.close(int(count))
        slow.close()
    return fast, slow


FAILURES = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(0, families.N_FAMILIES - 1),
        st.integers(0, 7),
        st.sampled_from([0, 0, 5, 250, 30_000]),
        st.booleans(),
    ),
    max_size=12,
)


@given(failures=FAILURES, seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_what_is_due_is_the_overlap_of_each_interval_with_the_bin(
    failures: list[Failure], seed: int
) -> None:
    """Two edges a law give the same as summing every failure's interval for every bin."""
    fast, slow = run(seed, 150, 0.5, failures)
    assert fast.expected == pytest.approx(slow.expected, rel=2e-3, abs=1e-4)


def test_evidence_is_the_formula() -> None:
    """L follows the slow twin through warm-up, a crash and the returns."""
    crash = [
        (1_010 + idx % 3, UNKNOWN if idx % 2 else families.CODEX, 0, 0, False) for idx in range(30)
    ]
    fast, slow = run(1, 1_060, 0.6, [(40, 0, 0, 0, False), *crash])
    assert max(slow.nats) > 0.5
    assert fast.nats == pytest.approx(slow.nats[1:], rel=1e-2, abs=0.02)


@given(failures=FAILURES)
@settings(max_examples=8, deadline=None)
def test_nothing_is_left_once_all_is_past(failures: list[Failure]) -> None:
    """The whole numbers cancel: 20 s after the last failure nothing is due, exactly."""
    fast = Filter()
    for family, attempt, due_ms, is_refused in (row[1:] for row in failures):
        t_ns = fast.now_ns + due_ms
        fast.fail(t_ns, family, attempt, t_ns + due_ms * MS if due_ms else 0, is_refused)
    for _ in range(RING):
        fast.close(1)
    assert not fast.matched[0]["level"].any()
    assert not fast.matched[0]["slope"].any()
    assert np.isfinite(fast.nats).all()


def test_another_time_of_day_changes_nothing() -> None:
    """Bins are compared with each other only."""
    crash = [(20, UNKNOWN, 0, 0, False)] * 5
    here, _ = run(2, 60, 1.0, crash)
    there, _ = run(2, 60, 1.0, crash, FIRST_BIN + 12_345)
    assert here.expected == there.expected
    assert here.nats == there.nats


def test_every_family_and_attempt_has_intervals() -> None:
    """Known families have their own laws, unknown ones all; none is shorter than the slack."""
    assert (BOUNDS[..., 1] > BOUNDS[..., 0]).all()
    assert (INTERVALS_NS[:, 1] - INTERVALS_NS[:, 0] >= SLACK_NS).all()
    n_all = BOUNDS[UNKNOWN, 0, 1] - BOUNDS[UNKNOWN, 0, 0]
    assert n_all == len(families.SCHEDULES)
    assert BOUNDS[families.OTHER, 0, 1] - BOUNDS[families.OTHER, 0, 0] == n_all
    assert BOUNDS[families.CODEX, 0, 1] - BOUNDS[families.CODEX, 0, 0] == 1


def test_an_invitation_that_is_heeded_is_expected_when_it_says() -> None:
    """Retry-After replaces the law of those who read it; Governor's own is no storm at all."""
    fast = Filter()
    t_ns = fast.now_ns
    fast.fail(t_ns, families.STAINLESS, 0, t_ns + 100 * BIN_NS, False)
    fast.fail(t_ns, families.STAINLESS, 0, t_ns + 50 * BIN_NS, True)
    for _ in range(120):
        fast.close(0)
    assert [idx for idx, due in enumerate(fast.expected) if due > 0] == [100]
    other = Filter()
    other.fail(t_ns, families.BOTO, 0, t_ns + 50 * BIN_NS, True)
    other.close(0)
    assert other.expected[0] > 0.0


def play(k: int, *, fails: bool = True, flow: int = 0, stamp_ns: int = 1) -> SignalBank:
    """Play 6 calls/s for 23 s; at 22 s ``k`` of them fail and call again 0.2 s later."""
    rng = np.random.default_rng(5)
    bank = SignalBank(512)
    early = np.full(k, 21_900 * MS)
    again = 22 * S + rng.integers(180 * MS, 220 * MS, k)
    at_ns = np.sort(np.concatenate([rng.integers(0, 23 * S, 6 * 23), early, again]))
    waiting: list[int] = []
    for idx, exact_ns in enumerate(at_ns):
        t_ns = int(exact_ns) // stamp_ns * stamp_ns
        if t_ns >= 22 * S:
            while waiting:
                bank.observe_end(22 * S, waiting.pop(), FAILED if fails else ANSWERED)
        who = flow and 1 + idx
        call = bank.observe_arrival(t_ns, 0, who, 0, idx, -1, families.CODEX, who > 0)
        if exact_ns == 21_900 * MS:
            waiting.append(call)
        else:
            bank.observe_end(t_ns, call, ANSWERED)
    bank.tick(22 * S + 700 * MS)
    return bank


def get(bank: SignalBank, name: str) -> float:
    """One reading."""
    return {reading.name: reading.value for reading in bank.read()}[name]


def test_a_wave_that_failures_announced_alarms_and_settles_the_hint() -> None:
    """Without identity a wave is a hint; that failures said when it would come settles it."""
    bank = play(25)
    assert get(bank, "matched_alarms") == get(bank, "matched_alarm") == 1.0
    assert get(bank, "synchrony_alarms") == 1.0


@pytest.mark.long_play
def test_the_same_wave_out_of_nothing_stays_a_hint() -> None:
    """A burst that no failure announced is no storm."""
    bank = play(25, fails=False)
    assert get(bank, "matched_alarms") == get(bank, "synchrony_alarms") == 0.0
    assert bank.state.bank[0]["n_hints"] == 1


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_failures_that_are_usual_announce_nothing(share: float) -> None:
    """Where calls always fail, bursts of demand (a doubling each second) are no returns."""
    rng = np.random.default_rng(7)
    fast = Filter()
    for idx in range(1_600):
        count = int(rng.poisson(2.0 if idx % 100 < 50 else 4.0))
        for _ in range(int(rng.binomial(count, share))):
            fast.fail(fast.now_ns, UNKNOWN, 0, 0, False)
        fast.close(count)
    assert max(fast.nats) < ALARM_NATS / 2
    assert fast.matched[0]["n_alarms"] == 0


@pytest.mark.long_play
def test_traffic_with_identity_and_coarse_clocks_give_no_alarm() -> None:
    """With names the scan of retries is exact; whole seconds make every wave look sharp."""
    assert get(play(25, flow=1), "matched_alarms") == 0.0
    assert get(play(25, stamp_ns=S), "matched_alarms") == 0.0


def test_governors_own_refusals_with_a_slot_are_no_wave() -> None:
    """Who was sent away with a time of its own is not expected by law."""
    bank = SignalBank(4)
    for idx in range(50):
        call = bank.observe_arrival(idx * MS, 0, 0, 0, idx, -1, families.STAINLESS, False)
        bank.observe_end(idx * MS, call, REFUSED, 2 * S)
    bank.tick(450 * MS)
    assert get(bank, "matched_returns") == 0.0
    assert DEMAND != CALLS
