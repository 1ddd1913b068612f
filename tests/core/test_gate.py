"""The gate on a made-up time axis: one outcome each, work-conserving, explained, fail-open."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision, Lease, LeaseState
from policies.decision import Action, Outcome, Reason
from policies.limit import FixedLimit
from signals import FAILED, GONE, LEFT
from signals.calls import ATTEMPT_BITS

MS = 1_000_000
S = 1_000_000_000


class SilentSignals:
    """Signals that see nothing, or that are broken."""

    boundary_ns = 1 << 62
    root = 0
    is_settled = True

    def __init__(self, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.noted: list[tuple[int, int]] = []

    def arrive(
        self,
        root: int,
        now_ns: int,
        tenant: int,
        flow: int,
        tree: int,
        fingerprint: int,
        attempt: int,
        *_: Any,
    ) -> int:
        """Believe the marks; the handle tells the flow."""
        if self.is_broken:
            raise ZeroDivisionError
        return flow << ATTEMPT_BITS | max(attempt, 0)

    def note(self, root: int, kind: int, now_ns: int, call: int, value: int) -> int:
        """Remember what happened to whose call."""
        if self.is_broken:
            raise ZeroDivisionError
        self.noted.append((kind, call >> ATTEMPT_BITS))
        return 1

    def tick(self, now_ns: int) -> None:
        """Look across no window."""
        if self.is_broken:
            raise ZeroDivisionError

    def is_storm(self) -> bool:
        """Foretell nothing."""
        return False

    def organic_hz(self) -> float:
        """Return no organic demand."""
        return 0.0

    def forecast_hz(self) -> tuple[float, ...]:
        """Expect nobody."""
        return (0.0,)


def make_gate(limit: int = 2, n_endpoints: int = 1, **options: Any) -> Gate:
    """Return a gate with fixed limits and silent signals."""
    signals = options.pop("signals", SilentSignals())
    limits = [FixedLimit(limit) for _ in range(n_endpoints)]
    identities = Identities(64, 64, 64)
    for table in (identities.tenants, identities.flows, identities.trees):
        for key in range(1, 10):
            table.index(key, 0)
    return Gate("tools", limits, signals, identities, **options)


def fill(gate: Gate, n: int, now_ns: int = 0, **shape: Any) -> list[Decision]:
    """Let ``n`` like requests arrive at once."""
    return [gate.arrive(now_ns, Arrival(**shape)) for _ in range(n)]


def test_admits_at_once_while_there_is_room() -> None:
    """Up to the limit an arrival is untouched; the next one waits."""
    gate = make_gate(limit=2)
    decisions = fill(gate, 3)
    assert [d.action for d in decisions] == [Action.ADMIT, Action.ADMIT, Action.WAIT]
    assert [d.reason for d in decisions] == [
        Reason.UNTOUCHED,
        Reason.UNTOUCHED,
        Reason.OVER_LIMIT,
    ]
    assert (gate.in_flight, gate.line_length) == (2, 1)


def test_a_departure_admits_who_waited() -> None:
    """A place that comes free goes to the line at once, with its reason."""
    gate = make_gate(limit=1)
    first, second = fill(gate, 2)
    [granted] = gate.depart(5 * MS, first.lease, Outcome.COMPLETED, 200)
    assert granted.lease is second.lease
    assert (granted.action, granted.reason) == (Action.ADMIT, Reason.CAPACITY_FREED)
    assert second.lease.state is LeaseState.OPEN
    assert gate.ledger.waited_s == pytest.approx(0.005)


def test_a_lease_closes_once() -> None:
    """Closing twice is our own bug and says so."""
    gate = make_gate()
    [decision] = fill(gate, 1)
    gate.depart(1, decision.lease, Outcome.COMPLETED, 200)
    with pytest.raises(RuntimeError, match="closes once"):
        gate.depart(2, decision.lease, Outcome.COMPLETED, 200)
    assert gate.in_flight == 0


def test_leaving_the_line_frees_it_at_once() -> None:
    """A caller that leaves while waiting is never dispatched."""
    gate = make_gate(limit=1)
    first, gone, other = fill(gate, 3)
    assert gate.leave(MS, gone.lease) == ()
    assert gate.line_length == 1
    [granted] = gate.depart(2 * MS, first.lease, Outcome.COMPLETED, 200)
    assert granted.lease is other.lease
    assert gate.ledger.n_left_waiting == 1


def test_abandoned_work_keeps_its_place() -> None:
    """A slot is free when the upstream answers, not when the caller leaves."""
    gate = make_gate(limit=1)
    first, waiting = fill(gate, 2)
    assert gate.leave(MS, first.lease) == ()
    assert first.lease.has_left
    assert gate.in_flight == 1
    [granted] = gate.depart(9 * MS, first.lease, Outcome.ORPHANED, 200)
    assert granted.lease is waiting.lease
    assert gate.ledger.orphaned_s == pytest.approx(0.009)


def test_exempt_requests_never_wait() -> None:
    """Health checks go through a full gate, and are counted in flight."""
    gate = make_gate(limit=1)
    fill(gate, 2)
    decision = gate.arrive(0, Arrival(is_exempt=True))
    assert (decision.action, decision.reason) == (Action.ADMIT, Reason.EXEMPT)
    assert gate.in_flight == 2
    gate.depart(1, decision.lease, Outcome.COMPLETED, 200)
    assert gate.in_flight == 1


def test_exempt_requests_take_nobodys_place() -> None:
    """A standing event stream leaves a limit of one to the calls that do work."""
    gate = make_gate(limit=1)
    stream = gate.arrive(0, Arrival(is_exempt=True)).lease
    [call] = fill(gate, 1)
    assert (call.action, call.reason) == (Action.ADMIT, Reason.UNTOUCHED)
    gate.answered(MS, stream, 200)
    gate.leave(2 * MS, stream)
    gate.depart(3 * MS, stream, Outcome.CANCELLED, 200)
    assert gate.endpoints[0].in_flight == 1


def test_observe_changes_nothing() -> None:
    """In observe mode everything is admitted, and what would have waited is counted."""
    gate = make_gate(limit=1, is_observing=True)
    decisions = fill(gate, 5)
    assert all(d.action is Action.ADMIT for d in decisions)
    assert gate.ledger.n_observed == {Reason.OVER_LIMIT: 4}
    assert gate.line_length == 0


def test_wait_is_bounded_by_patience_hinted() -> None:
    """Who said it waits 1 s is answered before that, with a time to come back."""
    gate = make_gate(limit=1)
    fill(gate, 1)
    decision = gate.arrive(0, Arrival(patience_ns=1 * S))
    assert not gate.tick(int(0.89 * S))
    [answer] = gate.tick(int(0.91 * S))
    assert answer.lease is decision.lease
    assert (answer.action, answer.reason) == (Action.ANSWER, Reason.PATIENCE_SPENT)
    assert answer.status == 429
    assert 0 < answer.retry_after_ns <= 60 * S


def test_callers_that_cannot_retry_wait_on() -> None:
    """An MCP client is kept waiting to the bound of the line, not sent away by learned patience."""
    gate = make_gate(limit=1, max_wait_ns=20 * S, patience_ns=1 * S)
    fill(gate, 1)
    gate.arrive(0, Arrival(can_retry=False))
    assert not gate.tick(19 * S)
    [answer] = gate.tick(20 * S)
    assert answer.action is Action.ANSWER


def test_full_line_answers_at_once() -> None:
    """The bound on waiting requests is a bound on memory: beyond it, a dated refusal."""
    gate = make_gate(limit=1, max_waiting=2)
    decisions = fill(gate, 4)
    assert decisions[3].reason is Reason.LINE_FULL
    assert gate.line_length == 2
    assert gate.ledger.n_answered == {Reason.LINE_FULL: 1}


def test_line_is_trimmed_to_half_of_patience() -> None:
    """What cannot be served within half of patience is sent away by the next tick."""
    gate = make_gate(limit=4, patience_ns=2 * S)
    now_ns = 0
    for _ in range(30):  # 0.1 s a request: 40 requests/s at a limit of 4
        leases = [d.lease for d in fill(gate, 4, now_ns)]
        gate.tick(now_ns + 50 * MS)
        now_ns += 100 * MS
        for lease in leases:
            gate.depart(now_ns, lease, Outcome.COMPLETED, 200)
    fill(gate, 4 + 100, now_ns)
    decisions = gate.tick(now_ns + 50 * MS)
    assert gate.dispatcher.capacity_hz == pytest.approx(40.0, rel=0.3)
    assert {d.reason for d in decisions} == {Reason.LINE_TOO_LONG}
    assert gate.line_length <= 0.5 * 2 * gate.dispatcher.capacity_hz
    slots = [d.retry_after_ns for d in decisions]
    assert len(set(slots)) == len(slots)


def test_broken_signals_let_everything_through() -> None:
    """A detector that raises is counted; no request is lost or held for it."""
    gate = make_gate(limit=2, signals=SilentSignals(is_broken=True))
    first, second, third = fill(gate, 3)
    assert first.action is Action.ADMIT
    gate.tick(50 * MS)
    [granted] = gate.depart(60 * MS, first.lease, Outcome.COMPLETED, 200)
    assert granted.lease is third.lease
    gate.depart(61 * MS, second.lease, Outcome.FAILED, 500)
    assert gate.ledger.n_faults == 6


def test_failures_are_told_to_the_signals_once() -> None:
    """A caller that left has failed when it left; the upstream's late answer says nothing new."""
    signals = SilentSignals()
    gate = make_gate(limit=1, signals=signals)
    left, refused = Arrival(flow=1), Arrival(flow=2)
    lease = gate.arrive(0, left).lease
    gate.leave(S, lease)
    gate.depart(2 * S, lease, Outcome.ORPHANED, 200)
    lease = gate.arrive(2 * S, refused).lease
    gate.depart(3 * S, lease, Outcome.REFUSED, 429)
    assert signals.noted == [(LEFT, 1), (GONE, 1), (FAILED, 2)]


