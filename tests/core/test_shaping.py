"""Who yields to whom, through the whole gate on a made-up time axis."""

from __future__ import annotations

from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.bands import Band, band_of
from governor.core.gate import Gate
from governor.core.lease import Decision, Untouched
from governor.core.shaping import Modes, Shaping
from policies.decision import Action, Outcome, Reason
from policies.herd import BOUND_MIN, HOLD_MAX_NS, Herd
from policies.limit import AdaptiveLimit
from policies.limit.shared import SharedLimit
from tests.core.test_gate import make_gate

MS = 1_000_000
S = 1_000_000_000
BRIEF, LONG = 3, 5


def crowd(gate: Gate, now_ns: int, n: int) -> list[Decision]:
    """Let ``n`` different callers arrive at one instant."""
    return [gate.arrive(now_ns, Arrival(tenant=1, flow=1 + k % 9)) for k in range(n)]


def finish(gate: Gate, now_ns: int, decision: Decision) -> list[Decision]:
    """Let a call end well."""
    return list(gate.depart(now_ns, decision.lease, Outcome.COMPLETED, 200))


def lengthen(gate: Gate, now_ns: int, n_rounds: int = 40) -> int:
    """Teach the gate that LONG calls take 20 s and BRIEF ones 50 ms; return when it ends."""
    for _ in range(n_rounds):
        long = gate.arrive(now_ns, Arrival(tenant=1, flow=1, kind=LONG))
        for step in range(10):
            brief = gate.arrive(now_ns + step * 2 * S, Arrival(tenant=2, flow=2, kind=BRIEF))
            finish(gate, now_ns + step * 2 * S + 50 * MS, brief)
            gate.tick(now_ns + step * 2 * S + 100 * MS)
        now_ns += 20 * S
        finish(gate, now_ns, long)
        gate.tick(now_ns)
    return now_ns


def hang(gate: Gate, now_ns: int) -> tuple[int, list[Decision]]:
    """Let BRIEF and LONG calls take 50 ms for 20 s, then LONG ones hang for 1 s; return who waits.

    Both come at 20 a second, each by another caller.
    """
    waiting = []
    live: list[Decision] = []
    for step in range(420):
        hangs = step >= 400
        for done in live:
            finish(gate, now_ns, done)
        live = []
        for kind, flow in ((BRIEF, 1 + step % 4), (LONG, 5 + step % 4)):
            decision = gate.arrive(now_ns + flow * MS, Arrival(tenant=1, flow=flow, kind=kind))
            if decision.action is Action.WAIT:
                waiting.append(decision)
            elif not (hangs and kind == LONG):
                live.append(decision)
        now_ns += 50 * MS
        gate.tick(now_ns)
    return now_ns, waiting


def test_a_hung_kind_waits_beside_free_places_until_it_is_answered() -> None:
    """Others are admitted; its calls wait as contained, and go with its first answer."""
    gate = make_gate(limit=100)
    now_ns, waiting = hang(gate, S)
    assert {d.reason for d in waiting} == {Reason.CONTAINED}
    assert {band_of(d.lease) for d in waiting} == {Band.HUNG}
    assert gate.in_flight < 20
    other = gate.arrive(now_ns, Arrival(tenant=1, flow=1, kind=BRIEF))
    assert other.action is Action.ADMIT
    finish(gate, now_ns + 50 * MS, other)
    gate.shaping.containment.kinds[LONG].n_begun += 1
    granted = gate.tick(now_ns + 100 * MS)
    assert [d.lease for d in granted] == [d.lease for d in waiting]


def test_who_comes_by_itself_goes_before_the_crowd() -> None:
    """Of 60 that arrive at once all but the first wait behind one that comes after them."""
    gate = make_gate(limit=4)
    decisions = crowd(gate, S, 60)
    waiting = [d for d in decisions if d.action is Action.WAIT]
    in_crowd = [d for d in waiting if band_of(d.lease) is Band.CROWD]
    assert len(in_crowd) == 60 - BOUND_MIN
    late = gate.arrive(S + 30 * MS, Arrival(tenant=2, flow=8))
    running, order = decisions[:4], []
    for n in range(6):
        [granted] = finish(gate, S + 100 * MS + n * MS, running[n])
        running.append(granted)
        order.append(granted.lease)
    assert order.index(late.lease) <= BOUND_MIN - 4
    assert {band_of(lease) for lease in order[:5]} == {Band.OWN}


