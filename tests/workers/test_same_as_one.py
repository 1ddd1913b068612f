"""What one process decides and reads, several decide and read when records arrive at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision
from governor.core.spread import SpreadGate
from policies.decision import Outcome
from policies.ejection import Verdict
from policies.limit import AdaptiveLimit, FixedLimit, Limit
from signals import Shared, SignalBank
from tests.support.fields import fields_of
from tests.workers.rig import MS, Fleet, Request, S, arrival

TICK_NS = 50 * MS


class Step(NamedTuple):
    """Something that happens to the traffic."""

    what: str
    who: int
    wait_ms: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["arrive"] * 6 + ["done"] * 3 + ["failed", "refused", "begun", "leave", "moved"]
        ),
        st.integers(0, 30),
        st.sampled_from([0, 0, 0, 1, 3, 20, 90]),
    ),
    min_size=1,
    max_size=150,
)


def make_gates(identities: Identities, kind: str) -> list[Gate]:
    """Return an upstream of one endpoint, or one of two with a fallback."""
    shared = Shared(n_calls=512, n_trees=64, n_flows=64)

    def bank(idx: int) -> SignalBank:
        return SignalBank(64, shared, idx, n_tenants=64)

    if kind == "one":
        return [Gate("up", [AdaptiveLimit(rng_seed=1)], bank(0), identities)]
    if kind == "fixed":
        return [Gate("up", [FixedLimit(5)], bank(0), identities)]
    limits: list[Limit] = [FixedLimit(3), FixedLimit(3)]
    fallback = Gate("other", [FixedLimit(3)], bank(1), identities)
    gate = SpreadGate("up", limits, bank(0), identities, reroute_seed=3)
    gate.fallback = fallback
    return [gate, fallback]


class World:
    """The same traffic before gates, whichever way it comes to them."""

    def __init__(self, kind: str, n_workers: int) -> None:
        self.identities = Identities(64, 64, 64)
        self.gates = make_gates(self.identities, kind)
        self.fleet = Fleet(n_workers, self.gates, self.identities) if n_workers else None
        self.now_ns = S
        self._ticked_ns = S
        self.requests: list[Request] = []
        if self.fleet is None:
            for gate in self.gates:
                gate.tick(S)

    def play(self, steps: list[Step]) -> list[list[tuple[str, str, int, int]]]:
        """Play all; return what each request was told."""
        for number, step in enumerate(steps):
            until_ns = self.now_ns + step.wait_ms * MS
            while self._ticked_ns + TICK_NS <= until_ns:
                self._ticked_ns += TICK_NS
                self._tick(self._ticked_ns)
            self.now_ns = until_ns
            self._do(number, step)
            self._turn()
        return [x.said for x in self.requests]

    def read(self) -> list[Any]:
        """Return what every signal reads, and the ledger."""
        found: list[Any] = []
        for gate in self.gates:
            ledger = gate.ledger
            found += [str(x) for x in gate.signals.read()]
            names = [name for name in fields_of(type(ledger)) if name != "faults"]
            found += [getattr(ledger, name) for name in names]
            found.append(ledger.faults.by_part)
            found += [gate.in_flight, gate.limit, gate.line_length]
        return found

    def _do(self, number: int, step: Step) -> None:
        now_ns = self.now_ns
        if step.what == "arrive":
            came = arrival(step.who, attempt=step.who % 5 - 1, is_exempt=step.who == 13)
            request = Request(self._gate(step.who), number)
            self.requests.append(request)
            request.start(now_ns, came if self.fleet else self._as_indices(came))
            self._turn()
            if request.said and request.said[-1][0] == "DIVERT":
                other = Request(self._gate(step.who, 1), number)
                self.requests.append(other)
                other.start(now_ns, came if self.fleet else self._as_indices(came))
            return
        held = [x for x in self.requests if x.lease is not None]
        if not held:
            return
        chosen = held[step.who % len(held)]
        if step.what == "leave":
            self._spread(chosen.leave(now_ns))
        elif not chosen.is_open:
            return
        elif step.what == "begun":
            assert chosen.lease is not None
            chosen.gate.answered(now_ns, chosen.lease, 200)
        elif step.what == "moved":
            self._move(chosen)
        elif step.what == "done":
            self._spread(chosen.depart(now_ns, Outcome.COMPLETED, 200))
        elif step.what == "failed":
            self._spread(chosen.depart(now_ns, Outcome.FAILED, 500))
        else:
            chosen.gate.refused.note(now_ns)
            self._spread(chosen.depart(now_ns, Outcome.REFUSED, 429))

    def _move(self, request: Request) -> None:
        """Let an endpoint fail a call before its answer."""
        assert request.lease is not None
        decision, followers = request.gate.reroute(self.now_ns, request.lease, Verdict.FAILED)
        if self.fleet is None:
            if decision is not None:
                request.take(decision)
            self._spread(followers)

    def _tick(self, now_ns: int) -> None:
        if self.fleet is not None:
            self.fleet.host.drain()
            self.fleet.host.tick(now_ns)
            self._turn()
            return
        for gate in self.gates:
            self._spread(gate.tick(now_ns))

    def _turn(self) -> None:
        if self.fleet is not None:
            self.fleet.turn()

    def _gate(self, who: int, idx: int = 0) -> Any:
        if self.fleet is None:
            return self.gates[idx]
        return self.fleet.remote[who % len(self.fleet.remote)][idx]

    def _as_indices(self, came: Arrival) -> Arrival:
        tables = self.identities
        came.tenant = tables.tenants.index(came.tenant, self.now_ns)
        came.flow = tables.flows.index(came.flow, self.now_ns)
        came.tree = tables.trees.index(came.tree, self.now_ns)
        return came

    @staticmethod
    def _spread(decisions: Any) -> None:
        for decision in decisions:
            told: Decision = decision
            told.lease.owner.take(told)


@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@pytest.mark.parametrize("kind", ["one", "fixed", "spread"])
@given(steps=STEPS, n_workers=st.integers(2, 4))
def test_as_many_workers_as_there_are_they_decide_as_one(
    kind: str, steps: list[Step], n_workers: int
) -> None:
    """Every decision, every reading, every count: spread over workers, as in one process."""
    one, many = World(kind, 0), World(kind, n_workers)
    assert many.play(steps) == one.play(steps)
    assert many.read() == one.read()
    assert many.fleet is not None
    many.fleet.close()
