"""Failures in a row put an endpoint out of use; one call finds out; a ramp brings it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decision import Outcome
from policies.ejection import (
    FIRST_SHARE,
    MAX_REST_NS,
    PROBE_TIMEOUT_NS,
    RAMP_NS,
    REST_NS,
    Health,
    Verdict,
    judge,
)

S = 1_000_000_000


def fail(health: Health, now_ns: int, n: int = 5) -> None:
    """Let calls fail that were sent in time."""
    for _ in range(n):
        health.failed(now_ns, object(), is_unreached=False)


def probe(health: Health, now_ns: int, is_answered: bool) -> None:
    """Send the probe and end it at once."""
    call = object()
    health.sent(now_ns, call)
    assert health.probe is call
    if is_answered:
        health.succeeded(now_ns, now_ns)
    else:
        health.failed(now_ns, call, is_unreached=True)


@pytest.mark.parametrize(
    ("outcome", "status", "retry_after_ns", "verdict"),
    [
        (Outcome.COMPLETED, 200, 0, Verdict.ANSWERED),
        (Outcome.COMPLETED, 404, 0, Verdict.ANSWERED),
        (Outcome.REFUSED, 429, 0, Verdict.ANSWERED),
        (Outcome.REFUSED, 503, S, Verdict.ANSWERED),
        (Outcome.REFUSED, 503, 0, Verdict.FAILED),
        (Outcome.FAILED, 500, 0, Verdict.FAILED),
        (Outcome.FAILED, 502, 0, Verdict.FAILED),
        (Outcome.FAILED, 501, 0, Verdict.ANSWERED),
        (Outcome.FAILED, 408, 0, Verdict.ANSWERED),
        (Outcome.FAILED, 200, 0, Verdict.FAILED),
        (Outcome.ORPHANED, 200, 0, Verdict.ANSWERED),
        (Outcome.ORPHANED, 0, 0, Verdict.FAILED),
        (Outcome.CANCELLED, 0, 0, Verdict.UNTOLD),
        (Outcome.CANCELLED, 200, 0, Verdict.ANSWERED),
        (Outcome.UNSENT, 0, 0, Verdict.UNTOLD),
        (Outcome.UNSENT, 502, 0, Verdict.UNTOLD),
    ],
)
def test_what_an_end_says(
    outcome: Outcome, status: int, retry_after_ns: int, verdict: Verdict
) -> None:
    """5xx but 501, breaks and silence are failures; a dated 503 says full, not broken."""
    assert judge(outcome, status, retry_after_ns) is verdict


def test_five_failures_in_a_row_or_two_unreached() -> None:
    """An answer in between shows that it can; what cannot be reached is out after two."""
    health = Health()
    fail(health, S, 4)
    health.succeeded(S, S)
    fail(health, S, 4)
    assert not health.is_sick
    fail(health, S, 1)
    assert (health.is_sick, health.is_unreached, health.state) == (True, False, "ejected")
    other = Health()
    for _ in range(2):
        other.failed(S, object(), is_unreached=True)
    assert (other.is_sick, other.is_unreached) == (True, True)


def test_rests_double_up_to_a_minute() -> None:
    """A probe that fails begins the next rest: 1 s, 2 s, 4 s, … 60 s."""
    health = Health()
    now_ns = 0
    fail(health, now_ns)
    rests_s = []
    for _ in range(9):
        rests_s.append((health.rests_until_ns - now_ns) // S)
        assert not health.is_due(health.rests_until_ns - 1)
        now_ns = health.rests_until_ns
        probe(health, now_ns, is_answered=False)
    assert rests_s == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert health.n_ejections == 10


def test_one_probe_at_a_time() -> None:
    """While one call finds out, no second is due; one without a verdict is followed by another."""
    health = Health()
    fail(health, 0)
    call = object()
    health.sent(REST_NS, call)
    assert health.state == "probing"
    assert not health.is_due(5 * S)
    health.told_nothing(5 * S, object())
    assert health.probe is call
    health.told_nothing(5 * S, call)
    assert not health.is_due(5 * S + REST_NS - 1)
    assert health.is_due(5 * S + REST_NS)


def test_a_silent_probe_has_failed_until_it_answers() -> None:
    """After ten seconds the next rest begins; an answer that comes later brings it back."""
    health = Health()
    fail(health, 0)
    health.sent(REST_NS, object())
    health.tick(REST_NS + PROBE_TIMEOUT_NS - 1)
    assert health.state == "probing"
    health.tick(REST_NS + PROBE_TIMEOUT_NS)
    assert health.state == "ejected"
    health.succeeded(REST_NS + PROBE_TIMEOUT_NS + 1, REST_NS)
    assert health.state == "ramping"


def test_calls_from_before_say_nothing_new() -> None:
    """What was under way when the endpoint went out neither prolongs nor ends its rest."""
    health = Health()
    fail(health, 3 * S, 50)
    assert health.rests_until_ns == 3 * S + REST_NS
    health.succeeded(3 * S + 1, S)
    assert health.is_sick


def test_rests_start_anew_after_a_whole_ramp() -> None:
    """Who falls during its ramp rests longer than before; who went through it, one second."""
    for fallen_after_ns, rest_ns in ((RAMP_NS // 2, 2 * REST_NS), (RAMP_NS, REST_NS)):
        health = Health()
        fail(health, 0)
        probe(health, REST_NS, is_answered=True)
        again_ns = REST_NS + fallen_after_ns
        fail(health, again_ns)
        assert health.rests_until_ns == again_ns + rest_ns


@given(st.lists(st.integers(0, 2 * RAMP_NS), min_size=2, max_size=30))
def test_the_ramp_only_rises(instants: list[int]) -> None:
    """From a tenth to the whole, never less later than sooner."""
    health = Health()
    fail(health, 0)
    assert health.share(REST_NS) == 0.0
    probe(health, REST_NS, is_answered=True)
    shares = [health.share(REST_NS + at_ns) for at_ns in sorted(instants)]
    assert shares == sorted(shares)
    assert all(FIRST_SHARE <= share <= 1.0 for share in shares)


EVENTS = st.tuples(
    st.sampled_from(["fail", "unreached", "good", "none", "tick"]), st.integers(0, S)
)


@given(st.lists(EVENTS, max_size=120))
def test_rest_is_bounded(events: list[tuple[str, int]]) -> None:
    """Whatever happens, a sick endpoint is due again within a minute or has its probe under way."""
    health, now_ns = Health(), S
    for kind, pause_ns in events:
        now_ns += pause_ns
        call = object()
        if health.is_due(now_ns):
            health.sent(now_ns, call)
        if kind == "tick":
            health.tick(now_ns)
        elif kind == "good":
            health.succeeded(now_ns, now_ns)
        elif kind == "none":
            health.told_nothing(now_ns, call)
        else:
            health.failed(now_ns, call, kind == "unreached")
        assert health.is_sick == (health.share(now_ns) == 0.0)
        if health.is_sick and health.probe is None:
            assert health.rests_until_ns <= now_ns + MAX_REST_NS
