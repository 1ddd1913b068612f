"""The order of the line: fairness between tenants, least service within, newest when long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.lease import Lease, LeaseState, make_lease
from governor.core.line import Line, attained_class


def waiting(
    line: Line,
    tenant: int = 1,
    urgency: int = 3,
    attained_s: float = 0.0,
    can_retry: bool = True,
) -> Lease:
    """Put one lease into ``line``."""
    lease = make_lease(Arrival(tenant=tenant, urgency=urgency, can_retry=can_retry), 0, 0)
    line.push(lease, attained_s)
    return lease


def take(line: Line, is_newest_first: bool = False, service_s: float = 0.1) -> Lease:
    """Serve the first in ``line``."""
    lease = line.first(is_newest_first)
    assert lease is not None
    line.charge(lease.arrival.tenant, service_s)
    lease.state = LeaseState.OPEN
    line.forget(lease)
    return lease


@pytest.mark.parametrize(
    ("attained_s", "expected"), [(0.0, 0), (0.049, 0), (0.05, 1), (0.1, 2), (0.2, 3), (1e9, 35)]
)
def test_attained_classes_double(attained_s: float, expected: int) -> None:
    """Classes start at 50 ms and double, so noise of one call does not reorder equals."""
    assert attained_class(attained_s) == expected


def test_oldest_first_while_short_newest_first_when_long() -> None:
    """Among equals the two ends of the same deque are served."""
    line = Line()
    old, middle, new = waiting(line), waiting(line), waiting(line)
    assert line.first(is_newest_first=False) is old
    assert line.first(is_newest_first=True) is new
    assert take(line, is_newest_first=True) is new
    assert take(line) is old
    assert take(line) is middle
    assert line.first(is_newest_first=False) is None


def test_least_attained_service_first() -> None:
    """The caller that has had less goes first, whatever came before it."""
    line = Line()
    heavy = waiting(line, attained_s=10.0)
    light = waiting(line, attained_s=0.0)
    assert take(line) is light
    assert take(line) is heavy


def test_urgency_reorders_only_within_its_tenant() -> None:
    """Marking everything urgent gains nothing over one's neighbours."""
    line = Line()
    for _ in range(10):
        waiting(line, tenant=1, urgency=0)
    for _ in range(10):
        waiting(line, tenant=2, urgency=7)
    served = [take(line).arrival.tenant for _ in range(10)]
    assert abs(served.count(1) - served.count(2)) <= 1
    calm = waiting(line, tenant=2, urgency=5)
    mine = [x for x in (take(line) for _ in range(11)) if x.arrival.tenant == 2]
    assert mine[0] is calm


def test_tenants_share_by_service_not_by_requests() -> None:
    """A tenant with a hundred waiting gets no more seconds than one with ten."""
    line = Line()
    for _ in range(100):
        waiting(line, tenant=1)
    for _ in range(10):
        waiting(line, tenant=2)
    served = [take(line).arrival.tenant for _ in range(20)]
    assert served.count(2) == 10


def test_emptying_the_line_earns_nothing() -> None:
    """A tenant that always has just one waiting is not served twice for every other's once."""
    line = Line()
    for _ in range(100):
        waiting(line, tenant=1)
    waiting(line, tenant=2)
    served = []
    for _ in range(40):
        lease = take(line)
        served.append(lease.arrival.tenant)
        if lease.arrival.tenant == 2:
            waiting(line, tenant=2)
    assert served.count(2) <= 21


def test_last_is_the_worst_of_the_heaviest_tenant() -> None:
    """Who is sent away first belongs to the tenant that waits most, and is served last there."""
    line = Line()
    waiting(line, tenant=1)
    waiting(line, tenant=2)
    worst = waiting(line, tenant=2, attained_s=5.0)
    assert line.last(is_newest_first=False) is worst


def test_callers_that_cannot_retry_are_not_sent_away() -> None:
    """A caller that does not understand a dated refusal is passed over, even in the worst place."""
    line = Line()
    light = waiting(line, tenant=2)
    waiting(line, tenant=1, can_retry=False)
    waiting(line, tenant=1, can_retry=False)
    assert line.last(is_newest_first=True) is light


def test_leaving_is_swept_out() -> None:
    """Leases that closed while waiting do not pile up."""
    line = Line()
    keep = waiting(line)
    for _ in range(10_000):
        lease = waiting(line)
        lease.state = LeaseState.CLOSED
        line.forget(lease)
    stored = sum(len(bucket) for bucket in line._by_tenant[1].buckets.values())
    assert stored < 200
    assert list(line) == [keep]
    assert len(line) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "take", "leave"]),
            st.integers(0, 3),  # tenant
            st.integers(0, 7),  # urgency
            st.floats(0.0, 1e6),  # attained
            st.booleans(),  # newest first
        ),
        max_size=200,
    )
)
def test_nobody_is_lost_or_served_twice(
    events: list[tuple[str, int, int, float, bool]],
) -> None:
    """Whatever happens, every pending lease is in the line exactly once, and none other."""
    line = Line()
    pending: list[Lease] = []
    for event, tenant, urgency, attained_s, is_newest_first in events:
        if event == "push":
            pending.append(waiting(line, tenant, urgency, attained_s))
        elif event == "take" and pending:
            pending.remove(take(line, is_newest_first))
        elif event == "leave" and pending:
            lease = pending.pop(urgency % len(pending))
            lease.state = LeaseState.CLOSED
            line.forget(lease)
        assert len(line) == len(pending)
        assert (line.first(is_newest_first) is None) == (not pending)
        assert (line.last(is_newest_first) is None) == (not pending)
    assert sorted(map(id, line)) == sorted(map(id, pending))


def test_who_holds_fewest_places_goes_first() -> None:
    """Whatever was charged before: places are shared, and with them the seconds."""
    held = [0] * 4
    line = Line(held=held)
    held[1], held[2] = 3, 1
    for tenant in (1, 2, 3):
        for _ in range(4):
            waiting(line, tenant=tenant)
    order = []
    for _ in range(8):
        lease = take(line)
        held[lease.arrival.tenant] += 1
        order.append(lease.arrival.tenant)
    assert order[:3] == [3, 2, 3]
    assert held[1:] == [4, 4, 4]


def test_a_place_given_back_is_noticed() -> None:
    """A tenant whose call ends moves up; one that was given places on arrival moves down."""
    held = [0, 2, 1, 0]
    line = Line(held=held)
    ours, theirs = waiting(line, tenant=1), waiting(line, tenant=2)
    assert line.first(False) is theirs
    held[1] = 0
    line.released(1)
    assert line.first(False) is ours
    held[1] = 5
    assert line.first(False) is theirs


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["push", "take", "end"])), max_size=200)
)
def test_nobody_who_holds_fewer_places_is_passed_over(steps: list[tuple[int, str]]) -> None:
    """At every dispatch, of those who wait; and outdated entries do not pile up."""
    held = [0] * 6
    line = Line(held=held)
    n_waiting = [0] * 6
    for tenant, what in steps:
        if what == "push":
            waiting(line, tenant=tenant)
            n_waiting[tenant] += 1
        elif what == "end" and held[tenant]:
            held[tenant] -= 1
            line.released(tenant)
        elif what == "take" and line.n_live:
            fewest = min(held[x] for x in range(6) if n_waiting[x])
            chosen = take(line).arrival.tenant
            assert held[chosen] == fewest
            held[chosen] += 1
            n_waiting[chosen] -= 1
        assert len(line._order) <= 64 + 4 * 5 + 1