def make_third(total: int) -> Gate:
    """Return a gate that holds a third of what has been learned of an upstream."""
    gate = make_gate()
    limit = SharedLimit(AdaptiveLimit(1))
    limit.divide(1 / 3, 0, 3)
    limit.follow(0, total, float(total), True)
    gate.endpoints[0].limit = limit
    return gate


def test_of_a_fleet_one_that_comes_by_itself_goes_before_a_place_is_free() -> None:
    """A crowd waits for the next one, which is not given away; a second caller waits too."""
    gate = make_third(27)
    decisions = crowd(gate, S, 60)
    running = [d for d in decisions if d.action is Action.ADMIT]
    assert len(running) == gate.limit == 9
    gate.tick(S + 10 * MS)
    first, second = (gate.arrive(S + 30 * MS, Arrival(tenant=2, flow=x)) for x in (8, 7))
    assert (first.action, first.reason) == (Action.ADMIT, Reason.UNTOUCHED)
    assert (second.action, second.reason) == (Action.WAIT, Reason.OVER_LIMIT)
    assert finish(gate, S + 100 * MS, running[0]) == []
    [granted] = finish(gate, S + 101 * MS, running[1])
    assert granted.lease is second.lease
    assert gate.in_flight == 9


def test_where_no_crowd_waits_nobody_goes_ahead() -> None:
    """Callers that are alike wait for each other; so does who comes when a crowd has gone."""
    gate = make_third(27)
    alike = [gate.arrive(S + k * 50 * MS, Arrival(tenant=1, flow=1 + k % 9)) for k in range(11)]
    assert [d.action for d in alike] == [Action.ADMIT] * 9 + [Action.WAIT] * 2


def test_a_crowd_leaves_the_last_places_for_200_ms() -> None:
    """Then it takes them too; who comes by itself takes them at once."""
    gate = make_gate(limit=40)
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50 * MS)
    decisions = crowd(gate, S, 60)
    waiting = [d for d in decisions if d.action is Action.WAIT]
    assert len(waiting) == 60 - 30  # a quarter of 40 is kept
    assert {d.reason for d in waiting} == {Reason.HELD}
    own = gate.arrive(S + 50 * MS, Arrival(tenant=2, flow=8))
    assert own.action is Action.ADMIT
    assert not gate.tick(S + HOLD_MAX_NS - MS)
    assert len(gate.tick(S + HOLD_MAX_NS)) == 9
    assert gate.in_flight == 40


def test_where_there_is_room_a_crowd_is_not_held() -> None:
    """Fifty at once at a service that takes a thousand, by the short way that all others take."""
    gate = make_gate(limit=1000)
    decisions = crowd(gate, S, 50)
    assert gate.shaping.herd.n_marked > 0
    assert {type(decision) for decision in decisions} == {Untouched}


