"""A part of a limit: the inner one sees everybody's calls, the gate its own places."""

from __future__ import annotations

from policies.limit import AdaptiveLimit, FixedLimit
from policies.limit.phases import Kind
from policies.limit.shared import SharedLimit

MS = 1_000_000


def test_alone_it_is_the_inner_limit() -> None:
    """With the whole share and nobody elsewhere every number is that of the inner limit."""
    plain, shared = AdaptiveLimit(7), SharedLimit(AdaptiveLimit(7))
    now_ns = 0
    for _ in range(600):
        now_ns += 3 * MS
        phases = [x.on_dispatch(now_ns, 20, True) for x in (plain, shared)]
        assert phases[0] == phases[1]
        for limit in (plain, shared):
            limit.on_answer(now_ns + 60 * MS, phases[0], now_ns, 20, 20)
            limit.on_depart(now_ns + 60 * MS, 60 * MS, True)
            limit.tick(now_ns + 60 * MS, 20)
        assert shared.limit == plain.limit
        assert shared.capacity_hz(now_ns) == plain.capacity_hz(now_ns)


def test_ranks_share_every_place() -> None:
    """Three equal parts of 32 are 10, 11 and 11."""
    limits = []
    for rank in range(3):
        limit = SharedLimit(FixedLimit(32))
        limit.divide(1 / 3, rank, 3)
        limits.append(limit.limit)
    assert sorted(limits) == [10, 11, 11]


def test_a_follower_goes_by_the_leader_and_can_take_over() -> None:
    """Where a knee is known the leader's limit is ours, and our own limit begins there."""
    limit = SharedLimit(AdaptiveLimit(1))
    limit.follow(0, 17, 16.0, True)
    assert limit.total == 17
    assert limit.inner.has_knee
    assert limit.inner.level == 16.0
    limit.lead()
    assert abs(limit.total - 16) <= 1


def test_until_a_knee_is_met_our_own_answers_count() -> None:
    """In the start a follower may have proven more than the leader knows."""
    limit = SharedLimit(AdaptiveLimit(1))
    limit.follow(0, 8, 8.0, False)
    assert limit.total == limit.inner.limit >= 32


def test_the_inner_limit_sees_what_is_in_flight_elsewhere() -> None:
    """Refusals teach a ceiling on the calls of all, not on ours."""
    limit = SharedLimit(AdaptiveLimit(1))
    limit.elsewhere = 20
    limit.divide(0.5, 0, 2)
    for step in range(8):
        limit.on_refused(step * MS, 5)
    assert 20 <= limit.total < 25
    assert limit.limit == limit.total // 2


def test_capacity_is_our_part_and_best_capacity_everybodys() -> None:
    """The line is served by our share; invitations are placed among all."""
    limit = SharedLimit(FixedLimit(30))
    for step in range(1, 200):
        limit.on_depart(step * 10 * MS, 100 * MS, True)
        limit.note_elsewhere(2, 200 * MS)
        limit.tick(step * 10 * MS, 5)
    now_ns = 2_000 * MS
    whole_hz = limit.capacity_hz(now_ns)
    limit.divide(1 / 3, 1, 3)
    assert limit.capacity_hz(now_ns) == whole_hz / 3
    assert limit.best_capacity_hz(now_ns) > 300.0 * 0.8, "three times our own 100 a second"


def test_a_follower_opens_the_phase_that_the_leader_has_open() -> None:
    """What it sends belongs to that phase until the leader names another, however much it is."""
    limit = SharedLimit(AdaptiveLimit(1))
    assert limit.pool is not None
    limit.pool.share(100 * MS)
    limit.follow(0, 22, 20.0, True, 7, Kind.HIGH)
    phases = {limit.on_dispatch(step * MS, 20, True) for step in range(200)}
    limit.tick(6_000 * MS, 20)
    assert len(phases) == 1
    assert limit.pool.tag == 7
    assert isinstance(limit.inner, AdaptiveLimit)
    assert limit.inner.kind is Kind.HIGH
    limit.follow(6_000 * MS, 18, 20.0, True, 8, Kind.LOW)
    assert limit.on_dispatch(6_001 * MS, 20, True) not in phases
    assert limit.inner.kind is Kind.LOW


