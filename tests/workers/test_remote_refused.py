"""What workers ask about refusals of the upstream: slots from one schedule, and waiting out."""

from __future__ import annotations

import pytest

from governor.core.lease import make_lease
from governor.workers.link import ASK_S
from policies.decision import Action, Outcome, Reason
from tests.workers.rig import MS, Fleet, Request, S, arrival, ask


def test_a_refusal_outside_a_storm_is_nobodys_business(fleet: Fleet) -> None:
    """The keeper hears of it; nobody waits for what it says."""
    request = ask(fleet, 0)
    fleet.turn()
    remote = fleet.remote[0][0]
    remote.refused.note(fleet.now_ns)
    assert request.lease is not None
    assert remote.refused.answer(fleet.now_ns, request.lease, 429, 0) is None
    fleet.turn()
    assert fleet.gates[0].refused.n_refused == 1


def storm(fleet: Fleet) -> None:
    """Let the upstream refuse until its refusals come as a storm."""
    for _ in range(60):
        fleet.now_ns += 10 * MS
        fleet.remote[0][0].refused.note(fleet.now_ns)
        fleet.turn()
    assert fleet.board.refusals[0]


def test_in_a_storm_each_caller_gets_a_slot_of_its_own_whichever_worker_it_is_at(
    fleet: Fleet,
) -> None:
    """Slots come from one schedule."""
    requests = [ask(fleet, row, who) for who, row in ((1, 0), (2, 1))]
    fleet.turn()
    storm(fleet)
    found = []
    for request in requests:
        assert request.lease is not None
        decision = request.gate.refused.answer(fleet.now_ns, request.lease, 429, 0)
        assert decision is not None
        assert decision.reason is Reason.SLOT_GIVEN
        found.append(decision.retry_after_ns)
    assert found[0] != found[1]
    assert fleet.gates[0].refused.n_slots == 2


def test_who_shares_a_call_gets_a_slot_too(fleet: Fleet) -> None:
    """The keeper has never heard of it: the whole arrival is sent."""
    storm(fleet)
    lease = make_lease(arrival(7), fleet.now_ns, 0, Request(fleet.remote[1][0]))
    decision = fleet.remote[1][0].refused.answer(fleet.now_ns, lease, 503, 0)
    assert decision is not None
    assert decision.retry_after_ns > 0


def test_a_refusal_is_waited_out_and_its_place_given_back(fleet: Fleet) -> None:
    """Its claim goes on under the same number; at its instant it is sent again."""
    request = ask(fleet, 0)
    fleet.turn()
    assert request.lease is not None
    taken = request.gate.refused.absorb(fleet.now_ns, request.lease, 200 * MS, 2 * S)
    assert taken is not None
    decision, followers = taken
    assert (decision.action, decision.reason, followers) == (Action.WAIT, Reason.ABSORBED, ())
    request.lease = decision.lease
    fleet.turn()
    assert fleet.gates[0].in_flight == 0 == fleet.board.opens[0][0]
    for _ in range(60):
        fleet.now_ns += 50 * MS
        fleet.host.tick(fleet.now_ns)
        fleet.turn()
    assert request.said[-1][:2] == ("ADMIT", "absorbed")
    request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    assert fleet.gates[0].in_flight == 0


def test_nobody_waits_long_for_a_keeper_that_does_not_answer(fleet: Fleet) -> None:
    """The refusal goes on as it came, and for a second nobody asks again."""
    request = ask(fleet, 0)
    fleet.turn()
    storm(fleet)
    link = fleet.links[0]
    waits: list[float] = []

    def sleep(left_s: float) -> bool:
        waits.append(left_s)
        fleet.now_ns += int(left_s * 1e9)
        return False

    link.wait = sleep
    assert request.lease is not None
    for _ in range(3):
        assert request.gate.refused.answer(fleet.now_ns, request.lease, 429, 0) is None
    assert sum(waits) == pytest.approx(ASK_S)
    assert request.gate.refused.absorb(fleet.now_ns, request.lease, 0, S) is None
    fleet.turn()  # the late answer is for nobody
    request.depart(fleet.now_ns, Outcome.REFUSED, 429)
    fleet.turn()
    assert fleet.gates[0].in_flight == 0
