"""What is foretold, and what the gate does about it, on a made-up time axis."""

from __future__ import annotations

import pytest

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.outlook import Outlook, count_spill, look_ahead
from governor.core.shaping import Modes, Shaping
from governor.core.spread import SpreadGate
from policies.decision import Action, Reason
from policies.limit import FixedLimit
from tests.core.test_gate import MS, S, SilentSignals, make_gate


class Foretelling(SilentSignals):
    """Signals that foretell a storm, or none."""

    def __init__(self, is_coming: bool = True, near_hz: float = 100.0, far_hz: float = 80.0):
        super().__init__()
        self.is_coming = is_coming
        self.near_hz, self.far_hz = near_hz, far_hz

    def organic_hz(self) -> float:
        """Say what came by itself of late."""
        return 10.0

    def is_storm(self) -> bool:
        """Foretell."""
        return self.is_coming

    def crossing_s(self) -> float:
        """Say when."""
        return 0.3

    def expected_hz(self, n_bins: int) -> float:
        """Say how many come a second."""
        return self.near_hz if n_bins <= 4 else self.far_hz


class Serving(FixedLimit):
    """A limit with a capacity that is known."""

    def __init__(self, limit: int, capacity_hz: float) -> None:
        super().__init__(limit)
        self.told_hz = capacity_hz

    def capacity_hz(self, now_ns: int) -> float:
        """Say what is known."""
        return self.told_hz


def foretell(gate: Gate, signals: Foretelling) -> None:
    """Let a gate's signals foretell, as of its next tick."""
    gate.signals = signals  # type: ignore[assignment]
    gate.tick(gate.now_ns + 50 * MS)


def pair(**options: object) -> tuple[SpreadGate, Gate]:
    """Return a gate of one place and the gate of its fallback, of two."""
    plain = make_gate(limit=1)
    gate = SpreadGate("only", [FixedLimit(1)], plain.signals, plain.identities, **options)
    gate.fallback = make_gate(limit=2)
    return gate, gate.fallback


def test_without_an_alarm_the_past_is_the_best_guess() -> None:
    """The forecast is not asked, and nothing is charged to an endpoint."""
    assert look_ahead(Foretelling(is_coming=False)) == Outlook(held_hz=10.0)  # type: ignore[arg-type]
    seen = look_ahead(Foretelling())  # type: ignore[arg-type]
    assert seen == (True, 0.3, 100.0, 80.0)
    assert look_ahead(Foretelling(near_hz=2.0)).held_hz == 10.0  # type: ignore[arg-type]


def test_a_crowd_leaves_more_places_where_callers_are_about_to_come_back() -> None:
    """As many as are expected within its 200 ms, at most a quarter; then as before."""
    gate = make_gate(limit=200)
    foretell(gate, Foretelling(is_coming=False))
    assert gate.shaping.kept_from_crowd == 2
    foretell(gate, Foretelling())
    assert gate.shaping.kept_from_crowd == 20
    foretell(gate, Foretelling(near_hz=10_000.0))
    assert gate.shaping.kept_from_crowd == 50
    foretell(gate, Foretelling(is_coming=False))
    assert gate.shaping.kept_from_crowd == 2


def test_an_endpoint_is_charged_with_what_is_expected_beyond_what_it_serves() -> None:
    """So the one with headroom takes the call, though both are as empty and as fast."""
    assert count_spill(200.0, 2, 60.0) == 20.0
    assert count_spill(100.0, 2, 60.0) == count_spill(100.0, 2, 0.0) == 0.0
    plain = make_gate()
    limits = [Serving(4, 10.0), Serving(40, 400.0)]
    gate = SpreadGate("only", limits, plain.signals, plain.identities)
    foretell(gate, Foretelling())
    assert [x.n_expected for x in gate.endpoints] == [pytest.approx(15.0), 0.0]
    chosen = [gate.arrive(S, Arrival(flow=n)).lease.endpoint_idx for n in range(10)]
    assert set(chosen) == {1}
    foretell(gate, Foretelling(is_coming=False))
    assert [x.n_expected for x in gate.endpoints] == [0.0, 0.0]


def test_overflow_goes_to_the_fallback_before_a_line_has_grown() -> None:
    """While a storm is foretold here, not there, and there is room there."""
    gate, fallback = pair()
    gate.arrive(S, Arrival())
    assert gate.arrive(S, Arrival(flow=1)).action is Action.WAIT
    foretell(gate, Foretelling())
    decision = gate.arrive(2 * S, Arrival(flow=2))
    assert (decision.action, decision.reason) == (Action.DIVERT, Reason.FALLBACK)
    foretell(fallback, Foretelling())
    assert gate.arrive(2 * S, Arrival(flow=3)).action is Action.WAIT
    foretell(fallback, Foretelling(is_coming=False))
    for n in range(2):
        fallback.arrive(3 * S, Arrival(flow=4 + n))
    assert gate.arrive(3 * S, Arrival(flow=6)).action is Action.WAIT


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_overflow_stays_where_rerouting_does_not_govern(mode: str) -> None:
    """Observed, it is counted."""
    gate, _ = pair(shaping=Shaping(Modes(reroute=mode)))
    foretell(gate, Foretelling())
    gate.arrive(S, Arrival())
    assert gate.arrive(S, Arrival(flow=1)).action is Action.WAIT
    assert (Reason.FALLBACK in gate.ledger.n_observed) == (mode == "observe")
