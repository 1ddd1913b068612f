"""What refusals teach: a ceiling to the call, or a rate."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policies.limit.adaptive import AdaptiveLimit
from policies.limit.fixed import FixedLimit
from policies.limit.refusals import (
    LIFTED_NS,
    MEMORY_NS,
    NO_CEILING,
    PERIOD_NS,
    PROBE_NS,
    PROBED_NS,
    Refusals,
)

MS = 1_000_000
S = 1_000_000_000


def burst(refusals: Refusals, now_ns: int, n: int, bound: int) -> int:
    """Send ``n`` calls at once to a service that takes ``bound``; return how many it refused."""
    for in_flight in range(bound + 1, n + 1):
        refusals.on_refused(now_ns, in_flight)
    return max(0, n - bound)


@given(st.integers(1, 500), st.integers(3, 400))
def test_one_burst_tells_the_bound_to_the_call(bound: int, excess: int) -> None:
    """A bounded service refuses exactly those that find it full."""
    refusals = Refusals()
    burst(refusals, S, bound + excess, bound)
    assert refusals.ceiling == bound


def test_one_refusal_is_an_accident() -> None:
    """Fewer than three within a period change nothing."""
    refusals = Refusals()
    for number in range(20):
        now_ns = number * PERIOD_NS
        refusals.tick(now_ns, 4, 10)
        assert not refusals.on_refused(now_ns, 5)
        assert not refusals.on_refused(now_ns, 7)
    assert refusals.ceiling == NO_CEILING


def test_a_full_ceiling_is_tried_later_and_later() -> None:
    """One more is let in after 10 s, and after each try in vain twice as late."""
    refusals = Refusals()
    burst(refusals, 0, 60, 40)
    tried_s = []
    for now_ns in range(0, 200 * S, 50 * MS):
        if refusals.tick(now_ns, refusals.ceiling, 100):
            tried_s.append(now_ns / S)
            refusals.on_refused(now_ns + MS, 41)
            assert refusals.ceiling == 40
    gaps = [round(b - a) for a, b in pairwise(tried_s)]
    assert round(tried_s[0]) == PROBE_NS // S
    assert gaps == [20, 40, 80]


def test_a_bound_that_has_moved_is_followed() -> None:
    """A try that meets no refusal is followed by the next one 10 s later."""
    refusals = Refusals()
    burst(refusals, 0, 60, 40)
    for now_ns in range(0, 45 * S, 50 * MS):
        refusals.tick(now_ns, refusals.ceiling, 100)
    assert refusals.ceiling == 44


def test_a_try_that_succeeded_leaves_accidents_accidents() -> None:
    """Long after a try, a single refusal lowers nothing."""
    refusals = Refusals()
    burst(refusals, 0, 60, 40)
    refusals.tick(0, 40, 0)
    assert refusals.tick(PROBE_NS + PERIOD_NS, 40, 0)
    refusals.tick(PROBE_NS + 2 * PERIOD_NS + PROBED_NS, 12, 0)
    refusals.on_refused(PROBE_NS + 3 * PERIOD_NS + PROBED_NS, 12)
    assert refusals.ceiling == 41


def test_an_idle_ceiling_is_not_tried() -> None:
    """Where fewer are in flight than may be, one more place would teach nothing."""
    refusals = Refusals()
    burst(refusals, 0, 60, 40)
    assert not any(refusals.tick(n * PERIOD_NS, 20, 10) for n in range(1000))


def test_calls_refused_alone_are_short_of_rate() -> None:
    """A quota refuses at any number in flight: no ceiling, but a rate for invitations."""
    refusals = Refusals()
    for number in range(100):
        now_ns = number * 50 * MS
        refusals.on_refused(now_ns, 1 + number % 2)
        refusals.tick(now_ns, 1, 2 * number)  # 40 a second are answered
    assert refusals.ceiling == NO_CEILING
    assert 36.0 <= refusals.bound_hz(5 * S, 300.0) <= 44.0
    assert refusals.bound_hz(5 * S, 3.0) == 3.0
    assert refusals.bound_hz(5 * S + MEMORY_NS, 300.0) == 300.0


def test_what_idles_teaches_no_lower_rate() -> None:
    """Slots that leave a quota idle must not be read as a smaller quota."""
    refusals = Refusals()
    n_answered = 0
    for number in range(200):
        now_ns = number * 50 * MS
        n_answered += 4 if number < 40 else 1
        refusals.on_refused(now_ns, 1)
        refusals.tick(now_ns, 1, n_answered)
    assert refusals.bound_hz(10 * S, 300.0) > 40.0


def test_refusals_among_answers_say_nothing_of_places() -> None:
    """A route whose backend is gone refuses calls that find fewer before them than others do."""
    limit = AdaptiveLimit(1)
    before = limit.limit
    for n in range(200):
        now_ns = S + n * 10 * MS
        phase = limit.on_dispatch(now_ns, 30, False)
        limit.on_answer(now_ns + MS, phase, now_ns, 30, 30)
        limit.on_refused(now_ns + MS, 5 + n % 20)
        limit.tick(now_ns + MS, 20)
    assert limit.limit >= before
    assert limit.explain()["refused_above"] == 0


def test_a_ceiling_that_answers_contradict_is_given_up() -> None:
    """What a burst seemed to show, later refusals far below it disprove."""
    refusals = Refusals()
    burst(refusals, 0, 60, 40)
    refusals.tick(0, 40, 0)
    refusals.top = 40
    changes = [refusals.on_refused(2 * S, 12) for _ in range(3)]
    assert any(changes)
    assert refusals.ceiling == NO_CEILING


def test_places_are_suspected_again_a_minute_later() -> None:
    """What was a quota may become a bounded queue."""
    refusals = Refusals()
    for _ in range(3):
        refusals.on_refused(0, 1)
    burst(refusals, LIFTED_NS // 2, 60, 40)
    assert refusals.ceiling == NO_CEILING
    refusals.tick(LIFTED_NS, 0, 0)
    refusals.tick(LIFTED_NS + PERIOD_NS, 0, 0)
    burst(refusals, LIFTED_NS + PERIOD_NS, 60, 40)
    assert refusals.ceiling == 40


def test_the_adaptive_limit_obeys_at_once() -> None:
    """The limit falls to the bound within the burst that showed it, and explains it."""
    limit = AdaptiveLimit(1)
    for in_flight in range(21, 33):
        limit.on_refused(S, in_flight)
    assert limit.limit == 20
    assert limit.explain()["refused_above"] == 20


def test_a_fixed_limit_stays() -> None:
    """Who fixed the limit means it; only the rate of invitations follows."""
    limit = FixedLimit(50)
    for in_flight in range(21, 33):
        limit.on_refused(S, in_flight)
    assert limit.limit == 50


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300), st.booleans()), max_size=200),
)
def test_whatever_comes_the_ceiling_is_positive(events: list[tuple[int, int, bool]]) -> None:
    """No sequence of refusals and silences closes the door for good."""
    refusals = Refusals()
    now_ns = 0
    for steps, in_flight, is_refusal in events:
        now_ns += steps * 10 * MS
        if is_refusal:
            refusals.on_refused(now_ns, in_flight)
        else:
            refusals.tick(now_ns, in_flight, in_flight)
        assert 1 <= refusals.ceiling <= NO_CEILING
        assert refusals.bound_hz(now_ns, 10.0) >= 0.0


def test_told_is_what_our_own_refusals_have_shown_and_no_more() -> None:
    """What was heard of others is believed, but who tells it again would hear it for ever."""
    refusals = Refusals()
    burst(refusals, S, 40, 30)
    assert refusals.hear(S + MS, 13)
    assert refusals.ceiling == 13
    assert refusals.shown(S + MS, 300 * MS) == 30
    assert refusals.shown(2 * S, 300 * MS) == 0, "old news"
    heard = Refusals()
    assert heard.hear(S, 13)
    assert heard.shown(S, 300 * MS) == 0


def test_what_others_have_met_lowers_a_ceiling_and_never_raises_it() -> None:
    """The lowest holds; a try for one more that met refusals elsewhere was in vain."""
    refusals = Refusals()
    assert refusals.hear(0, 40)
    assert not refusals.hear(0, 41)
    assert refusals.ceiling == 40
    assert refusals.tick(PROBE_NS, 40, 10) or refusals.tick(2 * PROBE_NS, 40, 10)
    assert refusals.ceiling == 41
    assert refusals.hear(3 * PROBE_NS, 40)
    assert not refusals.tick(4 * PROBE_NS, 40, 10), "the next try waits twice as long"
    refusals.lift(5 * PROBE_NS)
    assert not refusals.hear(5 * PROBE_NS + MS, 30), "a rate is what is short"


def test_a_follower_believes_what_it_is_told_but_for_what_it_saw_just_now() -> None:
    """Its own ceiling binds while it is news; then the leader's does, also if there is none."""
    refusals = Refusals()
    burst(refusals, S, 40, 30)
    assert refusals.shown(S, 300 * MS) == 30
    assert not refusals.follow(S + MS, 48, 300 * MS)
    assert refusals.ceiling == 30
    assert refusals.follow(2 * S, 48, 300 * MS)
    assert refusals.taught == 48
    assert refusals.follow(3 * S, 0, 300 * MS)
    assert refusals.taught == 0
    assert not refusals.shown(3 * S, 10 * S), "there is none to tell of"
    refusals.lift(4 * S)
    assert not refusals.follow(4 * S, 20, 300 * MS)
