"""Quota headers become integers: whatever providers send, and nothing from what makes no sense."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.proxy.quota import MAX_WAIT_S, Quota, read_quota, read_retry_after_ns, read_wait_ns

S = 1_000_000_000
NOW_S = 1_780_000_000.0


def head(*fields: str) -> bytes:
    """A response head."""
    lines = ["HTTP/1.1 200 OK", "Content-Length: 0", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([], None),
        (["X-RateLimit-Limit: 60"], None),
        (
            [
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-limit-tokens: 150000",
                "x-ratelimit-remaining-requests: 59",
                "x-ratelimit-remaining-tokens: 15000",
                "x-ratelimit-reset-requests: 1s",
                "x-ratelimit-reset-tokens: 6m0s",
            ],
            Quota(1, 150_000, 15_000, 360 * S),
        ),
        (
            [
                "anthropic-ratelimit-input-tokens-limit: 1000",
                "anthropic-ratelimit-input-tokens-remaining: 900",
                "anthropic-ratelimit-input-tokens-reset: 2026-05-28T20:26:50Z",
                "Anthropic-Ratelimit-Requests-Limit: 50",
                "Anthropic-Ratelimit-Requests-Remaining: 10",
                "Anthropic-Ratelimit-Requests-Reset: 2026-05-28T20:26:50Z",
                "anthropic-ratelimit-unified-limit: 100",
                "anthropic-ratelimit-unified-remaining: 1",
            ],
            Quota(0, 50, 10, 10 * S),
        ),
        (
            ["X-RateLimit-Limit: 5000", "X-RateLimit-Remaining: 4999"]
            + ["X-RateLimit-Reset: 1780000060"],
            Quota(4, 5_000, 4_999, 60 * S),
        ),
        (
            ["RateLimit-Limit: 10, 10;w=1", "RateLimit-Remaining: 1", "RateLimit-Reset: 7"],
            Quota(4, 10, 1, 7 * S),
        ),
        (["RateLimit: limit=100, remaining=50, reset=30"], Quota(4, 100, 50, 30 * S)),
        (
            ['RateLimit-Policy: "default";q=100;w=60', 'RateLimit: "default";r=20;t=5'],
            Quota(4, 100, 20, 5 * S),
        ),
        (["x-ratelimit-limit: 10", "x-ratelimit-remaining: 99"], Quota(4, 10, 10, 0)),
        (["x-ratelimit-limit: 0", "x-ratelimit-remaining: 0"], None),
        (["x-ratelimit-limit: ten", "x-ratelimit-remaining: 5"], None),
    ],
)
def test_quota(fields: list[str], found: Quota | None) -> None:
    """Of the kinds that a head tells in full, the one of which the least share is left."""
    assert read_quota(head(*fields), NOW_S) == found


@pytest.mark.parametrize(
    ("fields", "wait_s"),
    [
        ([], 0.0),
        (["Retry-After: 3"], 3.0),
        (["retry-after: 3", "retry-after-ms: 250.5"], 0.2505),
        (["x-amz-retry-after: 1500", "Retry-After: 9"], 1.5),
        ([f"Retry-After: {formatdate(NOW_S + 90, usegmt=True)}"], 90.0),
        ([f"Retry-After: {formatdate(NOW_S - 90, usegmt=True)}"], 0.0),
        (["Retry-After: 99999999999"], MAX_WAIT_S),
        (["Retry-After: soon"], 0.0),
        (["Retry-After: -5"], 0.0),
        (["Retry-After: Mon, 99 Foo 2026 99:99:99 GMT"], 0.0),
    ],
)
def test_retry_after(fields: list[str], wait_s: float) -> None:
    """Milliseconds before seconds, an instant by the wall clock; rubbish is nothing."""
    assert read_retry_after_ns(head(*fields), NOW_S) == pytest.approx(wait_s * S)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (b"1h2m3s", 3_723.0),
        (b"1d", 86_400.0),
        (b"17.5s", 17.5),
        (b"20ms", 0.02),
        (b"0.5", 0.5),
        (b"2026-05-28T22:27:40.123+02:00", 60.0),
        (b"2026-13-28T22:27:40Z", None),
        (b"", None),
        (b"x", None),
        (b"-1", None),
        (b"1e9", None),
    ],
)
def test_ways_to_tell_a_reset(value: bytes, wait_s: float | None) -> None:
    """Durations as Go writes them, seconds, instants."""
    found = read_wait_ns(value, NOW_S)
    assert found == (None if wait_s is None else pytest.approx(wait_s * S))


NAMES = [b"x-ratelimit-limit-a", b"x-ratelimit-remaining-a", b"ratelimit", b"x-ratelimit-", b"a"]


@given(
    st.lists(st.tuples(st.sampled_from([*NAMES, b"retry-after"]), st.binary(max_size=200))),
    st.floats(-1e12, 1e12),
)
def test_anything_goes(fields: list[tuple[bytes, bytes]], wall_s: float) -> None:
    """No value breaks the readers, and what comes out is bounded."""
    lines = [name + b": " + value.replace(b"\r\n", b"") for name, value in fields]
    raw = b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n"
    quota = read_quota(raw, wall_s)
    assert 0 <= read_retry_after_ns(raw, wall_s) <= MAX_WAIT_S * S
    if quota is not None:
        assert 0 <= quota.remaining <= quota.limit
        assert 0 <= quota.reset_ns <= MAX_WAIT_S * S