def test_most_headroom_is_chosen() -> None:
    """Of several endpoints the one with the smallest used share of its limit is taken."""
    gate = make_gate(limit=4, n_endpoints=3)
    used = [d.lease.endpoint_idx for d in fill(gate, 6)]
    assert sorted(used) == [0, 0, 1, 1, 2, 2]


def test_clock_that_jumps_back_breaks_nothing() -> None:
    """An earlier instant counts as the latest one seen."""
    gate = make_gate(limit=1)
    [decision] = fill(gate, 1, now_ns=10 * S)
    gate.depart(5 * S, decision.lease, Outcome.COMPLETED, 200)
    assert gate.ledger.useful_s == 0.0
    gate.tick(1)
    assert fill(gate, 1, now_ns=3 * S)[0].action is Action.ADMIT


EVENTS = st.tuples(
    st.sampled_from(["arrive", "arrive", "depart", "answered", "leave", "tick", "limit"]),
    st.integers(0, 2 * S),  # pause before it
    st.integers(0, 63),  # whom it concerns
    st.sampled_from(list(Outcome)),
    st.booleans(),
)


def one(event: str, which: int = 0) -> tuple[str, int, int, Outcome, bool]:
    """Return an event at the same instant as the one before."""
    return (event, 0, which, Outcome.COMPLETED, False)


