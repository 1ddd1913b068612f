"""Load shape: verdicts, against slow twins and on made traffic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import SignalBank
from signals.events import ANSWERED, FAILED
from signals.matched import make_matched
from signals.reproduction import BIN_NS
from signals.shape import (
    CASCADE,
    GRAVITY,
    HOLD_BUCKETS,
    MIXED,
    ORGANIC,
    SHAPES,
    STUCK,
    SURGE,
    close_shape,
    count_retrying_flow,
    decide,
    expire_retrying,
    judge,
    make_shape,
    watch_demand,
)
from signals.state import make_bank
from tests.signals.twins import shape as slow

MS = 1_000_000
S = 1_000 * MS
ORIGIN = 72_000
"""A bin: an hour."""


def read(bank: SignalBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


@given(st.lists(st.integers(0, 6), min_size=210, max_size=320), st.integers(0, 30))
@settings(max_examples=20, deadline=None)
def test_surge_is_pages_test(counts: list[int], jump: int) -> None:
    """The sum, its dispersion and its mean follow the slow twin."""
    counts = counts + [jump] * 10
    shape = make_shape()
    found = []
    for count in counts:
        shape[0]["n_bins"] += 1
        shape[0]["open_fresh"] = count
        watch_demand(shape)
        found.append(float(shape[0]["nats"]))
    assert found == pytest.approx(slow.surge_nats(counts), rel=1e-6, abs=1e-6)


@given(
    share=st.sampled_from([0.0, 0.04, 0.05, 0.1, 0.2, 0.6]),
    flows=st.integers(0, 8),
    wide_share=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    wide_flows=st.integers(0, 8),
    retries=st.sampled_from([0.0, 2.9, 3.0, 9.0]),
    nats=st.sampled_from([0.0, 11.9, 12.0, 40.0]),
    is_anonymous=st.booleans(),
    surge=st.sampled_from([0.0, 9.9, 10.0, 20.0]),
)
@settings(max_examples=80, deadline=None)
def test_the_verdict_is_the_table(
    share: float,
    flows: int,
    wide_share: float,
    wide_flows: int,
    retries: float,
    nats: float,
    is_anonymous: bool,
    surge: float,
) -> None:
    """Every combination of evidence gives the verdict of the text."""
    shape, bank, matched = make_shape(), make_bank(1), make_matched()
    b, s = bank[0], shape[0]
    b["retries_1s"], b["arrivals_1s"] = share * 64.0, 64.0
    b["n_retrying"], s["n_retrying"] = flows, wide_flows
    s["retries_5s"], s["arrivals_5s"] = retries, retries / wide_share if wide_share else 1e9
    b["cum_arrivals"][b["bucket"]] = 10
    b["cum_unidentified"][b["bucket"]] = 10 if is_anonymous else 1
    matched[0]["nats"] = nats
    s["nats"], s["n_bins"] = surge, 1_000
    wide = min(1.0, wide_share) if retries else 0.0
    expected = slow.verdict(share, flows, wide, wide_flows, retries, nats, is_anonymous, surge)
    assert SHAPES[judge(shape, bank, matched, 1.0)] == expected
    assert GRAVITY[judge(shape, bank, matched, 0.5)] >= GRAVITY[SHAPES.index(expected)]


def test_a_graver_verdict_comes_at_once_and_leaves_after_a_second() -> None:
    """The word does not flap: evidence that comes and goes leaves it standing."""
    shape, bank, matched = make_shape(), make_bank(1), make_matched()
    b = bank[0]
    b["arrivals_1s"] = 100.0
    bank[0]["bucket"] = 1_000
    words = []
    for step in range(200):
        bucket = 1_000 + 5 * step
        is_bad = step < 60 and step % 10 < 3  # 0.15 s in every 0.5 s
        b["retries_1s"], b["n_retrying"] = (30.0, 9) if is_bad else (0.0, 0)
        decide(shape, bank, matched, bucket)
        words.append(int(shape[0]["verdict"]))
    assert words[0] == CASCADE
    last = 52  # the last bin with evidence
    assert set(words[: last + HOLD_BUCKETS // 5 + 1]) == {CASCADE}
    assert set(words[last + HOLD_BUCKETS // 5 + 1 :]) == {ORGANIC}
    assert shape[0]["n_verdicts"].tolist() == [1, 0, 1, 0, 0]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 8 * S)), max_size=60))
@settings(max_examples=20, deadline=None)
def test_distinct_retrying_flows_over_five_seconds_are_exact(
    rows: list[tuple[int, int]],
) -> None:
    """Each flow counts once, in the bin of its latest retry, for 5 s."""
    shape = make_shape()
    last: dict[int, int] = {}
    rows = sorted(rows, key=lambda row: row[1])
    for idx in range(ORIGIN, ORIGIN + 170):
        while rows and ORIGIN * BIN_NS + rows[0][1] < (idx + 1) * BIN_NS:
            flow, at = rows.pop(0)
            t_ns = ORIGIN * BIN_NS + at
            count_retrying_flow(shape, t_ns, last.get(flow, 0))
            last[flow] = t_ns
        expire_retrying(shape, idx)
        recent = sum(t_ns // BIN_NS > idx - 100 for t_ns in last.values())
        assert shape[0]["n_retrying"] == recent


def test_a_bin_closes_every_five_buckets_and_forgets_its_counts() -> None:
    """Sums decay, counts of the open bin start again."""
    shape, bank, matched = make_shape(), make_bank(1), make_matched()
    for bucket in range(1_000, 1_010):
        bank[0]["bucket"] = bucket
        bank[0]["open_arrivals"] = 2
        bank[0]["open_failures"] = 1
        close_shape(shape, bank, matched, bucket)
    assert shape[0]["n_bins"] == 2
    assert shape[0]["open_arrivals"] == shape[0]["open_failures"] == 0
    assert shape[0]["arrivals_2s"] == pytest.approx(2 * shape[0]["failures_2s"])
    assert shape[0]["n_buckets"].tolist() == [10, 0, 0, 0, 0]


class Traffic:
    """Callers on a made-up time axis, told to a bank."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.bank = SignalBank(2_048)
        self.now_ns = 0
        self.n = 0

    def call(self, flow: int, shape: int, how: int) -> int:
        """One call, over at once."""
        call = self.bank.observe_arrival(self.now_ns, 0, flow, 0, shape, -1, 0, flow > 0)
        self.bank.observe_end(self.now_ns, call, how)
        return call & 127

    def organic(self, rate_hz: float, seconds: float) -> None:
        """Independent callers, each seldom."""
        stop_ns = self.now_ns + int(seconds * S)
        while True:
            self.now_ns += int(self.rng.exponential(1.0 / rate_hz) * S)
            if self.now_ns >= stop_ns:
                self.now_ns = stop_ns
                break
            self.n += 1
            self.call(1 + self.n % 2_000, -self.n, ANSWERED)
        self.bank.tick(self.now_ns)

    def word(self) -> str:
        """The verdict now."""
        self.bank.tick(self.now_ns)
        return SHAPES[int(read(self.bank)["load_shape"])]


