"""Which endpoint takes a call: the cheaper of two, never a sick one beside a healthy one."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.ejection import RAMP_NS, REST_NS, Verdict
from policies.limit import FixedLimit
from policies.reroute import TRIAL_EVERY, Replica, Reroute

MS = 1_000_000
S = 1_000_000_000
GOOD, BAD, UNREACHED = Verdict.ANSWERED, Verdict.FAILED, Verdict.UNREACHED


def make(n: int, limit: int = 10, seed: int = 1) -> Reroute[Replica]:
    """Return a choice among ``n`` endpoints of the same limit."""
    return Reroute([Replica(idx, FixedLimit(limit)) for idx in range(n)], seed)


def choose(reroute: Reroute[Replica], now_ns: int, affinity: int = 0, tried: int = 0) -> int:
    """Return the index chosen; there is one."""
    replica = reroute.choose(now_ns, affinity, tried)
    assert replica is not None
    return replica.idx


def end(reroute: Reroute[Replica], idx: int, now_ns: int, verdict: Verdict, n: int = 1) -> None:
    """Let ``n`` calls to one endpoint be sent and end now."""
    for _ in range(n):
        call = object()
        replica = reroute.replicas[idx]
        reroute.sent(now_ns, replica, call)
        reroute.closed(now_ns, replica, now_ns, call, verdict, False)


def teach(reroute: Reroute[Replica], idx: int, now_ns: int, response_ns: int) -> None:
    """Let one call to an endpoint be answered now, after ``response_ns``."""
    call = object()
    replica = reroute.replicas[idx]
    reroute.sent(now_ns - response_ns, replica, call)
    reroute.answered(now_ns, replica, now_ns - response_ns)
    reroute.closed(now_ns, replica, now_ns - response_ns, call, GOOD, True)


def spread(reroute: Reroute[Replica], now_ns: int, n: int) -> Counter[int]:
    """Return how often each endpoint is chosen while nothing else changes."""
    return Counter(choose(reroute, now_ns) for _ in range(n))


def test_like_endpoints_get_like_shares() -> None:
    """With nothing known but the calls in flight, they spread evenly."""
    reroute = make(3)
    for _ in range(24):
        reroute.replicas[choose(reroute, 0)].in_flight += 1
    assert max(x.in_flight for x in reroute.replicas) <= 10
    assert min(x.in_flight for x in reroute.replicas) >= 6


def test_the_cheaper_of_two_is_taken() -> None:
    """Response time times calls in flight: a slower endpoint gets a call when others are busier."""
    reroute = make(2)
    teach(reroute, 0, S, 100 * MS)
    teach(reroute, 1, S, 200 * MS)
    assert spread(reroute, S, 100) == {0: 100}
    reroute.replicas[0].in_flight = 2
    assert spread(reroute, S, 100) == {1: 100}


def test_a_slow_endpoint_is_tried_now_and_then() -> None:
    """Three times as slow as its rival: one call in five hundred tells whether it still is."""
    reroute = make(3)
    for idx, response_ns in ((0, 100 * MS), (1, 100 * MS), (2, S)):
        teach(reroute, idx, 2 * S, response_ns)
        teach(reroute, idx, 2 * S, response_ns)
    chosen: Counter[int] = Counter()
    for _ in range(4_000):
        replica = reroute.choose(3 * S)
        assert replica is not None
        reroute.sent(3 * S, replica, None)
        reroute.closed(3 * S, replica, 3 * S, None, GOOD, False)
        chosen[replica.idx] += 1
    assert chosen[2] <= 4_000 // TRIAL_EVERY
    assert chosen[2] >= 0.7 * 4_000 // TRIAL_EVERY


def test_room_comes_before_pace() -> None:
    """A place of a slow endpoint is better than a place in the line."""
    reroute = make(2, limit=1)
    teach(reroute, 0, 2 * S, 10 * MS)
    for _ in range(3):
        teach(reroute, 1, 2 * S, S)
    reroute.replicas[0].in_flight = 1
    assert choose(reroute, 2 * S) == 1
    reroute.replicas[1].in_flight = 1
    assert reroute.choose(2 * S) is not None


def test_the_sick_one_is_left_alone_probed_and_ramped() -> None:
    """Ejected, then one call at a time, then a share that grows."""
    reroute = make(3)
    now_ns = S
    end(reroute, 2, now_ns, BAD, 5)
    assert set(spread(reroute, now_ns, 100)) == {0, 1}
    now_ns += REST_NS
    assert spread(reroute, now_ns, 20) == {2: 20}  # whoever is sent first is the probe
    probe = object()
    reroute.sent(now_ns, reroute.replicas[2], probe)
    assert set(spread(reroute, now_ns, 100)) == {0, 1}
    reroute.answered(now_ns, reroute.replicas[2], now_ns)
    shares = []
    for step in range(11):
        at_ns = now_ns + step * RAMP_NS // 10
        reroute.tick(at_ns)
        reroute.replicas[2].in_flight = 0  # it would be the cheaper whenever drawn
        for other in reroute.replicas[:2]:
            other.in_flight = 1
        shares.append(spread(reroute, at_ns, 600)[2])
    assert shares[0] < 130  # drawn in one of two draws: a tenth each
    assert shares[-1] > 350
    assert all(later > sooner - 60 for sooner, later in pairwise(shares))


def test_those_that_fail_are_used_again_when_most_do() -> None:
    """More than half fail: the fault is hardly theirs; the healthy come first, then all."""
    reroute = make(3, limit=1)
    end(reroute, 1, S, BAD, 5)
    reroute.replicas[0].in_flight = reroute.replicas[2].in_flight = 1
    assert set(spread(reroute, S, 50)) <= {0, 2}  # full, and the one sick endpoint stays out
    reroute.replicas[2].in_flight = 0
    end(reroute, 2, S, BAD, 5)
    assert set(spread(reroute, S, 50)) == {1, 2}
    reroute.replicas[0].in_flight = 0
    assert set(spread(reroute, S, 50)) == {0}
    end(reroute, 0, S, BAD, 5)
    assert reroute.is_down
    assert set(spread(reroute, S, 100)) == {0, 1, 2}


def test_the_unreachable_stay_out_while_one_can_be_reached() -> None:
    """However many cannot be reached: nobody listens there; when none can, all are tried."""
    reroute = make(4, limit=1)
    for idx in (0, 1, 2):
        end(reroute, idx, S, UNREACHED, 2)
    reroute.replicas[3].in_flight = 1
    assert set(spread(reroute, S, 100)) == {3}
    end(reroute, 3, S, UNREACHED, 2)
    reroute.replicas[3].in_flight = 0
    assert set(spread(reroute, S, 200)) == {0, 1, 2, 3}


def test_what_has_failed_a_call_is_not_asked_again() -> None:
    """Each endpoint at most once for one call; then there is none."""
    reroute = make(3)
    tried = 0
    for _ in range(3):
        replica = reroute.choose(S, tried=tried)
        assert replica is not None
        assert not tried >> replica.idx & 1
        tried |= 1 << replica.idx
    assert reroute.choose(S, tried=tried) is None


def test_an_affinity_stays_at_home() -> None:
    """The same key goes to the same endpoint; without room, or while it is out, elsewhere."""
    reroute = make(3, limit=2)
    for key in range(1, 50):
        place = choose(reroute, S, affinity=key)
        assert all(choose(reroute, S, affinity=key) == place for _ in range(5))
        reroute.replicas[place].in_flight = 2
        assert choose(reroute, S, affinity=key) != place
        reroute.replicas[place].in_flight = 0
    key = next(key for key in range(1, 99) if choose(reroute, S, affinity=key) == 1)
    end(reroute, 1, S, BAD, 5)
    away = choose(reroute, S, affinity=key)
    assert away != 1
    assert all(choose(reroute, S, affinity=key) == away for _ in range(5))
    assert choose(reroute, S + REST_NS, affinity=key) == 1  # as its probe
    end(reroute, 1, S + REST_NS, GOOD)
    assert choose(reroute, S + REST_NS + RAMP_NS, affinity=key) == 1


def simulate(n: int, slow_at_s: float, seconds: float, seed: int) -> list[tuple[float, float]]:
    """Play an open load on ``n`` endpoints; one slows tenfold. Return (begun, took) in seconds."""
    rng = Random(seed)
    reroute = make(n, limit=1_000, seed=seed)
    ends: list[tuple[float, int, int, object]] = []
    calls: list[tuple[float, float]] = []
    now_s, tick_s = 0.0, 0.0
    while now_s < seconds:
        now_s += rng.expovariate(50.0 * n)
        while ends and ends[0][0] <= now_s:
            at_s, idx, sent_ns, call = heappop(ends)
            replica = reroute.replicas[idx]
            replica.in_flight -= 1
            reroute.answered(int(at_s * S), replica, sent_ns)
            reroute.closed(int(at_s * S), replica, sent_ns, call, GOOD, True)
        if now_s >= tick_s:
            tick_s += 0.05
            reroute.tick(int(now_s * S))
        replica = reroute.choose(int(now_s * S)) or pytest.fail("there is one")
        took_s = rng.lognormvariate(-0.125, 0.5) * 0.1
        if replica.idx == 0 and now_s > slow_at_s:
            took_s *= 10.0
        replica.in_flight += 1
        call = len(calls)
        reroute.sent(int(now_s * S), replica, call)
        heappush(ends, (now_s + took_s, replica.idx, int(now_s * S), call))
        calls.append((now_s, took_s))
    return calls


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sick_replica_is_out_of_sight_after_a_second(seed: int) -> None:
    """One of three slows tenfold: calls that begin a second later are as quick as before."""
    calls = simulate(3, 30.0, 60.0, seed)
    healthy = [took_s for begun_s, took_s in calls if 5.0 < begun_s < 30.0]
    after = [took_s for begun_s, took_s in calls if begun_s > 31.0]
    assert quantiles(after, n=100)[98] <= 1.5 * quantiles(healthy, n=100)[98]


EVENTS = st.tuples(
    st.sampled_from(["choose", "choose", "end", "answered", "tick", "limit"]),
    st.integers(0, 3 * S),
    st.integers(0, 63),
    st.sampled_from(list(Verdict)),
)


def play(events: list[tuple[str, int, int, Verdict]], n: int, seed: int) -> list[int]:
    """Run events through a choice among ``n``, checking what must always hold."""
    reroute = make(n, limit=2, seed=seed)
    now_ns = 0
    taken: list[tuple[Replica, int, object, list[bool]]] = []
    chosen: list[int] = []
    for kind, pause_ns, which, verdict in events:
        now_ns += pause_ns
        if kind == "choose":
            replica = reroute.choose(now_ns, affinity=which % 3)
            assert replica is not None, "never all out"
            fit = [x for x in reroute.replicas if not x.health.is_sick]
            if replica.health.is_sick and not replica.health.is_due(now_ns):
                n_failing = sum(x.health.is_sick for x in reroute.replicas)
                assert 2 * n_failing > n, "a sick one while at most half are"
                assert not any(x.has_room for x in fit), "a sick one beside a healthy one with room"
            if not replica.has_room:
                assert not any(x.has_room for x in fit), "no room beside room"
            chosen.append(replica.idx)
            replica.in_flight += 1
            call = object()
            reroute.sent(now_ns, replica, call)
            taken.append((replica, now_ns, call, [False]))
            n_probes = sum(x.health.probe is not None for x in reroute.replicas)
            assert n_probes <= sum(x.health.is_sick for x in reroute.replicas)
        elif kind == "tick":
            reroute.tick(now_ns)
        elif kind == "limit":
            reroute.replicas[which % n].limit.limit = 1 + which % 4
        elif taken:
            replica, sent_ns, call, is_answered = taken[which % len(taken)]
            if kind == "answered":
                if not is_answered[0]:
                    is_answered[0] = True
                    reroute.answered(now_ns, replica, sent_ns)
            else:
                taken.remove((replica, sent_ns, call, is_answered))
                replica.in_flight -= 1
                reroute.closed(now_ns, replica, sent_ns, call, verdict, is_answered[0])
    for replica in reroute.replicas:
        waiting = [x for x in taken if x[0] is replica and not x[3][0]]
        assert replica.pace.n_unanswered == len(waiting)
    return chosen


@given(st.lists(EVENTS, max_size=120), st.integers(1, 5), st.integers(0, 9))
def test_invariants(events: list[tuple[str, int, int, Verdict]], n: int, seed: int) -> None:
    """Never a full one beside room, never a sick one while few are; same seed, same choices."""
    assert play(events, n, seed) == play(events, n, seed)
