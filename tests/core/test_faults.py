"""Whatever raises: requests go through, leases close, the books stay right, its name is counted.

*Rule of this file*: one scene (:mod:`tests.core.trouble`) that asks every policy and detector
for something, and a table of everything that the gate calls outside itself. Each is made to
raise, one at a time, then whole classes, then all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from governor.core import gate as gate_module
from governor.core import refused as refused_module
from governor.core.arrival import Arrival
from governor.core.dispatcher import Dispatcher
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.lease import LeaseState
from governor.core.line import Line
from governor.core.newcomers import Newcomers
from governor.core.patience import Patience
from governor.core.reservations import Reservations
from governor.core.restraint import Restraint
from governor.core.roots import Roots
from governor.core.shaping import Shaping
from governor.core.shed import Shed
from policies.acceleration import Acceleration
from policies.contain import Containment, Kind
from policies.decision import Action, Outcome
from policies.ejection import Health
from policies.hang import Hang
from policies.herd import Herd
from policies.holdback import Holdback
from policies.limit import FixedLimit
from policies.quota import Quota
from policies.reroute import Reroute
from policies.slots import RefusalStorm
from tests.core.test_gate import make_gate
from tests.core.trouble import LONG, MS, TICK_NS, Calm, Log, S, Scene

pytestmark = pytest.mark.interpreted


def fails(*_: Any, **__: Any) -> Any:
    """Fail."""
    raise ZeroDivisionError


TABLE: dict[Part, tuple[tuple[type, str], ...]] = {
    Part.SIGNALS: tuple(
        (Calm, name)
        for name in ("arrive", "note", "tick", "note_quota", "organic_hz", "forecast_hz")
    ),
    Part.LIMIT: tuple(
        (FixedLimit, name)
        for name in (
            *("on_dispatch", "on_answer", "on_depart", "on_refused", "lift", "tick"),
            *("is_stalled", "capacity_hz", "best_capacity_hz", "response_ns"),
        )
    ),
    Part.QUOTA: tuple(
        (Quota, name) for name in ("on_refused", "tick", "fill", "take", "bound_hz", "pace_hz")
    ),
    Part.CONTAIN: (
        *((Containment, name) for name in ("open", "close", "meet", "tick")),
        *((Containment, name) for name in ("is_hung", "is_long", "has_room_for_hung")),
        (Kind, "learn"),
        (Hang, "tick"),
    ),
    Part.HOLD: ((Herd, "note"), (Herd, "tick"), (Herd, "kept_places")),
    Part.ACCELERATION: tuple((Acceleration, name) for name in ("tick", "take", "has_room")),
    Part.SHAPING: tuple((Shaping, name) for name in ("band", "room", "tick")),
    Part.HOLDBACK: ((Holdback, "is_held_back"), (Holdback, "close")),
    Part.PATIENCE: ((Patience, "on_leave"), (Patience, "on_answer")),
    Part.LINE: (
        *((Line, name) for name in ("push", "first", "charge", "released", "forget", "last")),
        (Newcomers, "charge"),
        (Dispatcher, "next_surplus"),
    ),
    Part.SHED: ((Shed, "trees"), (Shed, "note")),
    Part.SLOTS: (
        *((Reservations, name) for name in ("invite", "redeem", "expire")),
        *((RefusalStorm, name) for name in ("note", "is_on")),
    ),
    Part.REROUTE: (
        *((Reroute, name) for name in ("sent", "answered", "completed", "closed", "tick")),
        *((Reroute, name) for name in ("choose", "in_use", "look_again", "is_down")),
        *((Health, name) for name in ("failed", "succeeded", "told_nothing", "is_due", "share")),
    ),
    Part.ROOTS: tuple((Roots, name) for name in ("arrive", "leave", "doomed", "is_vain")),
    Part.ENVELOPE: ((Restraint, "is_quarantine"),),
    Part.LOG: ((Log, "append"),),
}
"""What the gate calls outside itself, by whose fault it is."""

FUNCTIONS: dict[Part, tuple[Any, str]] = {
    Part.SIGNALS: (gate_module, "look_ahead"),
    Part.ABSORB: (refused_module, "longest_wait_ns"),
}


def break_one(patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Make a method or a property raise."""
    is_property = isinstance(owner.__dict__.get(name), property)
    patch.setattr(owner, name, property(fails) if is_property else fails)


