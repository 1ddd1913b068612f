"""Policies in pairs, in the order that :mod:`governor.core.shaping` tells.

*Rule of this file*: two policies that both have something to say of one call; the gate on a
made-up time axis. What each does alone is told by the tests of its own file.
"""

from __future__ import annotations

import pytest

from bench.fleet.simulation import make_gates
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, LeaseState
from governor.core.restraint import impose
from policies.decision import Action, Outcome, Reason
from policies.herd import BOUND_MIN
from policies.limit.shared import SharedLimit
from tests.core.test_gate import MS, S, make_gate

HANGS = 7
"""A kind."""


def with_quota(limit: int = 100) -> Gate:
    """Return a gate that has found its upstream to accept 100 calls a second, one token left."""
    gate = make_gate(limit=limit)
    quota = gate.shaping.quota
    for n in range(40):
        quota.on_refused(n * 10 * MS, n * 10 * MS, n)
    gate.tick(400 * MS)
    assert quota.is_known
    assert quota.rate_hz == pytest.approx(100.0, rel=0.1)
    return gate


def with_hung(limit: int, cap: int, **options: int) -> Gate:
    """Return a gate with a kind that hangs, of which ``cap`` calls may be in flight."""
    gate = make_gate(limit=limit, **options)
    containment = gate.shaping.containment
    kind = containment.meet(HANGS)
    kind.hang.is_hung, gate.shaping.is_calm = True, False
    containment._hung, containment.hung_cap = [kind], cap
    return gate


def reasons(decisions: list[Decision]) -> list[Reason]:
    """Return why."""
    return [decision.reason for decision in decisions]


def test_quota_and_hold_an_empty_bucket_binds_whoever_comes() -> None:
    """The reason of the crowd, too, is the quota while it has no token, not the hold."""
    gate = with_quota()
    herd = [gate.arrive(401 * MS, Arrival(flow=1 + n % 9)) for n in range(BOUND_MIN + 30)]
    waiting = [x for x in herd if x.action is Action.WAIT]
    assert set(reasons(waiting)) == {Reason.OVER_QUOTA}
    assert gate.shaping.herd.n_marked > 0
    assert gate.in_flight < BOUND_MIN + 30


def test_quota_and_hold_a_token_goes_to_who_came_by_itself() -> None:
    """Before a crowd that was there first, but for every eighth; and nobody of it is lost."""
    gate = with_quota()
    herd = [gate.arrive(401 * MS, Arrival(flow=1)) for _ in range(60)]
    own = gate.arrive(440 * MS, Arrival(flow=9)).lease
    n_marked = gate.shaping.herd.n_marked
    granted = [x.lease for n in range(30) for x in gate.tick(450 * MS + n * 50 * MS)]
    n_before = granted.index(own)
    n_unmarked = len(herd) - n_marked
    assert n_marked >= 40
    assert n_before <= n_unmarked + n_unmarked // 7 + 1
    assert {x.lease.state for x in herd} == {LeaseState.OPEN}


def test_hang_and_defer_the_others_go_by() -> None:
    """Calls that would hang wait beside free places; others neither wait nor queue behind them."""
    gate = with_hung(limit=10, cap=2)
    hung = [gate.arrive(S, Arrival(flow=1, kind=HANGS)) for _ in range(5)]
    assert reasons(hung)[2:] == [Reason.CONTAINED] * 3
    others = [gate.arrive(S, Arrival(flow=2 + n, kind=1)) for n in range(8)]
    assert {x.action for x in others} == {Action.ADMIT}
    late = gate.arrive(S, Arrival(flow=3, kind=1))
    assert late.reason is Reason.OVER_LIMIT
    [granted] = gate.depart(2 * S, others[0].lease, Outcome.COMPLETED, 200)
    assert granted.lease is late.lease
    assert not gate.depart(2 * S, others[1].lease, Outcome.COMPLETED, 200)


def test_hang_and_defer_what_would_hang_is_sent_away_first() -> None:
    """Of a line that is too long, whatever else waits and whichever came first."""
    gate = with_hung(limit=4, cap=1, patience_ns=2 * S)
    for _ in range(4):
        gate.arrive(S, Arrival(flow=9, kind=1))
    own = [gate.arrive(S, Arrival(flow=1 + n % 8, kind=1)) for n in range(30)]
    hung = [gate.arrive(S, Arrival(flow=9, kind=HANGS)).lease for _ in range(5)]
    gate.dispatcher.capacity_hz = 34.0
    lost = []
    while lease := gate.dispatcher.next_surplus():
        lost.append(lease)
        gate.send_away(S, lease, Reason.LINE_TOO_LONG)
    assert lost
    assert set(lost) <= set(hung)
    assert {x.lease.state for x in own} == {LeaseState.PENDING}


