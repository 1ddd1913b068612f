"""A made-up run of real gates: calls, failures, retries, leavers, refusals, ticks, a storm."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random
from typing import Any

from governor.config.model import Config
from governor.core.arrival import UNMARKED, Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState
from governor.record.ring import Ring
from governor.record.tap import Tap
from governor.runtime import Runtime
from policies.decision import Action, Outcome
from policies.ejection import Verdict

MS = 1_000_000
TICK_NS = 50 * MS


class Owner:
    """Who asks: only its request id is ever looked at."""

    def __init__(self, number: int) -> None:
        self.request_id = b"request-%d" % number
        self.upstream = 0


def make_config(recorder: dict[str, Any] | None = None, **upstream: Any) -> Config:
    """Return two upstreams, the first with two endpoints and a fallback."""
    return Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "off"},
            "access_log": {"mode": "off"},
            "recorder": recorder or {},
            "upstreams": {
                "tools": {
                    "endpoints": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
                    "fallback": "spare",
                    **upstream,
                },
                "spare": {"endpoints": ["http://secret.example:3"], "limit": 6, "max_waiting": 40},
            },
            "routes": [
                {"match": {"path_prefix": "/secret"}, "upstream": "tools"},
                {"match": {"path_prefix": "/b"}, "upstream": "spare"},
            ],
        }
    )


class Run:
    """Plays a fleet against gates that are tapped; the same seed gives the same run."""

    def __init__(self, config: Config, seed: int = 1, n_records: int = 1 << 17) -> None:
        self.runtime = Runtime(config)
        self.gates = list(self.runtime.gates.values())
        self.tap = Tap(Ring(n_records), salt=7)
        self.tap.attach(self.gates, self.runtime.identities)
        self.rng = Random(seed)
        self.now_ns = 10_000 * MS
        self._events: list[tuple[int, int, str, Any]] = []
        self._n = 0
        self._tick_at_ns = self.now_ns
        self.n_sent = 0

    def play(self, seconds: float, rate_hz: float) -> None:
        """Let fresh calls come for ``seconds`` and everything end; a storm from 40 % to 60 %."""
        begin_ns, span_ns = self.now_ns, int(seconds * 1e9)
        at_ns = float(begin_ns)
        while at_ns < begin_ns + span_ns:
            at_ns += self.rng.expovariate(rate_hz) * 1e9
            self._later(int(at_ns), "arrive", (self.rng.randrange(60), 0))
        self._storm = (begin_ns + int(0.4 * span_ns), begin_ns + int(0.6 * span_ns))
        while self._events:
            while self._tick_at_ns <= self._events[0][0]:  # a tick may bring an earlier one
                self.now_ns = self._tick_at_ns
                for gate in self.gates:
                    if not self._leaves_out(gate):
                        self._apply(gate.tick(self._tick_at_ns))
                self._tick_at_ns += TICK_NS
            at_ns, _, what, value = heappop(self._events)
            self.now_ns = int(at_ns)
            getattr(self, f"_{what}")(value)

    def _leaves_out(self, gate: Gate) -> bool:
        """Whether a gate's tick is left out now: never."""
        return False

    def _later(self, at_ns: int, what: str, value: Any) -> None:
        self._n += 1
        heappush(self._events, (at_ns, self._n, what, value))

    def _is_storm(self) -> bool:
        return self._storm[0] <= self.now_ns < self._storm[1]

    def _arrive(self, value: tuple[int, int]) -> None:
        agent, attempt = value
        identities, now_ns = self.runtime.identities, self.now_ns
        self.n_sent += 1
        owner = Owner(self.n_sent)
        arrival = Arrival(
            identities.tenants.index(hash((agent % 7, "t")), now_ns),
            identities.flows.index(hash((agent, "f")), now_ns),
            identities.trees.index(hash((agent // 3, "r")), now_ns),
            fingerprint=hash((agent, "shape")),
            attempt=attempt if agent % 2 else UNMARKED,
            urgency=agent % 8,
            patience_ns=(agent % 3) * 2_000 * MS,
            is_identified=True,
            is_exempt=agent == 13,
            can_retry=agent != 14,
            family=agent % 5,
            kind=agent % 256,
            affinity=-agent,
        )
        owner.upstream = int(agent % 3 == 0)
        self._ask(owner, arrival, agent, attempt)

    def _ask(self, owner: Owner, arrival: Arrival, agent: int, attempt: int) -> None:
        decision = self.gates[owner.upstream].arrive(self.now_ns, arrival, owner)
        lease = decision.lease
        lease.owner = (owner, agent, attempt)
        if self.rng.random() < 0.05:
            self._later(self.now_ns + self.rng.randrange(3_000) * MS, "leave", lease)
        self._apply([decision])

    def _apply(self, decisions: Any) -> None:
        for decision in decisions:
            self._apply_one(decision)

    def _apply_one(self, decision: Decision) -> None:
        lease = decision.lease
        owner, agent, attempt = lease.owner
        if decision.action is Action.ADMIT:
            took_ns = int(self.rng.expovariate(20.0) * 1e9) + 5 * MS
            took_ns = int(took_ns * max(1.0, self.gates[owner.upstream].in_flight / 8))
            if self._is_storm():
                took_ns *= 6
            self._later(self.now_ns + took_ns // 2, "answer", lease)
            self._later(self.now_ns + took_ns, "end", lease)
        elif decision.action is Action.DIVERT:
            owner.upstream = 1
            self._ask(owner, lease.arrival, agent, attempt)
        elif decision.action is Action.ANSWER and attempt < 4:
            wait_ns = decision.retry_after_ns or 500 * MS
            self._later(self.now_ns + wait_ns, "arrive", (agent, attempt + 1))

    def _leave(self, lease: Lease) -> None:
        if lease.state is not LeaseState.CLOSED:
            self._apply(self.gates[lease.owner[0].upstream].leave(self.now_ns, lease))

    def _answer(self, lease: Lease) -> None:
        if lease.state is LeaseState.OPEN and self.rng.random() < 0.5 and not self._is_storm():
            self.gates[lease.owner[0].upstream].answered(self.now_ns, lease, 200)

    def _end(self, lease: Lease) -> None:
        if lease.state is not LeaseState.OPEN:
            return
        owner, agent, attempt = lease.owner
        gate, now_ns = self.gates[owner.upstream], self.now_ns
        chance = self.rng.random()
        if chance < (0.3 if self._is_storm() else 0.02) and not lease.answered_at_ns:
            if chance < 0.01:
                decision, followers = gate.reroute(now_ns, lease, Verdict.UNREACHED)
                if decision is not None:
                    self._apply([decision])
                    self._apply(followers)
                    return
            elif chance < 0.15:
                self._refuse(lease)
                return
            self._apply(gate.depart(now_ns, lease, Outcome.FAILED, 502, 0))
            self._come_back(agent, attempt, 0)
            return
        if chance > 0.99:
            gate.observe_quota(now_ns, lease.arrival.tenant, 0, 1_000, 10, 5_000 * MS)
        outcome = Outcome.ORPHANED if lease.has_left else Outcome.COMPLETED
        self._apply(gate.depart(now_ns, lease, outcome, 200))

    def _refuse(self, lease: Lease) -> None:
        owner, agent, attempt = lease.owner
        gate, now_ns = self.gates[owner.upstream], self.now_ns
        gate.refused.note(now_ns)
        taken = gate.refused.absorb(now_ns, lease, 200 * MS, 2_000 * MS)
        if taken is not None:
            self._apply(taken[1])
            return
        decision = gate.refused.answer(now_ns, lease, 429, 200 * MS)
        told_ns = decision.retry_after_ns if decision is not None else 0
        self._apply(gate.depart(now_ns, lease, Outcome.REFUSED, 429, told_ns))
        self._come_back(agent, attempt, told_ns)

    def _come_back(self, agent: int, attempt: int, told_ns: int) -> None:
        if attempt < 4:
            wait_ns = told_ns or int(0.5e9 * 2**attempt * (0.75 + 0.25 * self.rng.random()))
            self._later(self.now_ns + wait_ns, "arrive", (agent, attempt + 1))
