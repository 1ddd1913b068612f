"""The retry laws against the SDKs' own code where it is installed, else against its documents."""

from __future__ import annotations

import math
from random import Random
from types import SimpleNamespace

import pytest

from governor.load.laws import LAWS, TRANSPORT, Failure, RetryQuota

HINTS: list[dict[str, str]] = [
    {},
    {"retry-after": "3"},
    {"retry-after": "0"},
    {"retry-after": "0.25"},
    {"retry-after": "-1"},
    {"retry-after": "61"},
    {"retry-after": "120"},
    {"retry-after": "121"},
    {"retry-after": "soon"},
    {"retry-after-ms": "1500"},
    {"retry-after-ms": "1500", "retry-after": "9"},
    {"retry-after-ms": "x", "retry-after": "9"},
    {"x-should-retry": "false"},
    {"x-should-retry": "true"},
    {"x-should-retry": "false", "retry-after": "2"},
]
STATUSES = [400, 408, 409, 413, 429, 500, 502, 503, 504, 529]


class Fixed(Random):
    """Draws the same number always."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self._value = value

    def random(self) -> float:
        """Return the fixed draw."""
        return self._value


class Sdk:
    """The installed Stainless SDK's own code, asked for one failure at a time."""

    def __init__(self, name: str) -> None:
        module = pytest.importorskip(name)
        self.base = pytest.importorskip(f"{name}._base_client")
        kind = "OpenAI" if name == "openai" else "Anthropic"
        self._client = getattr(module, kind)(api_key="k", max_retries=6)

    def delay_s(self, retries: int, failure: Failure) -> float | None:
        """Return the delay that the SDK computes, None if it would not retry."""
        headers = self.base.httpx2.Headers(dict(failure.headers))
        response = SimpleNamespace(headers=headers, status_code=failure.status)
        if not self._client._should_retry(response):
            return None
        options = SimpleNamespace(get_max_retries=lambda default: default)
        delay: float = self._client._calculate_retry_timeout(6 - retries, options, headers)
        return delay

    def close(self) -> None:
        """Close the client."""
        self._client.close()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_stainless_laws_equal_the_sdks_code(sdk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every status, hint and attempt the law gives what the installed SDK computes."""
    law, asked = LAWS[sdk], Sdk(sdk)
    monkeypatch.setattr(asked.base, "random", lambda: 0.37)
    for status in STATUSES:
        for headers in HINTS:
            for retries in (0, 2, 5):
                failure = Failure(status, headers)
                expected = asked.delay_s(retries, failure)
                got = law.next_delay_s(retries, Fixed(0.37), failure, max_retries=6)
                assert got == pytest.approx(expected), (status, headers, retries)
    asked.close()


def test_stainless_laws_read_dates_against_the_instant_of_failure() -> None:
    """An HTTP date in Retry-After counts from the moment at which the reply came."""
    failure = Failure(429, {"retry-after": "Thu, 01 Jan 1970 00:16:45 GMT"}, at_unix_s=1000.0)
    assert LAWS["openai"].next_delay_s(0, Random(1), failure) == pytest.approx(5.0)
    assert LAWS["anthropic"].next_delay_s(0, Random(1), failure) == pytest.approx(5.0)


def test_boto3_equals_botocores_code() -> None:
    """Delay and the bounds around x-amz-retry-after are those of botocore's own class."""
    standard = pytest.importorskip("botocore.retries.standard")
    for status, is_throttled in ((500, False), (429, True)):
        for headers in ({}, {"x-amz-retry-after": "2500"}, {"x-amz-retry-after": "60000"}):
            detector = SimpleNamespace(
                is_throttling_error_from_context=lambda _c, is_it=is_throttled: is_it
            )
            backoff = standard.ExponentialBackoff(
                random=lambda: 0.6, service_name="s3", throttling_detector=detector
            )
            for retries in range(6):
                context = SimpleNamespace(
                    attempt_number=retries + 1,
                    http_response=SimpleNamespace(headers=headers, status_code=status),
                )
                got = LAWS["boto3"].next_delay_s(
                    retries, Fixed(0.6), Failure(status, headers), max_retries=6
                )
                assert got == pytest.approx(backoff.delay_amount(context))


def test_urllib3_equals_urllib3s_code() -> None:
    """Which replies are repeated, and after how long, is what urllib3's Retry says."""
    retry_module = pytest.importorskip("urllib3.util.retry")
    for status in STATUSES:
        for headers in ({}, {"retry-after": "7"}, {"retry-after": "99999"}):
            retry = retry_module.Retry()
            expected = None
            if retry.is_retry("GET", status, has_retry_after="retry-after" in headers):
                expected = retry.parse_retry_after(headers["retry-after"])
            got = LAWS["urllib3"].next_delay_s(0, Random(1), Failure(status, headers))
            assert got == expected
    assert retry_module.Retry().increment("GET", "/").get_backoff_time() == 0
    assert LAWS["urllib3"].next_delay_s(0, Random(1), Failure(TRANSPORT)) == 0.0


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("openai", [(0.375, 0.5), (0.75, 1.0)]),
        ("anthropic", [(0.375, 0.5), (0.75, 1.0)]),
        ("codex", [(0.18, 0.22), (0.36, 0.44), (0.72, 0.88), (1.44, 1.76)]),
        ("openai-agents", [(0.21875, 0.28125), (0.4375, 0.5625)]),
        ("vercel", [(2.0, 2.0), (4.0, 4.0)]),
        ("opencode", [(2.0, 2.0), (4.0, 4.0), (8.0, 8.0), (16.0, 16.0), (30.0, 30.0)]),
        ("gemini-cli", [(3.5, 6.5), (7.0, 13.0), (14.0, 26.0), (21.0, 39.0)]),
        ("google-api-core", [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0)]),
        ("boto3", [(0.0, 0.05), (0.0, 0.1)]),
        ("boto3-legacy", [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 8.0)]),
        ("tenacity-exponential", [(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]),
        ("tenacity-full-jitter", [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0)]),
        ("tenacity-exponential-jitter", [(1.0, 2.0), (2.0, 3.0)]),
        ("pydantic-ai", [(1.0, 1.0), (2.0, 2.0)]),
        ("langgraph", [(0.5, 1.5), (1.0, 2.0)]),
        ("litellm", [(0.5, 1.25), (1.0, 1.75)]),
        ("envoy", [(0.0, 0.025)]),
    ],
)
def test_bands_without_a_hint(name: str, bands: list[tuple[float, float]]) -> None:
    """After a 503 without a hint, each retry falls into the documented band and fills it."""
    rng = Random(5)
    for retries, (low, high) in enumerate(bands):
        drawn = [LAWS[name].next_delay_s(retries, rng, Failure(503)) for _ in range(400)]
        seen = [delay for delay in drawn if delay is not None]
        assert len(seen) == 400
        assert low <= min(seen)
        assert max(seen) <= high
        if high > low:
            assert max(seen) - min(seen) > 0.8 * (high - low)


