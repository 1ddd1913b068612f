"""A quota is told from its refusals, whatever its bucket and however the calls come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.service.bucket import TokenBucket
from policies.quota import (
    BACK_KNOWN_S,
    BACK_S,
    CREEP_HZ,
    DOUBT_NS,
    MEMORY_NS,
    N_ACCEPTED_MIN,
    Quota,
)

MS = 1_000_000
S = 1_000_000_000


class Flood:
    """Calls that come at ``offered_hz`` to a token bucket, paced once a quota is known."""

    def __init__(self, rate_hz: float, depth: float, reply_ns: int = 0) -> None:
        self.quota = Quota()
        self.bucket = TokenBucket(rate_hz, depth, 0.0)
        self.reply_ns = reply_ns
        self.n_accepted = 0
        self.n_refused = 0
        self.now_ns = 0
        self.tick_ns = 0
        self._replies: list[tuple[int, int]] = []

    def run(self, seconds: float, offered_hz: float) -> None:
        """Offer calls for so long; who finds no room waits, so it is offered again."""
        step_ns = int(1e9 / offered_hz)
        until_ns = self.now_ns + int(seconds * S)
        while self.now_ns < until_ns:
            self.now_ns += step_ns
            while self._replies and self._replies[0][0] <= self.now_ns:
                reply_ns, sent_ns = self._replies.pop(0)
                self.n_accepted -= 1
                self.quota.on_refused(reply_ns, sent_ns, self.n_accepted)
            if self.now_ns - self.tick_ns >= 50 * MS:
                self.tick_ns = self.now_ns
                self.quota.tick(self.now_ns, True)
            self.quota.fill(self.now_ns)
            if not self.quota.has_room:
                continue
            self.quota.take()
            self.n_accepted += 1
            if not self.bucket.take(self.now_ns * 1e-9):
                self.n_refused += 1
                self._replies.append((self.now_ns + self.reply_ns, self.now_ns))


@settings(max_examples=30, deadline=None)
@given(
    st.floats(10.0, 500.0),
    st.floats(0.25, 3.0),
    st.floats(2.0, 20.0),
    st.sampled_from([0, 2 * MS, 100 * MS]),
)
def test_the_rate_is_found_within_a_quarter(
    rate_hz: float, depth_s: float, excess: float, reply_ns: int
) -> None:
    """Depth, flood and the time that a refusal takes change nothing."""
    depth = max(3.0, depth_s * rate_hz)
    flood = Flood(rate_hz, depth, reply_ns)
    flood.run((depth + 3 * N_ACCEPTED_MIN) / rate_hz / (1.0 - 1.0 / excess) + 1.0, excess * rate_hz)
    assert flood.quota.rate_hz == pytest.approx(rate_hz, rel=0.25)


@pytest.mark.parametrize("rate_hz", [20.0, 80.0, 500.0])
@pytest.mark.parametrize("depth", [5.0, 200.0])
def test_paced_calls_use_the_quota_and_are_hardly_refused(rate_hz: float, depth: float) -> None:
    """Over 20 s of waiting, at least 97 % of the quota is used and 3 % of the calls refused."""
    flood = Flood(rate_hz, depth, 2 * MS)
    flood.run((depth + 20.0) / rate_hz + 1.0, 5.0 * rate_hz)
    n_accepted, n_refused = flood.n_accepted, flood.n_refused
    flood.run(20.0, 5.0 * rate_hz)
    served = flood.n_accepted - n_accepted
    assert served >= 0.97 * 20.0 * rate_hz
    assert flood.n_refused - n_refused <= 0.03 * served


def test_a_raised_quota_is_found() -> None:
    """Ten times as much is used within half a minute of waiting."""
    flood = Flood(40.0, 20.0)
    flood.run(5.0, 800.0)
    flood.bucket.rate_hz = 400.0
    flood.run(30.0, 800.0)
    n_accepted = flood.n_accepted
    flood.run(5.0, 800.0)
    assert flood.n_accepted - n_accepted >= 0.9 * 5.0 * 400.0


def test_a_lowered_quota_is_followed() -> None:
    """A quota that falls to half is known within three seconds."""
    flood = Flood(200.0, 20.0)
    flood.run(5.0, 1000.0)
    flood.bucket.rate_hz = 100.0
    flood.run(3.0, 1000.0)
    assert flood.quota.rate_hz == pytest.approx(100.0, rel=0.15)


def test_a_moment_of_refusals_tells_no_rate() -> None:
    """A bounded queue that fills refuses for some milliseconds: nothing is paced."""
    quota = Quota()
    for n in range(200):
        quota.on_refused(S + n * MS // 4, S + n * MS // 4, 48)
    quota.tick(S + 60 * MS, True)
    assert not quota.is_known
    assert quota.has_room
    assert quota.bound_hz(300.0) == 300.0


def test_what_refuses_as_before_when_paced_is_no_quota() -> None:
    """Half of the calls fail whatever is sent: soon nothing is paced any more."""
    quota = Quota()
    was_known = False
    n_accepted = 0
    for n in range(1, 2000):
        now_ns = n * 5 * MS
        quota.fill(now_ns)
        if quota.has_room:
            quota.take()
            if n % 2:
                n_accepted += 1
            else:
                quota.on_refused(now_ns, now_ns, n_accepted)
        if n % 10 == 0:
            quota.tick(now_ns, True)
            was_known = was_known or quota.is_known
    assert was_known
    assert not quota.is_known
    assert quota.has_room
    assert 2000 * 5 * MS < DOUBT_NS


def known(rate_hz: float = 100.0) -> Flood:
    """Return a flood whose quota is known."""
    flood = Flood(rate_hz, 10.0)
    flood.run(1.0, 5.0 * rate_hz)
    assert flood.quota.is_known
    return flood


def test_a_refusal_takes_back_what_has_crept_up() -> None:
    """After a paced call was refused, the pace is a twentieth below the rate."""
    flood = known()
    quota = flood.quota
    now_ns = flood.now_ns
    quota.on_refused(now_ns, now_ns, flood.n_accepted)
    assert quota.pace_hz == pytest.approx(quota.rate_hz * (1.0 - BACK_S * CREEP_HZ))


def test_a_confirmed_rate_is_left_more_slowly() -> None:
    """Once refusals at our own pace agree on the rate, they come half as often as before."""
    flood = Flood(80.0, 40.0)
    flood.run(10.0, 160.0)
    n_by_10_s = flood.n_refused
    flood.run(30.0, 160.0)
    n_later = flood.n_refused - n_by_10_s
    assert flood.quota.rate_hz == pytest.approx(80.0, rel=0.05)
    assert n_later <= 30.0 / (1.5 * BACK_KNOWN_S)
    assert flood.n_accepted >= 0.97 * (40.0 + 40.0 * 80.0)


def test_a_doubted_quota_is_not_measured_by_what_was_refused_before() -> None:
    """Doubt forgets the refusals too: the next tick finds nothing to weigh."""
    quota = Quota()
    for n in range(40):
        quota.on_refused(n * 10 * MS, n * 10 * MS, n)
    quota.doubt(400 * MS)
    assert not quota.tick(400 * MS, is_waiting=True)
    assert quota.is_settled


def test_a_quota_is_forgotten() -> None:
    """A minute after its last refusal nothing is paced."""
    quota = known().quota
    quota.tick(S + MEMORY_NS // 2, False)
    assert quota.is_known
    quota.tick(3 * S + MEMORY_NS, False)
    assert not quota.is_known
    assert quota.has_room
