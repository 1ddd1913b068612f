"""A gate of several endpoints with fixed limits and silent signals, and what tests ask of it."""

from __future__ import annotations

from typing import Any

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Lease
from governor.core.spread import SpreadGate
from policies.decision import Action
from policies.ejection import Verdict
from policies.limit import FixedLimit
from tests.core.test_gate import SilentSignals, make_gate

MS = 1_000_000
S = 1_000_000_000
UNREACHED, FAILED = Verdict.UNREACHED, Verdict.FAILED


def make(n: int = 3, limit: int = 2, seed: int = 1, **options: Any) -> SpreadGate:
    """Return a gate over ``n`` endpoints with fixed limits and silent signals."""
    plain = make_gate()
    limits = [FixedLimit(limit) for _ in range(n)]
    return SpreadGate(
        "tools", limits, SilentSignals(), plain.identities, reroute_seed=seed, **options
    )


def admit(gate: Gate, now_ns: int = 0, **shape: Any) -> Lease:
    """Let one request arrive that is admitted."""
    decision = gate.arrive(now_ns, Arrival(**shape))
    assert decision.action is Action.ADMIT
    return decision.lease


def unreached(gate: SpreadGate, idx: int, now_ns: int) -> None:
    """Let an endpoint be found unreachable, twice."""
    for _ in range(2):
        gate.endpoints[idx].health.failed(now_ns, object(), is_unreached=True)
    gate.routing.look_again()


def in_flight(gate: Gate) -> list[int]:
    """Return what is in flight by endpoint."""
    return [x.in_flight for x in gate.endpoints]


def pair(n: int = 1, limit: int = 1, **options: Any) -> tuple[SpreadGate, Gate]:
    """Return a gate and its fallback."""
    gate, other = make(n, limit, **options), make_gate(limit=4)
    gate.fallback = other
    return gate, other
