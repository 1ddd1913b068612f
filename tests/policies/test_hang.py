"""Calls that pile up unanswered, told from surges, bursts, lulls and standstills."""

from __future__ import annotations

from heapq import heappop, heappush
from math import exp
from random import Random

import pytest

from policies.contain import Containment, Kind
from policies.hang import Hang

MS = 1_000_000
S = 1_000_000_000
LOCAL, NEEDS_B = 3, 5
HZ, HELD_S = 80.0, 0.12


class Played:
    """Two kinds at one upstream, 50 ms a tick; one of them may hang, or both."""

    def __init__(self, seed: int = 1) -> None:
        self.containment = Containment()
        self.now_ns = 0
        self.hung_kinds: set[int] = set()
        self.rates = {LOCAL: 100.0, NEEDS_B: HZ}
        self._rng = Random(seed)
        self._ends: list[tuple[int, int, int]] = []
        self._stuck: list[tuple[int, int]] = []

    def run(self, seconds: float, law: str = "exponential") -> None:
        """Let calls come as a Poisson stream."""
        for _ in range(round(seconds * 20)):
            self.now_ns += 50 * MS
            while self._ends and self._ends[0][0] <= self.now_ns:
                end_ns, kind, sent_ns = heappop(self._ends)
                if kind in self.hung_kinds:
                    self._stuck.append((kind, sent_ns))
                else:
                    self.containment.close(kind, sent_ns, end_ns - sent_ns)
            for kind, hz in self.rates.items():
                at_s = self._rng.expovariate(hz)
                while at_s < 0.05:
                    self.begin(kind, law)
                    at_s += self._rng.expovariate(hz)
            self.containment.tick(self.now_ns, 1000)

    def begin(self, kind: int, law: str = "exponential") -> None:
        """Open one call, unless its kind is at its cap."""
        containment = self.containment
        if containment.is_hung(kind) and not containment.has_room_for_hung:
            return
        containment.open(self.now_ns, kind)
        held_s = self._draw(law)
        heappush(self._ends, (self.now_ns + int(held_s * S), kind, self.now_ns))

    def _draw(self, law: str) -> float:
        if law == "lognormal":
            return HELD_S * exp(self._rng.gauss(-1.125, 1.5))
        if law == "two sizes":
            return 0.02 if self._rng.random() < 0.9 else 2.0
        return self._rng.expovariate(1.0 / HELD_S)

    def time_out(self, kind: int) -> None:
        """End all hung calls of a kind with an error."""
        for stuck, sent_ns in self._stuck:
            if stuck == kind:
                self.containment.close(kind, sent_ns, self.now_ns - sent_ns, is_answered=False)
        self._stuck = [x for x in self._stuck if x[0] != kind]

    def kind(self, number: int) -> Kind:
        """Return what is known of a kind."""
        return self.containment.kinds[number]


@pytest.mark.parametrize("seed", range(5))
def test_a_kind_that_hangs_is_capped_within_half_a_second(seed: int) -> None:
    """At its usual places and three deviations, however much room the limit leaves."""
    played = Played(seed)
    played.run(10.0)
    usual = played.kind(NEEDS_B).hang.usual
    played.hung_kinds.add(NEEDS_B)
    played.run(0.5)
    assert played.containment.is_hung(NEEDS_B)
    assert not played.containment.is_hung(LOCAL)
    played.run(3.0)
    assert played.kind(NEEDS_B).n_open <= usual + HZ * 0.5 + 5
    assert usual < played.containment.hung_cap <= 2.5 * usual + 5


def test_time_outs_are_no_answers_and_teach_no_holding_time() -> None:
    """The cap stays while they end in errors, and falls with the first answer."""
    played = Played()
    played.run(10.0)
    mean_ns = played.kind(NEEDS_B).mean_ns
    played.hung_kinds.add(NEEDS_B)
    played.run(3.0)
    played.time_out(NEEDS_B)
    played.run(1.0)
    assert played.containment.is_hung(NEEDS_B)
    assert played.kind(NEEDS_B).mean_ns == pytest.approx(mean_ns, rel=0.5)
    played.hung_kinds.clear()
    played.time_out(NEEDS_B)
    played.run(0.5)
    assert not played.containment.is_hung(NEEDS_B)
    assert played.containment.is_idle