@pytest.mark.parametrize("name", sorted(LAWS))
def test_every_law_stops_after_its_retries(name: str) -> None:
    """No law gives a delay once its retries are used up, and no delay is negative."""
    law = LAWS[name]
    rng = Random(2)
    assert law.next_delay_s(law.max_retries, rng, Failure(503)) is None
    for retries in range(min(law.max_retries, 8)):
        for failure in (Failure(), Failure(429, {"retry-after": "2"}), Failure(503)):
            delay_s = law.next_delay_s(retries, rng, failure)
            assert delay_s is None or (delay_s >= 0 and math.isfinite(delay_s))


def test_hints_that_are_not_verbatim() -> None:
    """Gemini CLI and LiteLLM add their jitter to a hint; Claude Code reads whole seconds only."""
    failure = Failure(429, {"retry-after": "40"})
    assert 40.0 <= (LAWS["gemini-cli"].next_delay_s(0, Random(1), failure) or 0) <= 48.0
    assert 40.0 <= (LAWS["litellm"].next_delay_s(0, Random(1), failure) or 0) <= 40.75
    assert LAWS["claude-code"].next_delay_s(0, Random(1), failure) == 40.0
    assert (
        LAWS["claude-code"].next_delay_s(0, Random(1), Failure(429, {"retry-after": "61"})) is None
    )
    own = LAWS["claude-code"].next_delay_s(0, Random(1), Failure(429, {"retry-after": "0.2"}))
    assert own is not None
    assert 0.375 <= own <= 0.5


def test_mcp_does_not_retry_a_refusal() -> None:
    """An MCP POST is never repeated; only an ended stream is opened again after a second."""
    assert LAWS["mcp"].next_delay_s(0, Random(1), Failure(429, {"retry-after": "1"})) is None
    assert LAWS["mcp-stream"].next_delay_s(0, Random(1), Failure(503)) is None
    assert LAWS["mcp-stream"].next_delay_s(1, Random(1), Failure()) == 1.0


def test_the_deadline_ends_google_api_core() -> None:
    """It gives up when the next attempt would begin after 120 s."""
    law = LAWS["google-api-core"]
    assert law.next_delay_s(9, Fixed(0.9), Failure(503), elapsed_s=60.0) is not None
    assert law.next_delay_s(9, Fixed(0.9), Failure(503), elapsed_s=70.0) is None


def test_quota_empties_and_refills() -> None:
    """Retries cost 14 (5 when throttled); an empty bucket refuses; successes give back."""
    quota = RetryQuota()
    taken = [quota.take(Failure(500)) for _ in range(40)]
    assert taken.count(14) == 35
    assert taken[-1] == 0
    assert quota.take(Failure(429)) == 5
    quota.give_back(5)
    quota.give_back(0)
    assert quota.available == 500 - 35 * 14 + 1
