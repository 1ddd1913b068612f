"""Whatever raises: requests go through, leases close, the books stay right, its name is counted.

*Rule of this file*: one scene that asks every policy and detector for something, at every
entry of the gate, and a table of everything that the gate calls outside itself. Each is made
to raise, one at a time, then whole classes, then all of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from governor.core import gate as gate_module
from governor.core import refused as refused_module
from governor.core.arrival import Arrival
from governor.core.dispatcher import Dispatcher
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState
from governor.core.line import Line
from governor.core.newcomers import Newcomers
from governor.core.patience import Patience
from governor.core.reservations import Reservations
from governor.core.restraint import Restraint, impose, lift
from governor.core.roots import GRACE_NS, Roots
from governor.core.shaping import Shaping
from governor.core.shed import Shed
from governor.core.spread import SpreadGate
from policies.acceleration import Acceleration
from policies.contain import Containment, Kind
from policies.decision import Action, Outcome
from policies.ejection import Health, Verdict
from policies.hang import Hang
from policies.herd import Herd
from policies.holdback import Holdback
from policies.limit import FixedLimit
from policies.quota import Quota
from policies.reroute import Reroute
from policies.slots import RefusalStorm
from tests.core.test_gate import SilentSignals, make_gate

MS = 1_000_000
S = 1_000_000_000
TICK_NS = 50 * MS
PERSON, SERVICE = 11, 22
"""Addresses."""
BRIEF, LONG = 1, 2
"""Kinds."""
SHARE = 0.2
HELD_BACK = next(flow for flow in range(1, 10) if Holdback(SHARE).is_held_back(flow))
"""A flow that this share leaves ungoverned."""


class Calm(SilentSignals):
    """Signals that see nothing, and take note of quotas."""

    def advance(self, now_ns: int) -> None:
        """Let time pass."""

    def note_quota(self, *_: Any) -> None:
        """Take note of nothing."""


class Log:
    """An intervention log that keeps nothing."""

    def append(self, *_: Any) -> None:
        """Forget it."""


class Scene:
    """A gate in trouble of every sort, and the books of its callers."""

    def __init__(self, is_spread: bool, acceleration: float | None) -> None:
        plain = make_gate(limit=8)
        self.identities = plain.identities
        options: dict[str, Any] = {
            "shaping": Shaping(acceleration=acceleration, holdback_share=SHARE, n_flows=64),
            "patience_ns": 2 * S,
            "log": Log(),
        }
        limits = [FixedLimit(4), FixedLimit(4)] if is_spread else [FixedLimit(8)]
        make: type[Gate] = SpreadGate if is_spread else Gate
        self.gate = make("tools", limits, Calm(), self.identities, **options)  # type: ignore[arg-type]
        self.other = Gate("other", [FixedLimit(8)], Calm(), self.identities)  # type: ignore[arg-type]
        if is_spread:
            self.gate.fallback = self.other
        self.now_ns = S
        self.ticked_ns = S
        self.open: deque[Lease] = deque()
        self.ends: Counter[str] = Counter()
        self.n_arrived = 0

    # -- the rim ------------------------------------------------------------------

    def hear(self, decisions: Sequence[Decision]) -> None:
        """Do what the gate says about callers that waited."""
        for decision in decisions:
            self.follow(decision)

    def follow(self, decision: Decision) -> Lease:
        """Do what the gate says about one caller; each is told of once."""
        lease = decision.lease
        if decision.action is Action.ADMIT:
            assert lease.state is LeaseState.OPEN
            self.open.append(lease)
        elif decision.action is not Action.WAIT:
            assert lease.state is LeaseState.CLOSED
            self.ends[decision.action.name] += 1
        return lease

    def arrive(self, n: int = 1, **shape: Any) -> list[Lease]:
        """Let ``n`` like callers come at once."""
        self.n_arrived += n
        shape = {"tenant": 1, "flow": 1, "kind": BRIEF, **shape}
        return [self.follow(self.gate.arrive(self.now_ns, Arrival(**shape))) for _ in range(n)]

    def end(self, lease: Lease, outcome: Outcome = Outcome.COMPLETED, status: int = 200) -> None:
        """End an open call."""
        self.open.remove(lease)
        self.ends[outcome.name] += 1
        self.hear(self.gate.depart(self.now_ns, lease, outcome, status))

    def end_all(self, n: int = 1 << 30) -> None:
        """End the oldest open calls well."""
        for lease in list(self.open)[:n]:
            if lease in self.open:
                self.end(lease)

    def leave(self, lease: Lease) -> None:
        """Let a caller go away."""
        if lease.state is LeaseState.PENDING:
            self.ends["LEFT"] += 1
        self.hear(self.gate.leave(self.now_ns, lease))

    def wait(self, for_ns: int) -> None:
        """Let time pass, with its ticks."""
        until_ns = self.now_ns + for_ns
        while self.ticked_ns + TICK_NS <= until_ns:
            self.ticked_ns += TICK_NS
            self.now_ns = max(self.now_ns, self.ticked_ns)
            self.hear(self.gate.tick(self.now_ns))
        self.now_ns = until_ns

    # -- the play -----------------------------------------------------------------

    def play(self) -> None:
        """Bring every policy to do something."""
        self.calm()
        self.crowd()
        self.kinds()
        self.trees()
        self.restraints()
        self.refusals()
        self.failures()

    def calm(self) -> None:
        """Some callers by themselves, one after another, and one that is never governed."""
        self.gate.observe_quota(self.now_ns, 1, 1, 100, 50, S)
        for n in range(14):
            self.arrive(flow=1 + n % 8)
            self.arrive(flow=HELD_BACK)
            self.arrive(is_exempt=True)
            self.wait(30 * MS)
            self.end_all()

    def crowd(self) -> None:
        """More than there is room for: some leave, some are answered late, many are sent away."""
        leases = self.arrive(60, flow=2, tree=2, tenant=2) + self.arrive(20, flow=3, tree=3)
        for lease in list(self.open)[:3]:
            self.gate.answered(self.now_ns, lease, 200)
        self.wait(800 * MS)
        waiting = [x for x in leases if x.state is LeaseState.PENDING]
        for lease in [*waiting[:6], *list(self.open)[3:]]:
            self.leave(lease)
        for _ in range(20):
            self.end_all(2)
            self.wait(TICK_NS)
        self.end_all()
        self.wait(3 * S)
        self.end_all()

    def kinds(self) -> None:
        """Brief calls, and long ones that hang in the end."""
        for n in range(60):
            self.arrive(flow=4, kind=BRIEF)
            if n % 4 == 0:
                self.arrive(flow=6, kind=LONG)
            self.wait(TICK_NS)
            for lease in list(self.open):
                is_brief = lease.arrival.kind == BRIEF
                if lease in self.open and (is_brief or len(self.open) > 6):
                    self.end(lease)
        self.wait(2 * S)
        self.end_all()

    def trees(self) -> None:
        """A root whose caller leaves, while its children wait."""
        root = self.other.arrive(self.now_ns, Arrival(tenant=1, flow=1, tree=7, source=PERSON))
        self.arrive(12, flow=9, tree=9)
        self.arrive(4, flow=8, tree=7, source=SERVICE)
        self.leave_elsewhere(root.lease)
        mine = self.arrive(flow=8, tree=8, source=PERSON)
        self.leave(mine[0])
        self.wait(GRACE_NS + 100 * MS)
        self.end_all()
        self.other.depart(self.now_ns, root.lease, Outcome.ORPHANED, 200)

    def leave_elsewhere(self, lease: Lease) -> None:
        """Let the caller of a call at the other upstream go away."""
        self.other.leave(self.now_ns, lease)

    def restraints(self) -> None:
        """A flow that may have one call in flight, and one that may have none."""
        impose(self.identities, 3, 1)
        impose(self.identities, 4, 0)
        self.arrive(5, flow=3)
        self.arrive(2, flow=4)
        self.wait(200 * MS)
        self.end_all(1)
        self.wait(200 * MS)
        lift(self.identities, 3)
        lift(self.identities, 4)
        self.wait(100 * MS)
        self.end_all()

    def refusals(self) -> None:
        """An upstream that accepts 20 calls a second: slots, waiting out, and a quota found."""
        for n in range(110):
            for lease in self.arrive(2, flow=1 + n % 3, attempt=n % 2, patience_ns=5 * S):
                if lease.state is LeaseState.OPEN:
                    self.refuse(lease, n % 5 == 1) if n % 3 else self.end(lease)
            self.wait(15 * MS)
        self.wait(4 * S)
        self.end_all()

    def refuse(self, lease: Lease, is_absorbed: bool) -> None:
        """Refuse an open call: waited out, or handed on with a slot."""
        refused = self.gate.refused
        refused.note(self.now_ns)
        taken = refused.absorb(self.now_ns, lease, 0, S) if is_absorbed else None
        if taken is None:
            refused.answer(self.now_ns, lease, 429, 0)
            self.end(lease, Outcome.REFUSED, 429)
        else:
            self.open.remove(lease)
            assert lease.state is LeaseState.CLOSED
            self.hear(taken[1])

    def failures(self) -> None:
        """Endpoints that fail calls before their first byte."""
        for n in range(12):
            for lease in self.arrive(2, flow=2):
                if lease.state is not LeaseState.OPEN:
                    continue
                verdict = Verdict.UNREACHED if n % 2 else Verdict.FAILED
                decision, followers = self.gate.reroute(self.now_ns, lease, verdict)
                if decision is not None:
                    self.open.remove(lease)
                    self.follow(decision)
                else:
                    self.end(lease, Outcome.FAILED, 500)
                self.hear(followers)
            self.wait(20 * MS)
        self.end_all()

    def close(self) -> None:
        """Let everybody who is left be served or sent away; then look at the books."""
        for _ in range(200):
            self.wait(TICK_NS)
            self.end_all()
            if not (self.open or self.gate.line_length or self.gate.refused.n_parked):
                break
        gate = self.gate
        assert (gate.in_flight, gate.line_length) == (0, 0)
        assert gate.refused.n_parked == gate.restrained.n_parked == 0
        assert [x.in_flight + x.n_exempt for x in gate.endpoints] == [0] * len(gate.endpoints)
        for table in (self.identities.tenants, self.identities.flows, self.identities.trees):
            assert not any(table.n_open)
        assert not any(gate.line.held)
        assert self.ends.total() == self.n_arrived
        assert gate.ledger.n_arrived == self.n_arrived


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