def test_alone_again_it_opens_phases_by_itself() -> None:
    """Who has followed goes on where it stands when there is nobody to follow any more."""
    limit = SharedLimit(AdaptiveLimit(1))
    assert limit.pool is not None
    limit.pool.share(100 * MS)
    limit.follow(0, 22, 20.0, True, 7, Kind.HIGH)
    limit.lead()
    limit.pool.share(0)
    phases = {limit.on_dispatch(step * 5 * MS, 20, True) for step in range(200)}
    assert len(phases) > 2


def test_until_a_knee_is_met_phases_are_our_own() -> None:
    """The slow start waits for nobody."""
    limit = SharedLimit(AdaptiveLimit(1))
    assert limit.pool is not None
    limit.pool.share(100 * MS)
    limit.follow(0, 32, 32.0, False, 7, Kind.STEADY)
    phases = {limit.on_dispatch(step * 5 * MS, 20, True) for step in range(100)}
    assert len(phases) > 2


def of_three(rank: int = 0) -> SharedLimit:
    """Return a third of a limit in a fleet that exchanges ten times a second."""
    limit = SharedLimit(AdaptiveLimit(1))
    assert limit.pool is not None
    limit.pool.share(100 * MS)
    limit.divide(1 / 3, rank, 3)
    return limit


def test_a_ceiling_of_our_own_binds_whatever_the_leader_lets_in() -> None:
    """Before a knee is known the leader's limit is ours only as far as refusals allow."""
    limit = of_three()
    limit.hear(0, 20, 0, 0)
    limit.follow(0, 66, 66.0, False)
    assert limit.total == 66
    for in_flight in range(12, 16):
        limit.on_refused(MS, in_flight)
    limit.hear(100 * MS, 20, 0, 0)
    limit.hear(200 * MS, 20, 0, 0)
    assert limit.total == 31


def test_ours_is_held_to_what_found_room_until_all_have_told() -> None:
    """Each further refusal costs a place of ours, for the others have more than they had told."""
    limit = of_three()
    limit.hear(0, 29, 0, 0)
    limit.follow(0, 48, 48.0, True)
    for _ in range(3):
        limit.on_refused(MS, 14)
    assert (limit.total, limit.limit) == (48, 13)
    limit.on_refused(2 * MS, 13)
    limit.on_refused(3 * MS, 12)
    assert limit.limit == 11
    limit.tick(250 * MS, 11)
    assert limit.limit == 11
    limit.tick(310 * MS, 11)
    assert limit.limit == limit.total // 3 == 16


def test_a_refusal_is_weighed_when_all_have_told_what_they_had() -> None:
    """Of the others' calls what they tell in two exchanges counts, the most of it, and no more."""
    limit = of_three()
    limit.hear(0, 20, 0, 0)
    for _ in range(4):
        limit.on_refused(MS, 14)
    assert limit.taught(MS) == 0
    limit.hear(90 * MS, 34, 0, 0)
    assert limit.taught(90 * MS) == 0
    limit.hear(190 * MS, 30, 0, 0)
    assert limit.taught(190 * MS) == 47
    limit.hear(290 * MS, 60, 0, 0)
    assert limit.taught(290 * MS) == 47, "what came later was not in flight then"
    assert limit.taught(500 * MS) == 0, "old news is told no more"


def test_a_herd_before_ten_governors_teaches_the_bound_and_not_what_was_known_of_it() -> None:
    """They let in 48 before any has heard of another: each knows of its own calls, and of a few."""
    fleet = [of_three() for _ in range(10)]
    for limit in fleet:
        limit.divide(0.1, 0, 10)
        limit.hear(0, 7, 0, 0)
        limit.follow(0, 54, 54.0, True)
        for _ in range(3):
            limit.on_refused(20 * MS, 5)
    for now_ns in (100 * MS, 200 * MS, 300 * MS, 400 * MS, 500 * MS):
        told = [limit.taught(now_ns) for limit in fleet]
        for limit, own in zip(fleet, told, strict=True):
            limit.hear(now_ns, 43, sum(x > 0 for x in told) - (own > 0), sum(told) - own)
            limit.follow(now_ns, 54, 54.0, True, ceiling=fleet[0].inner.explain()["refused_above"])
    assert {limit.inner.explain()["refused_above"] for limit in fleet} == {47}


