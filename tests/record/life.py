"""A made-up life of everything that decides beside the request itself, at five tapped gates.

One slot behind ``deep``, a rate behind ``metered``, a kind that hangs behind ``wide``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from governor.config.model import Config
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState
from governor.record.ring import Ring
from governor.record.tap import Tap
from governor.runtime import Runtime
from policies.decision import Action, Outcome

MS = 1_000_000
S = 1_000 * MS
RATE_HZ = 20.0
HANGING = 9


def make_life_config() -> Config:
    """Return the configuration: a route of its own terms, one of the usual."""
    ports = iter(range(1, 9))
    limits: dict[str, dict[str, Any]] = {
        "tools": {"limit": 4, "max_waiting": 50},
        "deep": {"limit": 1},
        "metered": {"limit": 50},
        "wide": {"limit": 12},
    }
    return Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "off"},
            "access_log": {"mode": "off"},
            "upstreams": {
                name: {"endpoints": [f"http://127.0.0.1:{next(ports)}"], **options}
                for name, options in limits.items()
            },
            "routes": [
                {
                    "match": {"path_prefix": "/hurried"},
                    "upstream": "tools",
                    "policies": {"max_wait": "300ms", "urgency": 1, "hold": "observe"},
                },
                *({"match": {"path_prefix": f"/{x}"}, "upstream": x} for x in limits),
            ],
        }
    )


class Life:
    """Gates of one runtime and a script of what comes to them; no clock."""

    def __init__(self, seed: int = 3) -> None:
        self.runtime = Runtime(make_life_config())
        self.gates = self.runtime.gates
        self.tap = Tap(Ring(1 << 16), salt=7)
        self.tap.attach(self.gates.values(), self.runtime.identities)
        self.tap.attach_registry(self.runtime.registry)
        self.terms = self.runtime.proxy.router.routes
        self.rng = Random(seed)
        self.now_ns = 10 * S
        self.seen: set[str] = set()
        self._tick_at_ns = self.now_ns
        self._script: list[tuple[int, int, Callable[[], object]]] = []
        self._n = 0
        self._tokens, self._filled_ns = 5.0, self.now_ns

    def at(self, at_s: float, act: Callable[[], object]) -> None:
        """Let something happen so long after the beginning."""
        self._n += 1
        heappush(self._script, (10 * S + int(at_s * S), self._n, act))

    def run(self) -> None:
        """Let everything happen, with ticks between."""
        while self._script:
            at_ns, _, act = heappop(self._script)
            while self._tick_at_ns <= at_ns:
                self.now_ns = self._tick_at_ns
                for gate in self.gates.values():
                    self._apply(gate, gate.tick(self.now_ns))
                self.runtime.registry.tick(self.now_ns)
                self._tick_at_ns += 50 * MS
            self.now_ns = at_ns
            act()

    def index(self, who: str) -> tuple[int, int, int]:
        """Return a caller's places in the tables."""
        tables = self.runtime.identities
        key = sum(byte * 257**place for place, byte in enumerate(who.encode())) % (1 << 61)
        flow = tables.flows.index(key, self.now_ns)
        return tables.tenants.index(key % 5 + 1, self.now_ns), flow, 0

    def call(
        self,
        upstream: str,
        who: str,
        took_s: float = 0.0,
        *,
        route: int = -1,
        refuses: bool = False,
        tree: int = 0,
        **shape: int,
    ) -> Lease:
        """Let a call come; it ends ``took_s`` after it was sent, never if that is 0."""
        tenant, flow, _ = self.index(who)
        place = self.runtime.identities.trees.index(tree, self.now_ns) if tree else 0
        arrival = Arrival(tenant, flow, place, is_identified=True, **shape)
        if route >= 0 and (terms := self.terms[route].terms) is not None:
            terms.lay_down(arrival)
        gate = self.gates[upstream]
        decision = gate.arrive(self.now_ns, arrival)
        decision.lease.owner = (took_s, refuses)
        self._apply(gate, [decision])
        return decision.lease

    def leave(self, upstream: str, lease: Lease) -> None:
        """Let a caller leave."""
        gate = self.gates[upstream]
        self._apply(gate, gate.leave(self.now_ns, lease))

    def end(self, upstream: str, lease: Lease) -> None:
        """Let a call end: refused where its upstream has no token left."""
        if lease.state is not LeaseState.OPEN:
            return
        gate = self.gates[upstream]
        if lease.owner[1] and not self._has_token():
            gate.refused.note(self.now_ns)
            self._apply(gate, gate.depart(self.now_ns, lease, Outcome.REFUSED, 429))
            return
        self._apply(gate, gate.depart(self.now_ns, lease, Outcome.COMPLETED, 200))

    def _apply(self, gate: Gate, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self.seen.add(decision.reason.value)
            lease = decision.lease
            if decision.action is Action.ADMIT and lease.owner[0]:
                after_s = (self.now_ns - 10 * S) / 1e9 + lease.owner[0]
                self.at(after_s, lambda lease=lease: self.end(gate.name, lease))

    def _has_token(self) -> bool:
        gained = (self.now_ns - self._filled_ns) / 1e9 * RATE_HZ
        self._tokens = min(5.0, self._tokens + gained)
        self._filled_ns = self.now_ns
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def play_life() -> Life:
    """Return a life with all of it, played to its end."""
    life = Life()
    runtime, rng = life.runtime, life.rng

    def many(upstream: str, hz: float, begin_s: float, end_s: float, **call: Any) -> None:
        at_s = begin_s
        while (at_s := at_s + rng.expovariate(hz)) < end_s:
            who = f"agent-{rng.randrange(12)}"
            took_s = 0.02 + rng.expovariate(12.0)
            life.at(at_s, lambda who=who, took_s=took_s: life.call(upstream, who, took_s, **call))

    many("tools", 40.0, 0.0, 12.0)
    many("tools", 15.0, 0.0, 12.0, route=0)
    many("metered", 45.0, 0.0, 8.0, refuses=True)
    many("wide", 40.0, 0.0, 14.0, kind=3)
    many("wide", 20.0, 0.0, 6.0, kind=HANGING)
    for number in range(160):  # from here on the kind is never answered
        who = f"agent-{number % 12}"
        life.at(
            6.0 + number * 0.05,
            lambda who=who: life.call("wide", who, kind=HANGING),
        )
    # a tree: its root waits for a child behind a full service, and leaves
    held: dict[str, Lease] = {}
    life.at(2.0, lambda: held.update(full=life.call("deep", "long", 6.0)))
    life.at(2.1, lambda: held.update(root=life.call("tools", "root", 9.0, tree=77, source=1)))
    life.at(2.2, lambda: held.update(leaf=life.call("deep", "leaf", 0.1, tree=77, source=2)))
    life.at(2.9, lambda: life.leave("tools", held["root"]))
    # people: switches, and agents that are held, quarantined and released
    for at_s, name, to in (
        (3.0, "hold", "observe"),
        (5.5, "mode", "observe"),
        (6.0, "mode", "govern"),
        (9.0, "contain", "observe"),
        (9.5, "contain", "govern"),
    ):
        life.at(at_s, lambda name=name, to=to: runtime.switch(name, to))
    registry = runtime.registry

    def act(who: str, cap: int) -> None:
        flow = life.index(who)[1]
        if cap < 0:
            assert registry.release(life.now_ns, flow, "a person", "again")
        else:
            assert registry.restrain(life.now_ns, flow, cap, "a person", "why")

    for at_s, who, cap in (
        (1.0, "agent-1", 1),
        (1.5, "agent-2", 0),
        (6.0, "agent-1", 0),
        (7.0, "agent-2", -1),
        (10.0, "agent-1", -1),
    ):
        life.at(at_s, lambda who=who, cap=cap: act(who, cap))
    life.run()
    return life
