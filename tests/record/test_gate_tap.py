"""The tap at one gate: what raises costs neither the request nor its record."""

from __future__ import annotations

from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.record.events import BOOKED, Kind
from governor.record.ring import N_MIN, Ring
from governor.record.tap import Tap
from policies.decision import Action, Outcome
from policies.ejection import Verdict
from policies.limit import FixedLimit
from policies.switches import observe_all
from signals import SignalBank


class Nameless:
    """Who asks, without a request id."""


class Scene:
    """One gate of two places, and its tap."""

    def __init__(self) -> None:
        identities = Identities(8, 8, 8)
        self.gate = Gate("up", [FixedLimit(2)], SignalBank(8), identities)
        self.tap = Tap(Ring(N_MIN))
        self.tap.attach([self.gate], identities)

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        """Return these fields of all records."""
        return [tuple(x) for x in self.tap.ring.since(0)[1][list(names)].tolist()]


def test_an_owner_without_an_id_costs_a_fault_and_no_more() -> None:
    """The request goes on, the signals are told of it, and its record is there."""
    scene = Scene()
    decision = scene.gate.arrive(5, Arrival(), Nameless())
    scene.gate.depart(6, decision.lease, Outcome.COMPLETED, 200)
    assert scene.tap.n_faults == 1
    assert scene.gate.signals.state.bank[0]["n_arrivals"] == 1
    assert scene.rows("kind", "number", "request") == [(Kind.ARRIVE, 1, 0), (Kind.DEPART, 1, 0)]
    assert scene.gate.ledger.n_faults == 0


def test_what_the_signals_fail_at_is_recorded_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An arrival, a first byte and an end, each with its number; the fault is the signals'."""
    scene = Scene()

    def fail(*_: Any) -> int:
        raise ZeroDivisionError

    for name in ("_signal_arrival", "_signal_later"):
        monkeypatch.setattr(scene.gate.recording, name, fail)
    lease = scene.gate.arrive(5, Arrival(kind=3)).lease
    scene.gate.answered(6, lease, 200)
    scene.gate.depart(7, lease, Outcome.COMPLETED, 200)
    assert scene.rows("t_ns", "kind", "number", "status") == [
        (5, Kind.ARRIVE, 1, 0),
        (6, Kind.ANSWERED, 1, 200),
        (7, Kind.DEPART, 1, 200),
    ]
    assert scene.gate.faults.by_part == {Part.SIGNALS: 3}
    assert scene.tap.n_faults == 0


def test_what_is_decided_otherwise_stands_in_the_arrivals_record() -> None:
    """Who waits, who is exempt and who was booked; each is one record."""
    scene = Scene()
    gate = scene.gate
    first = gate.arrive(1, Arrival()).lease
    gate.adopt(2, Arrival())
    assert gate.arrive(3, Arrival()).action is Action.WAIT
    gate.arrive(4, Arrival(is_exempt=True))
    gate.adopt(5, Arrival())
    gate.depart(6, first, Outcome.COMPLETED, 200)
    said = scene.rows("kind", "action", "status", "endpoint")
    assert said == [
        (Kind.ARRIVE, Action.ADMIT, 0, 0),
        (Kind.ARRIVE, Action.ADMIT, BOOKED, 0),
        (Kind.ARRIVE, Action.WAIT, 0, -1),
        (Kind.ARRIVE, Action.ADMIT, 0, 0),
        (Kind.ARRIVE, Action.ADMIT, BOOKED, 0),
        (Kind.DEPART, Outcome.COMPLETED, 200, 0),
    ]


def test_every_other_event_is_a_record_before_what_it_leads_to() -> None:
    """Even one that changes nothing; whoever gets the place that came free stands after it."""
    scene = Scene()
    gate = scene.gate
    gate.arrive(1, Arrival())
    exempt = gate.arrive(2, Arrival(is_exempt=True)).lease
    gate.adopt(3, Arrival())
    waiting = [gate.arrive(4, Arrival()).lease for _ in range(3)]
    gate.lose(5, waiting[1])
    gate.leave(6, waiting[2])
    gate.leave(6, waiting[2])
    gate.sent_late(exempt, 9)
    assert gate.reroute(7, exempt, Verdict.FAILED) == (None, ())
    gate.observe_quota(8, 1, 2, 30, 4, 5)
    switches = observe_all(gate.shaping.switches)  # from now on nobody waits
    gate.switch(switches, True)
    gate.tick(9)
    gate.depart(10, exempt, Outcome.COMPLETED, 200)
    assert scene.rows("t_ns", "kind", "number", "action")[6:] == [
        (5, Kind.LEAVE, 5, 1),
        (6, Kind.LEAVE, 6, 0),
        (6, Kind.LEAVE, 6, 0),
        (6, Kind.LATE, 2, 0),
        (7, Kind.REROUTE, 2, 0),
        (8, Kind.QUOTA, 0, 0),
        (8, Kind.SWITCH, switches, 1),
        (9, Kind.TICK, 0, 0),
        (9, Kind.DECIDE, 4, Action.ADMIT),
        (10, Kind.DEPART, 2, Outcome.COMPLETED),
    ]
