"""Propagation: who is named, who is not, and that sliding sums say what exact lists say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, GONE, Shared, SignalBank
from signals.kernel import IS_COMPILED
from signals.logbins import find_quantile
from signals.owntime import SECOND_NS, count_call, make_services
from signals.propagation import (
    CUT_SHORT,
    NOBODY,
    SLOW,
    describe_services,
    make_propagation,
    note_visit,
    pass_seconds,
)
from signals.shifts import FLOOR_P50, FLOOR_P90, PRIOR_DRIFT, PRIOR_SUBS
from signals.state import EPOCH_NS
from tests.signals.twins.propagation import Past

MS = 1_000_000

Load = Callable[[int, int], tuple[float, int]]
"""Factor of own time, and children per call, by second and service."""


class Services:
    """Three services with eight calls a second each."""

    def __init__(self, seed: int = 1, order: tuple[int, ...] = (0, 1, 2), epoch: int = 0) -> None:
        self.services = make_services(4)
        self.propagation = make_propagation()
        self.random = random.Random(seed)
        self.order = order
        self.epoch_ns = EPOCH_NS + epoch * 10 * SECOND_NS
        self.past = Past()
        self.names: list[tuple[int, int, int]] = []
        self.early: list[tuple[int, int]] = []
        self.second = 0

    def run(self, n_seconds: int, load: Load, n_calls: int = 8, n_passes: int = 1) -> None:
        """Let time pass; calls end spread over each second."""
        for _ in range(n_seconds):
            for k in range(n_calls):
                t_ns = self.epoch_ns + self.second * SECOND_NS + k * SECOND_NS // n_calls
                for part in range(n_passes):
                    earlier_ns = t_ns - (n_passes - 1 - part) * MS
                    pass_seconds(self.services, self.propagation, max(earlier_ns, self.epoch_ns))
                for service in range(3):
                    factor, children = load(self.second, service)
                    own_ns = int(20e6 * factor * self.random.lognormvariate(0.0, 0.4))
                    place = self.order[service]
                    count_call(self.services, place, t_ns, own_ns, 3 * own_ns, children)
                    if service == 0:
                        self.past.calls.append((self.second, own_ns * 1e-9))
            self.second += 1
            pass_seconds(self.services, self.propagation, self.epoch_ns + self.second * SECOND_NS)
            p = self.propagation[0]
            named = int(p["named"])
            who = self.order.index(named) if named >= 0 else NOBODY
            self.names.append((self.second, who, int(p["kind"])))
            self.early.append((self.second, int(p["early"])))


def calm(second: int, service: int) -> tuple[float, int]:
    """Nothing happens."""
    return 1.0, 2


def test_the_service_whose_own_time_rises_is_named_and_no_other() -> None:
    """Shown within 12 s, named within 35 s, nobody before; over when it is over."""
    s = Services()
    s.run(140, calm)
    assert {who for _, who, _ in s.names} == {NOBODY}
    s.run(40, lambda _, service: (6.0 if service == 1 else 1.0, 2))
    named = [(second, kind) for second, who, kind in s.names if who == 1]
    assert named[0][0] <= 175
    assert named[0][1] == SLOW
    assert {who for _, who, _ in s.names} == {NOBODY, 1}
    assert next(second for second, who in s.early if who == 1) <= 152
    row = describe_services(s.services)[0]
    assert row.upstream == 1
    assert row.own_p50 > 3 * row.past_p50 > 0
    s.run(90, calm)
    assert s.names[-1][1] == NOBODY


def test_what_is_abnormal_does_not_become_normal_at_once() -> None:
    """A minute and a half of trouble leaves the past as it was."""
    s = Services()
    s.run(130, calm)
    before = float(s.services[1]["p50"])
    s.run(90, lambda _, service: (6.0 if service == 1 else 1.0, 2), 4)
    assert abs(float(s.services[1]["p50"]) - before) < 0.1
    assert s.names[-1][1] == 1


def test_a_service_that_returns_early_is_cut_short() -> None:
    """Far fewer children and a shorter time; fewer children in a longer time are not."""
    s = Services()
    s.run(130, calm)
    s.run(45, lambda _, service: (0.4, 0) if service == 2 else (1.0, 2))
    assert (2, CUT_SHORT) in [(who, kind) for _, who, kind in s.names]
    assert {who for _, who, _ in s.names} == {NOBODY, 2}


def test_little_past_names_nobody() -> None:
    """Half a minute after the start everything may be normal."""
    s = Services()
    s.run(40, calm)
    s.run(30, lambda _, service: (20.0, 2))
    assert {who for _, who, _ in s.names} == {NOBODY}


def test_shifts_are_those_of_exact_lists() -> None:
    """Within what bins of nine percent can do to a shift."""
    s = Services()
    s.run(150, calm)
    s.run(60, lambda second, service: (1.0 + 0.02 * (second - 150), 2))
    want = s.past.shifts(210, 60, (FLOOR_P50, FLOOR_P90), (PRIOR_SUBS, PRIOR_DRIFT))
    found = (float(s.services[0]["z50"]), float(s.services[0]["z90"]))
    for z, exact, floor in zip(found, want, (FLOOR_P50, FLOOR_P90), strict=True):
        assert abs(z - exact) <= 0.18 / floor
        assert abs(z / exact - 1) < 0.35


def test_time_numbers_and_ticks_do_not_matter() -> None:
    """Another hour, services numbered otherwise, time passed in more steps: the same names."""

    def load(second: int, service: int) -> tuple[float, int]:
        return (12.0 if service == 1 and second >= 112 else 1.0), 2

    plain, other = Services(4), Services(4, (2, 0, 1), 77)
    plain.run(150, load, 4)
    other.run(150, load, 4, 2)
    assert plain.names == other.names
    assert 1 in {who for _, who, _ in plain.names}


@settings(max_examples=15, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 15 * SECOND_NS),  # later
            st.integers(0, 10**14),  # own time: up to a day
            st.integers(0, 10**6),  # children
        ),
        max_size=25,
    )
)
def test_nothing_makes_a_number_that_is_none(calls: list[tuple[int, int, int]]) -> None:
    """Nothing grows; every value is finite and every window counts what it holds."""
    services, propagation = make_services(2), make_propagation()
    size = services.nbytes + propagation.nbytes
    t_ns = EPOCH_NS
    for later_ns, own_ns, n_children in calls:
        t_ns += later_ns
        pass_seconds(services, propagation, t_ns)
        count_call(services, 1, t_ns, own_ns, own_ns, n_children)
    pass_seconds(services, propagation, t_ns + 61 * SECOND_NS)
    assert services.nbytes + propagation.nbytes == size
    s = services[1]
    assert s["window_n"].sum() == s["windows"].sum() == 0
    assert s["history_n"] == s["history"].sum()
    for row in describe_services(services):
        assert all(math.isfinite(value) for value in row)


def test_a_bank_reads_whose_trouble_it_is() -> None:
    """Through the front door: readings, rows, reach; nothing is known at first."""
    shared = Shared(64, 16, 16, 4)
    banks = [SignalBank(16, shared, upstream) for upstream in range(2)]
    root = banks[0].observe_arrival(0, 3, 1, 5, 7)
    child = banks[1].observe_arrival(10 * MS, 4, 2, 5, 7)
    banks[1].observe_end(70 * MS, child, ANSWERED)
    banks[0].observe_end(100 * MS, root, ANSWERED)
    left = banks[1].observe_arrival(200 * MS, 3, 1, 6, 7)
    banks[1].observe_leave(300 * MS, left)
    banks[1].observe_end(900 * MS, left, GONE)
    banks[0].tick(1_100 * MS)
    read = {r.name: r for r in banks[0].read() if r.name.startswith("propagation")}
    assert read["propagation_service"].value == NOBODY
    assert not read["propagation_service"].is_ready
    rows = {row.upstream: row for row in banks[0].describe_services()}
    assert {upstream: row.calls for upstream, row in rows.items()} == {0: 1, 1: 2}
    assert rows[0].own_p50 == pytest.approx(0.04, rel=0.05)
    assert rows[0].inclusive_p90 == pytest.approx(0.1, rel=0.05)
    assert rows[1].own_p90 == pytest.approx(0.1, rel=0.05)
    seen = shared.services[1]
    assert [int((seen[name] > 0).sum()) for name in ("flows", "tenants", "trees")] == [1, 1, 2]


@pytest.mark.skipif(not IS_COMPILED, reason="there is nothing to compile")
def test_rows_for_people_compile_nothing() -> None:
    """A page may ask for them: no part is compiled for it, wherever it is asked."""
    bank = SignalBank(16, Shared(64, 16, 16, 4), 0)
    bank.observe_end(50 * MS, bank.observe_arrival(0, 1, 1, 1, 7), ANSWERED)
    bank.tick(1_100 * MS)
    compiled = list(getattr(find_quantile, "signatures", ()))
    assert [row.calls for row in bank.describe_services()] == [1]
    assert list(getattr(find_quantile, "signatures", ())) == compiled


def test_a_past_of_no_length_is_refused() -> None:
    """The message says what is possible."""
    with pytest.raises(ValueError, match="1 to 150"):
        make_propagation(0)
    assert note_visit is not None
