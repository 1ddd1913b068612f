"""A gate in trouble of every sort, so that every policy and detector is asked for something.

*Rule of this file*: the callers' side, every entry of the gate, and the books of what became of
each caller. What is made to raise meanwhile is the test's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState
from governor.core.restraint import impose, lift
from governor.core.roots import GRACE_NS
from governor.core.shaping import Shaping
from governor.core.spread import SpreadGate
from policies.decision import Action, Outcome
from policies.ejection import Verdict
from policies.holdback import Holdback
from policies.limit import FixedLimit
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