def test_where_all_hang_nobody_is_capped() -> None:
    """An upstream that stands still is the adaptive limit's business."""
    played = Played()
    played.run(10.0)
    played.hung_kinds |= {LOCAL, NEEDS_B}
    played.run(5.0)
    assert not played.containment.is_hung(NEEDS_B)
    assert not played.containment.is_hung(LOCAL)


@pytest.mark.parametrize("law", ["exponential", "lognormal", "two sizes"])
def test_organic_variation_is_no_hang(law: str) -> None:
    """Poisson counts and heavy tails, at four times the rate too, in five minutes."""
    played = Played()
    played.run(150.0, law)
    played.rates[NEEDS_B] = 4.0 * HZ
    played.run(10.0, law)
    played.rates[NEEDS_B] = HZ
    played.run(140.0, law)
    assert played.containment.n_trips == 0


def test_a_burst_into_an_idle_kind_is_no_hang() -> None:
    """It ends its first call within a holding time, and is silent no longer."""
    played = Played()
    played.rates[NEEDS_B] = 0.001
    played.run(5.0)
    for _ in range(10):
        for _ in range(100):
            played.begin(NEEDS_B)
        played.run(4.0)
    assert played.containment.n_trips == 0


def test_calls_of_all_ages_are_missed_within_less_than_a_holding_time() -> None:
    """Of eighty open ones, a second each, four should end every 50 ms."""
    hang = Hang()
    for _ in range(400):
        hang.tick(80, 4, 0, 1.0, 5, 100.0, 0.05)
    n_open = 80
    while not hang.is_hung:
        n_open += 4
        hang.tick(n_open, 0, 0, 1.0, 5, 100.0, 0.05)
    assert 80 + 3.0 * 80**0.5 < n_open < 80 + 3.0 * 80**0.5 + 8


def test_young_calls_are_not_missed_before_their_holding_time() -> None:
    """A crowd that comes when the kind is idle, and is a second from its first end."""
    hang = Hang()
    for _ in range(400):
        hang.tick(80, 4, 0, 1.0, 5, 100.0, 0.05)
    hang.tick(0, 80, 0, 1.0, 5, 100.0, 0.05)
    for _ in range(24):
        hang.tick(400, 0, 0, 1.0, 5, 100.0, 0.05)
        assert not hang.is_hung
    for _ in range(10):
        hang.tick(400, 0, 0, 1.0, 5, 100.0, 0.05)
    assert hang.is_hung


def test_the_first_byte_of_a_stream_is_a_sign_of_life() -> None:
    """Its end may be minutes away."""
    hang = Hang()
    for _ in range(200):
        hang.tick(10, 4, 0, 0.1, 5, 100.0, 0.05)
    for _ in range(100):
        hang.tick(60, 0, 1, 0.1, 5, 100.0, 0.05)
    assert not hang.is_hung
    for _ in range(40):
        hang.tick(900, 0, 0, 0.1, 5, 100.0, 0.05)
    assert hang.is_hung


def test_what_lasts_becomes_usual() -> None:
    """Within minutes, so that a cap is never for ever; and one place is always left."""
    hang = Hang()
    for _ in range(200):
        hang.tick(2, 4, 0, 0.1, 5, 100.0, 0.05)
    before = hang.cap
    for _ in range(20 * 180):
        hang.tick(50, 0, 0, 0.1, 5, 100.0, 0.05)
    assert hang.is_hung
    assert hang.cap > 50 > before
    assert Hang().cap >= 1


def test_nothing_is_concluded_before_anything_is_known() -> None:
    """A new kind has no usual rate, so nothing of it is missing."""
    hang = Hang()
    for _ in range(1000):
        hang.tick(100, 0, 0, 0.0, 50, 100.0, 0.05)
    assert not hang.is_hung