def test_restrained_and_hang_a_held_flow_does_not_pass_the_cap_of_the_hung() -> None:
    """What was parked joins the line among the hung, and waits there beside free places."""
    gate = with_hung(limit=10, cap=1)
    gate.arrive(S, Arrival(flow=2, kind=HANGS))
    impose(gate.identities, 3, 1)
    first = gate.arrive(S, Arrival(flow=3, kind=1))
    parked = gate.arrive(S, Arrival(flow=3, kind=HANGS))
    assert parked.reason is Reason.CAPPED
    gate.depart(S + MS, first.lease, Outcome.COMPLETED, 200)
    gate.restrained.release(S + 2 * MS)
    assert gate.fill(S + 2 * MS) == []
    assert parked.lease.state is LeaseState.PENDING
    assert gate.line_length == 1


def test_restrained_and_absorb_a_call_waited_out_is_still_its_flows() -> None:
    """Its place at the endpoint is free, its place of its flow is not; and it is not parked."""
    gate = make_gate(limit=4)
    impose(gate.identities, 3, 1)
    first = gate.arrive(S, Arrival(flow=3, patience_ns=9 * S))
    gate.refused.note(S)
    taken = gate.refused.absorb(S, first.lease, 400 * MS, 2 * S)
    assert taken is not None
    again = taken[0].lease
    assert gate.in_flight == 0
    beyond = gate.arrive(S + MS, Arrival(flow=3))
    assert (beyond.action, beyond.reason) == (Action.WAIT, Reason.CAPPED)
    granted: list[Decision] = []
    now_ns = S
    while not granted and now_ns < 4 * S:
        now_ns += 50 * MS
        granted += gate.tick(now_ns)
    assert [x.lease for x in granted] == [again]
    assert beyond.lease.state is LeaseState.PENDING
    gate.depart(now_ns + MS, again, Outcome.COMPLETED, 200)
    [late] = gate.tick(now_ns + 50 * MS)
    assert late.lease is beyond.lease
    assert late.action is Action.ADMIT


def test_hang_and_absorb_a_call_waited_out_comes_back_among_the_hung() -> None:
    """Its kind began to hang meanwhile: then its slot is no way past the cap."""
    gate = make_gate(limit=4)
    first = gate.arrive(S, Arrival(flow=1, kind=HANGS, patience_ns=9 * S))
    gate.refused.note(S)
    taken = gate.refused.absorb(S, first.lease, 400 * MS, 2 * S)
    assert taken is not None
    other = gate.arrive(S, Arrival(flow=2, kind=HANGS))
    containment = gate.shaping.containment
    containment.kinds[HANGS].hang.is_hung = True
    containment._hung, containment.hung_cap = [containment.kinds[HANGS]], 1
    gate.refused.release(3 * S)
    assert gate.fill(3 * S) == []
    [granted] = gate.depart(3 * S, other.lease, Outcome.COMPLETED, 200)
    assert granted.lease is taken[0].lease


@pytest.mark.parametrize("ceiling", [32, 0])
def test_limit_and_quota_a_refusal_beyond_the_ceiling_speaks_for_no_rate(ceiling: int) -> None:
    """In a fleet, however long it is refused; without a ceiling the same calls tell a quota."""
    [gate] = make_gates(1, 64, 1, is_shared=True)
    limit = gate.endpoints[0].limit
    assert isinstance(limit, SharedLimit)
    limit.hear(S, 40, int(ceiling > 0), ceiling)
    if not ceiling:
        limit.lift(S)
    for n in range(60):
        now_ns = S + n * 10 * MS
        lease = gate.arrive(now_ns, Arrival(flow=1)).lease
        status = 503 if n % 3 == 0 else 200
        outcome = Outcome.REFUSED if status == 503 else Outcome.COMPLETED
        gate.depart(now_ns + MS, lease, outcome, status)
    gate.tick(2 * S)
    assert gate.shaping.quota.is_known is not bool(ceiling)