def played(is_spread: bool = False, acceleration: float | None = None) -> Gate:
    """Play the scene and look at its books; return the gate."""
    scene = Scene(is_spread, acceleration)
    scene.play()
    scene.close()
    scene.arrive()
    scene.wait(500 * MS)
    scene.close()
    n_served = scene.ends[Outcome.COMPLETED.name]
    assert n_served > scene.n_arrived // 8
    return scene.gate


@pytest.mark.parametrize("is_spread", [False, True])
def test_the_scene_itself_brings_out_no_fault(is_spread: bool) -> None:
    """So whatever is counted below was made to raise; and every policy is brought to act."""
    gate = played(is_spread)
    assert gate.faults.by_part == {}
    acts = {*gate.ledger.n_waited_for, *gate.ledger.n_answered}
    assert len(acts) >= 6, acts
    assert gate.refused.n_absorbed > 0
    assert gate.refused.n_slots > 0


@pytest.mark.parametrize(
    ("part", "owner", "name"),
    [(part, *what) for part, whats in TABLE.items() for what in whats],
    ids=lambda x: x.__name__ if isinstance(x, type) else str(x),
)
def test_one_that_raises(
    part: Part, owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are served or answered once, all leases close, and it is counted under its own name."""
    break_one(monkeypatch, owner, name)
    gate = played(part is Part.REROUTE, 50.0 if part is Part.ACCELERATION else None)
    assert set(gate.faults.by_part) == {part}
    assert gate.ledger.n_faults == gate.faults.n > 0


@pytest.mark.parametrize("part", FUNCTIONS)
def test_a_function_that_raises(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for what is no method."""
    module, name = FUNCTIONS[part]
    monkeypatch.setattr(module, name, fails)
    assert set(played(False).faults.by_part) == {part}


@pytest.mark.parametrize("part", TABLE)
def test_a_whole_policy_that_raises(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is asked or told, in front of several endpoints and with a way out."""
    for owner, name in TABLE[part]:
        break_one(monkeypatch, owner, name)
    gate = played(True, 50.0 if part is Part.ACCELERATION else None)
    assert set(gate.faults.by_part) == {part}


@pytest.mark.parametrize("is_spread", [False, True])
def test_everything_raises(is_spread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate of which nothing works is a door: limits alone stand, and nobody is lost."""
    for whats in TABLE.values():
        for owner, name in whats:
            break_one(monkeypatch, owner, name)
    for module, name in FUNCTIONS.values():
        monkeypatch.setattr(module, name, fails)
    assert len(played(is_spread, acceleration=50.0).faults.by_part) > 6


def test_a_quota_that_raises_paces_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands aside at once, however empty its bucket, and is heeded again after a good tick."""
    gate = make_gate(limit=8)
    quota = gate.shaping.quota
    quota.rate_hz, quota.has_room, gate.shaping.is_calm = 1.0, False, False
    tick: Callable[..., bool] = Quota.tick
    monkeypatch.setattr(Quota, "fill", fails)
    assert gate.arrive(S, Arrival()).action is Action.ADMIT
    monkeypatch.setattr(Quota, "fill", lambda *_: None)
    monkeypatch.setattr(Quota, "tick", fails)
    gate.tick(S + TICK_NS)
    assert gate.arrive(S + TICK_NS, Arrival()).action is Action.ADMIT
    monkeypatch.setattr(Quota, "tick", tick)
    gate.tick(S + 2 * TICK_NS)
    assert gate.arrive(S + 2 * TICK_NS, Arrival()).action is Action.WAIT


def test_a_hung_kind_is_not_capped_by_a_containment_that_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor are the long: nobody yields on the word of a policy whose last tick has failed."""
    gate = make_gate(limit=8)
    containment = gate.shaping.containment
    first = gate.arrive(S, Arrival(kind=LONG))
    kind = containment.kinds[LONG]
    kind.hang.is_hung, gate.shaping.is_calm = True, False
    containment._hung, containment.hung_cap = [kind], 1
    assert gate.arrive(S, Arrival(kind=LONG)).action is Action.WAIT
    monkeypatch.setattr(Containment, "tick", fails)
    [granted] = gate.tick(S + TICK_NS)
    assert granted.action is Action.ADMIT
    assert gate.arrive(S + TICK_NS, Arrival(kind=LONG)).action is Action.ADMIT
    assert gate.in_flight == 3
    assert first.lease.state is LeaseState.OPEN
