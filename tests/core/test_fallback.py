"""Another upstream takes what this one cannot: when all is out, or the line is too long."""

from __future__ import annotations

from governor.core.arrival import Arrival
from governor.core.lease import LeaseState
from policies.decision import Action, Outcome, Reason
from policies.ejection import REST_NS
from tests.core.several_endpoints import MS, UNREACHED, S, admit, pair, unreached


def test_a_single_endpoint_that_is_out_sends_to_the_fallback() -> None:
    """The call that found out goes too; a probe tells when it is back."""
    gate, other = pair(limit=4)
    for _ in range(2):
        lease = admit(gate)
        decision, _ = gate.reroute(MS, lease, UNREACHED)
        assert decision is not None
        assert (decision.action, decision.reason) == (Action.DIVERT, Reason.FALLBACK)
        assert lease.state is LeaseState.CLOSED
    decision = gate.arrive(2 * MS, Arrival())
    assert (decision.action, decision.reason) == (Action.DIVERT, Reason.FALLBACK)
    assert gate.arrive(2 * MS, Arrival(is_exempt=True)).action is Action.DIVERT
    assert (gate.in_flight, gate.ledger.n_diverted) == (0, 4)
    later_ns = MS + REST_NS
    probe = admit(gate, later_ns)
    assert gate.arrive(later_ns, Arrival()).action is Action.DIVERT
    gate.depart(later_ns + MS, probe, Outcome.COMPLETED, 200)
    admit(gate, later_ns + MS)
    assert other.ledger.n_arrived == 0  # the rim asks it, not this gate


def test_those_who_wait_are_diverted_when_all_is_out() -> None:
    """Nobody waits for an upstream that is out of use while there is a fallback."""
    gate, _ = pair(limit=1)
    first = admit(gate)
    waiting = [gate.arrive(0, Arrival()).lease for _ in range(3)]
    unreached(gate, 0, MS)
    decisions = gate.tick(50 * MS)
    assert [x.lease for x in decisions] == waiting
    assert {x.action for x in decisions} == {Action.DIVERT}
    gate.depart(60 * MS, first, Outcome.COMPLETED, 200)
    assert (gate.in_flight, gate.line_length) == (0, 0)


def test_a_full_line_overflows_into_a_fallback_with_room() -> None:
    """Instead of an answer; without room there, the answer."""
    gate, other = pair(limit=1, max_waiting=1)
    admit(gate)
    gate.arrive(0, Arrival())
    assert gate.arrive(0, Arrival()).action is Action.DIVERT
    for _ in range(4):
        admit(other)
    decision = gate.arrive(0, Arrival())
    assert (decision.action, decision.reason) == (Action.ANSWER, Reason.LINE_FULL)


def test_a_line_too_long_gives_as_many_as_the_fallback_takes() -> None:
    """No more of them than it has free places; the others are answered."""
    gate, _ = pair(limit=4, patience_ns=2 * S)
    now_ns = 0
    for _ in range(30):
        leases = [admit(gate, now_ns) for _ in range(4)]
        gate.tick(now_ns + 50 * MS)
        now_ns += 100 * MS
        for lease in leases:
            gate.depart(now_ns, lease, Outcome.COMPLETED, 200)
    for _ in range(4 + 100):
        gate.arrive(now_ns, Arrival())
    actions = [x.action for x in gate.tick(now_ns + 50 * MS)]
    assert actions[:4] == [Action.DIVERT] * 4
    assert set(actions[4:]) == {Action.ANSWER}


def test_observing_moves_nothing() -> None:
    """What would be rerouted or diverted is counted; the roomiest endpoint is taken."""
    gate, _ = pair(n=2, limit=4, is_observing=True)
    lease = admit(gate)
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    unreached(gate, 0, MS)
    unreached(gate, 1, MS)
    assert gate.reroute(MS, lease, UNREACHED) == (None, ())
    assert gate.arrive(2 * MS, Arrival()).action is Action.ADMIT
    assert gate.ledger.n_observed[Reason.REROUTED] == 1
    assert gate.ledger.n_observed[Reason.FALLBACK] >= 1
    assert gate.ledger.n_diverted == gate.ledger.n_rerouted == 0