def test_alone_again_refusals_wait_for_nobody() -> None:
    """What was not weighed when the view was lost is weighed on what is known."""
    limit = of_three()
    limit.hear(0, 20, 0, 0)
    for _ in range(3):
        limit.on_refused(MS, 14)
    assert limit.pool is not None
    limit.pool.share(0)
    limit.tick(400 * MS, 10)
    assert limit.inner.explain()["refused_above"] == 33
    limit.lift(500 * MS)
    limit.lead()
    assert not limit.is_beyond(60)


def test_a_call_beyond_the_ceiling_is_refused_for_want_of_places() -> None:
    """So it speaks for no quota; where no ceiling is known, or a limit is our own, all do."""
    limit = of_three()
    limit.hear(0, 33, 0, 0)
    assert not limit.is_beyond(16)
    limit.hear(100 * MS, 33, 2, 96)
    assert limit.is_beyond(16)
    assert not limit.is_beyond(15)
    assert not AdaptiveLimit(1).is_beyond(99)


def test_the_mean_of_what_others_were_taught_is_learned() -> None:
    """Two of them found a ceiling of 40 and 44; where a limit is fixed it stays."""
    limit = of_three()
    limit.hear(0, 20, 2, 84)
    assert isinstance(limit.inner, AdaptiveLimit)
    assert limit.inner.refusals.taught == 42
    fixed = SharedLimit(FixedLimit(64))
    fixed.hear(0, 20, 2, 84)
    fixed.on_refused(MS, 10)
    assert fixed.limit == 64
    assert fixed.taught(MS) == 0


def test_what_a_call_found_is_counted_as_of_its_dispatch() -> None:
    """A call of before the herd did not find the herd, though it was answered within it."""
    limit = of_three()
    limit.hear(0, 4, 0, 0)
    early = limit.on_dispatch(50 * MS, 3, False)
    limit.hear(100 * MS, 28, 0, 0)
    late = limit.on_dispatch(110 * MS, 10, False)
    limit.on_answer(150 * MS, early, 50 * MS, 3, 10)
    assert isinstance(limit.inner, AdaptiveLimit)
    assert limit.inner.refusals.top == 7
    limit.on_answer(200 * MS, late, 110 * MS, 10, 9)
    assert limit.inner.refusals.top == 38
    limit.assume(300 * MS, 0)
    assert limit.elsewhere == 0


def test_one_call_of_ours_may_take_a_place_before_it_comes_free() -> None:
    """Where places are learned and shared; not alone, nor beyond what was told or refused."""
    limit = of_three()
    limit.follow(0, 27, 27.0, True)
    assert limit.n_ahead == 1
    for _ in range(3):
        limit.on_refused(MS, 9)
    assert limit.n_ahead == 0, "held to what found room"
    alone, told = SharedLimit(AdaptiveLimit(1)), SharedLimit(FixedLimit(27))
    told.divide(1 / 3, 0, 3)
    assert (alone.n_ahead, told.n_ahead) == (0, 0)
    assert AdaptiveLimit(1).n_ahead == 0


def test_no_more_than_a_quarter_of_all_places_is_taken_ahead() -> None:
    """Ten governors before 27 places take six so, and by rank."""
    limits = []
    for rank in range(10):
        limit = SharedLimit(AdaptiveLimit(1))
        limit.divide(0.1, rank, 10)
        limit.follow(0, 27, 27.0, True)
        limits.append(limit)
    assert [x.n_ahead for x in limits] == [0] * 4 + [1] * 6


def test_nothing_is_taken_ahead_in_a_stall() -> None:
    """No place is about to come free."""
    limit, now_ns = of_three(), 0
    limit.follow(0, 27, 27.0, True)
    for _ in range(300):
        now_ns += 10 * MS
        phase = limit.on_dispatch(now_ns, 9, True)
        limit.on_answer(now_ns + 90 * MS, phase, now_ns, 9, 9)
        limit.on_depart(now_ns + 90 * MS, 90 * MS, True)
        limit.tick(now_ns, 9)
    limit.lead()
    assert limit.n_ahead == 1
    for _ in range(100):
        now_ns += 50 * MS
        limit.on_dispatch(now_ns, 9, True)
        limit.tick(now_ns, 9)
    assert limit.is_stalled
    assert limit.n_ahead == 0