@settings(max_examples=150)
@given(st.lists(EVENTS, max_size=150), st.booleans())
@example([*[one("arrive", 1)] * 7, one("limit"), one("depart", 1)], False)
@example([*[one("arrive", 1)] * 7, one("limit"), one("depart")], False)
def test_invariants(events: list[tuple[str, int, int, Outcome, bool]], is_observing: bool) -> None:
    """Every arrival has one outcome; in-flight equals open leases; nobody waits beside room."""
    gate = make_gate(limit=3, n_endpoints=2, is_observing=is_observing, patience_ns=S)
    now_ns = 0
    leases: list[Lease] = []
    answered: set[int] = set()

    def apply(decisions: Any) -> None:
        for decision in decisions:
            assert decision.action is not Action.WAIT
            if decision.action is Action.ANSWER:
                assert id(decision.lease) not in answered, "answered twice"
                answered.add(id(decision.lease))
                assert decision.lease.state is LeaseState.CLOSED
                assert 0 < decision.retry_after_ns <= 60 * S
            else:
                assert decision.lease.state is LeaseState.OPEN

    for event, pause_ns, which, outcome, flag in events:
        now_ns += pause_ns
        if event == "arrive":
            arrival = Arrival(
                tenant=which % 3,
                flow=which % 7,
                tree=which % 5,
                urgency=which % 8,
                can_retry=flag,
                is_exempt=which % 11 == 0,
            )
            decision = gate.arrive(now_ns, arrival)
            leases.append(decision.lease)
            if decision.action is not Action.WAIT:
                apply([decision])
        elif event == "tick":
            apply(gate.tick(now_ns))
        elif event == "limit":
            gate.endpoints[which % 2].limit.limit = 1 + which % 4
        elif leases:
            lease = leases[which % len(leases)]
            if event == "leave":
                apply(gate.leave(now_ns, lease))
            elif event == "answered" and lease.state is LeaseState.OPEN:
                gate.answered(now_ns, lease, 200)
            elif event == "depart" and lease.state is LeaseState.OPEN:
                apply(gate.depart(now_ns, lease, outcome, 200 if flag else 0))
                has_room = any(e.in_flight < e.limit.limit for e in gate.endpoints)
                assert not (has_room and gate.line_length), "waits beside a free place"
        is_open = [x for x in leases if x.state is LeaseState.OPEN]
        assert gate.in_flight == len(is_open)
        assert gate.line_length == sum(x.state is LeaseState.PENDING for x in leases)
    assert gate.ledger.n_arrived == len(leases)