def test_a_surge_of_new_callers_is_a_surge_and_passes_into_demand() -> None:
    """A threefold rise is said within two seconds, and no alarm."""
    made = Traffic()
    made.organic(15.0, 14.0)
    assert made.word() == "organic"
    made.organic(45.0, 2.0)
    assert made.word() == "surge"
    assert read(made.bank)["surge"] >= 10.0
    found = read(made.bank)
    assert found["synchrony_alarms"] == found["matched_alarms"] == found["cascade"] == 0.0


def test_one_caller_that_keeps_trying_is_stuck_and_no_cascade() -> None:
    """A high share of retries from one flow is named as such."""
    made = Traffic()
    made.organic(2.0, 3.0)
    for _ in range(12):
        made.now_ns += 250 * MS
        made.call(7, 99, FAILED)
    assert made.word() == "stuck_caller"


@pytest.mark.parametrize(
    ("n_callers", "word"), [(40, "cascade"), (6, "cascade"), (3, "stuck_caller")]
)
def test_many_callers_that_come_back_are_a_cascade(n_callers: int, word: str) -> None:
    """Five distinct retrying flows make the difference."""
    made = Traffic()
    made.organic(2.0, 3.0)
    for _ in range(6):
        for idx in range(n_callers):
            made.now_ns += 500 * MS // n_callers
            made.call(100 + idx, idx, FAILED)
    assert made.word() == word


def test_some_retries_among_much_demand_are_mixed() -> None:
    """Retries of many flows that are a tenth of the traffic are neither surge nor cascade."""
    made = Traffic()
    made.organic(40.0, 3.0)
    for step in range(110):
        made.organic(40.0, 0.05)
        made.call(1_000 + step // 4 % 12, 5, FAILED) if step % 4 == 0 else None
    assert made.word() == "mixed"


def test_the_reproduction_number_is_the_share_of_failures_times_those_that_return() -> None:
    """Everybody fails half of the time and always comes back: R = 1/2, as the retry share."""
    made = Traffic(3)
    due: list[tuple[int, int, int]] = []
    for step in range(700):
        made.now_ns = step * 10 * MS
        while due and due[0][0] <= made.now_ns:
            _, flow, shape = due.pop(0)
            how = FAILED if made.rng.random() < 0.5 else ANSWERED
            assert made.call(flow, shape, how) > 0
            if how == FAILED:
                due.append((made.now_ns + 300 * MS, flow, shape))
        if step % 2 == 0:
            flow = 1 + step
            how = FAILED if made.rng.random() < 0.5 else ANSWERED
            made.call(flow, step, how)
            if how == FAILED:
                due.append((made.now_ns + 300 * MS, flow, step))
    made.bank.tick(made.now_ns)
    found = read(made.bank)
    assert found["return_share"] > 0.97
    assert found["reproduction"] == pytest.approx(0.5, abs=0.12)
    assert found["reproduction"] == pytest.approx(found["retry_share"], abs=0.15)


def test_words_and_codes_belong_together() -> None:
    """The codes index the words and their gravity."""
    assert [SHAPES[code] for code in (ORGANIC, SURGE, CASCADE, STUCK, MIXED)] == [
        "organic",
        "surge",
        "cascade",
        "stuck_caller",
        "mixed",
    ]
    assert sorted(GRAVITY) == [0, 1, 2, 3, 4]
    assert max(GRAVITY) == GRAVITY[CASCADE]