def test_long_calls_leave_room_for_brief_ones() -> None:
    """The long ones that come at once do not get all places, and are told why they wait."""
    gate = make_gate(limit=8)
    now_ns = lengthen(gate, S)
    longs = [
        gate.arrive(now_ns + k * S, Arrival(tenant=1, flow=1 + k, kind=LONG)) for k in range(8)
    ]
    assert [d.reason for d in longs].count(Reason.CONTAINED) >= 1
    kept = gate.shaping.containment.kept_places
    assert sum(d.action is Action.ADMIT for d in longs) == 8 - kept
    brief = gate.arrive(now_ns + 9 * S, Arrival(tenant=2, flow=9, kind=BRIEF))
    assert brief.action is Action.ADMIT
    finish(gate, now_ns + 9 * S + 50 * MS, brief)
    admitted = next(d for d in longs if d.action is Action.ADMIT)
    [granted] = finish(gate, now_ns + 10 * S, admitted)
    assert band_of(granted.lease) is Band.LONG


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_policy_that_does_not_govern_lets_everybody_through(mode: str) -> None:
    """Observed, it is counted under its reason; off, it is not even that."""
    gate = make_gate(limit=40, shaping=Shaping(Modes(hold=mode, contain=mode)))
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50 * MS)
    decisions = crowd(gate, S, 40)
    assert {d.action for d in decisions} == {Action.ADMIT}
    assert (Reason.HELD in gate.ledger.n_observed) == (mode == "observe")


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_limit_that_does_not_govern_admits_beyond_it(mode: str) -> None:
    """Nobody waits; observed, each beyond the limit is counted, and places are booked as ever."""
    gate = make_gate(limit=2, shaping=Shaping(Modes(limit=mode)))
    decisions = [gate.arrive(S + n * S, Arrival(tenant=1, flow=1 + n)) for n in range(5)]
    assert {d.action for d in decisions} == {Action.ADMIT}
    assert gate.in_flight == 5
    seen = {Reason.OVER_LIMIT: 3} if mode == "observe" else {}
    assert gate.ledger.n_observed == seen
    assert gate.ledger.n_untouched == 5 - sum(seen.values())
    for decision in decisions:
        finish(gate, 9 * S, decision)
    assert gate.in_flight == 0


def test_a_crowd_still_yields_where_the_limit_only_observes() -> None:
    """It waits its 200 ms beside the kept places, then goes, however full it is."""
    gate = make_gate(limit=40, shaping=Shaping(Modes(limit="observe")))
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50 * MS)
    decisions = crowd(gate, S, 60)
    assert {d.reason for d in decisions if d.action is Action.WAIT} == {Reason.HELD}
    gate.tick(S + HOLD_MAX_NS)
    assert gate.in_flight == 60
    assert gate.line_length == 0


def test_a_ramp_that_only_observes_counts_what_it_would_hold() -> None:
    """As many would go as if it governed; nobody waits, and the bucket is not overdrawn."""
    gate = make_gate(limit=100, shaping=Shaping(Modes(acceleration="observe"), acceleration=2.0))
    gate.tick(0)
    decisions = [gate.arrive(S + n * 30 * MS, Arrival(tenant=1, flow=1 + n % 9)) for n in range(10)]
    assert {d.action for d in decisions} == {Action.ADMIT}
    assert [d.observed for d in decisions] == [None] + [Reason.ACCELERATING] * 9
    gate.tick(2 * S)
    assert gate.shaping.acceleration is not None
    assert gate.shaping.acceleration.has_room
    off = make_gate(limit=100, shaping=Shaping(Modes(acceleration="off"), acceleration=2.0))
    assert off.shaping.acceleration is None


def test_a_route_may_say_otherwise_than_the_file() -> None:
    """The switches that a request carries count for it alone."""
    gate = make_gate(limit=40)
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50 * MS)
    own = {"govern": -1, "observe": Modes(hold="observe").pack(), "off": Modes(hold="off").pack()}
    states = ["govern", "observe", "off"] * 20
    decisions = [
        gate.arrive(S, Arrival(tenant=1, flow=1 + k % 9, switches=own[state]))
        for k, state in enumerate(states)
    ]
    held = [state for state, d in zip(states, decisions, strict=True) if d.reason is Reason.HELD]
    assert set(held) == {"govern"}
    assert gate.ledger.n_observed[Reason.HELD] > 0


def test_a_route_bounds_the_wait_of_its_own_requests() -> None:
    """The others wait as long as the upstream lets them."""
    gate = make_gate(limit=1, max_wait_ns=3 * S)
    gate.arrive(S, Arrival())
    brief = gate.arrive(S, Arrival(max_wait_ns=100 * MS))
    other = gate.arrive(S, Arrival())
    assert [d.lease for d in gate.tick(S + 150 * MS)] == [brief.lease]
    assert [d.lease for d in gate.tick(4 * S)] == [other.lease]


def test_demand_accelerates_no_faster_than_configured() -> None:
    """Beyond the ramp a call waits though places are free, and goes when the ramp allows."""
    gate = make_gate(limit=100, shaping=Shaping(acceleration=2.0))
    gate.tick(0)
    decisions = [gate.arrive(S + n * 30 * MS, Arrival(tenant=1, flow=1 + n % 9)) for n in range(10)]
    assert [d.action for d in decisions].count(Action.ADMIT) == 1
    assert decisions[-1].reason is Reason.ACCELERATING
    granted = [d for n in range(40) for d in gate.tick(S + 500 * MS + n * 50 * MS)]
    assert 1 <= len(granted) <= 4