def test_a_tenant_of_long_calls_keeps_no_more_places_than_one_of_brief_calls() -> None:
    """Two tenants that always have somebody waiting: 20 s a call and 2 s a call, ten places."""
    gate = make_gate(10, max_wait_ns=1_000 * S, patience_ns=1_000 * S)
    lasts_s = {1: 20, 2: 2}
    ends: list[tuple[int, int, Lease]] = []
    n_held: list[tuple[int, int]] = []

    def begin(decisions: list[Decision], now_s: int) -> None:
        for decision in decisions:
            if decision.action is Action.ADMIT:
                lease = decision.lease
                ends.append((now_s + lasts_s[lease.arrival.tenant], lease.arrival.tenant, lease))

    for now_s in range(200):
        for end_s, _, lease in [x for x in ends if x[0] <= now_s]:
            ends.remove(next(x for x in ends if x[2] is lease))
            assert end_s == now_s
            begin(list(gate.depart(now_s * S, lease, Outcome.COMPLETED, 200)), now_s)
        for tenant in (1, 2):
            while sum(x.arrival.tenant == tenant for x in gate.line) < 12:
                begin([gate.arrive(now_s * S, Arrival(tenant=tenant, flow=tenant))], now_s)
        n_held.append((sum(x[1] == 1 for x in ends), sum(x[1] == 2 for x in ends)))
    assert all(abs(ones - twos) <= 2 for ones, twos in n_held[100:])
    assert gate.line.held[1] == n_held[-1][0]