def test_callers_held_back_are_never_held() -> None:
    """They go beyond the limit, and both arms are counted."""
    shaping = Shaping(holdback_share=0.5)
    gate = make_gate(limit=1, shaping=shaping)
    flows = range(1, 10)
    decisions = [gate.arrive(S, Arrival(tenant=1, flow=flow)) for flow in flows]
    for flow, decision in zip(flows, decisions, strict=True):
        if shaping.holdback.is_held_back(flow):
            assert decision.reason is Reason.HELD_BACK
            finish(gate, 2 * S, decision)
    assert shaping.holdback.n[1] == shaping.holdback.n_good[1] > 0


@pytest.mark.interpreted
def test_a_policy_that_raises_lets_the_request_through() -> None:
    """The fault is counted; nothing else is lost."""

    class Broken(Shaping):
        """Raises where it is asked."""

        def band(self, *_: Any) -> Band:
            """Fail."""
            raise ZeroDivisionError

        def tick(self, *_: Any) -> None:
            """Fail."""
            raise ZeroDivisionError

    gate = make_gate(limit=1, shaping=Broken())
    decisions = crowd(gate, S, 3)
    assert [d.action for d in decisions] == [Action.ADMIT] * 3
    gate.tick(S)
    assert gate.ledger.n_faults == 3


@pytest.mark.interpreted
def test_a_count_of_crowds_that_raises_lets_the_request_through() -> None:
    """It stands on every request's way; the lease is made, counted and closed like any other."""

    class Broken(Herd):
        """Raises where it counts."""

        def note(self, now_ns: int, flow: int) -> bool:
            """Fail."""
            raise ZeroDivisionError

    shaping = Shaping()
    shaping.herd = Broken()
    gate = make_gate(limit=4, shaping=shaping)
    [decision] = crowd(gate, S, 1)
    assert (decision.action, gate.ledger.n_faults) == (Action.ADMIT, 1)
    finish(gate, 2 * S, decision)
    assert gate.in_flight == 0


def test_a_fan_out_over_fresh_names_goes_behind_those_with_a_past() -> None:
    """The first newcomers go before a caller that has had service, the many behind it."""
    gate = make_gate(limit=1)
    for n in range(20):
        finish(gate, n * S + 200 * MS, gate.arrive(n * S, Arrival(tenant=1, flow=9)))
        gate.tick(n * S + 500 * MS)
    busy = gate.arrive(30 * S, Arrival(tenant=1, flow=8))
    new = [gate.arrive(30 * S + n * 50 * MS, Arrival(tenant=1, flow=1 + n % 7)) for n in range(35)]
    known = gate.arrive(32 * S, Arrival(tenant=1, flow=9))
    order = []
    running = busy
    for n in range(36):
        [running] = finish(gate, 32 * S + n * 10 * MS, running)
        order.append(running.lease)
    assert 3 <= order.index(known.lease) <= 25
    assert order.index(new[0].lease) < order.index(known.lease)


def test_who_a_broken_back_end_refuses_is_invited_by_its_kind() -> None:
    """Where refusals spare some, a kind returns at a third of what is usually asked of it."""
    shaping = Shaping()
    shaping.containment.meet(BRIEF).hang.told_hz = 60.0
    assert shaping.returning_hz(S, BRIEF, 500.0, 100.0) == 500.0
    shaping.scope.partial_until_ns = 2 * S
    assert shaping.returning_hz(S, BRIEF, 500.0, 100.0) == pytest.approx(120.0)
    assert shaping.returning_hz(S, BRIEF, 110.0, 100.0) == 110.0
    assert shaping.returning_hz(S, BRIEF, 0.0, 100.0) == pytest.approx(120.0)
    assert shaping.returning_hz(S, LONG, 500.0, 100.0) == 500.0
    assert shaping.returning_hz(2 * S, BRIEF, 500.0, 100.0) == 500.0
