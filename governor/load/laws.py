"""When each SDK calls again, as pure functions of attempt, randomness and reply.

*Rule of this file*: exact defaults of the named release, nothing smoothed. A law
is asked after a failed attempt and returns the delay in seconds, or None when
the SDK gives up. No clock: a date in ``Retry-After`` is read against the
failure's own instant.

*Source*: the SDKs' own code (openai 3.52, anthropic 2.11, botocore 1.44,
urllib3 2.8, tenacity 9.2, google-api-core 2.44, mcp 2.3, langgraph 1.2);
``tests/load/test_laws.py`` compares with those that are installed.
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

TRANSPORT = 0
"""Status of an attempt that got no reply: time-out or broken connection."""

STAINLESS_STATUSES = frozenset({408, 409, 429})
STAINLESS_FIRST_S, STAINLESS_MAX_S = 0.5, 8.0
OPENAI_HINT_MAX_S = 120.0
ANTHROPIC_HINT_MAX_S = 4_294_967.0


@dataclass(frozen=True)
class Failure:
    """How an attempt failed.

    Attributes
    ----------
    status : int
        HTTP status, or ``TRANSPORT``.
    headers : mapping of str to str
        Reply headers by lower-case name.
    at_unix_s : float
        When it failed; only dates in ``Retry-After`` need it.
    """

    status: int = TRANSPORT
    headers: Mapping[str, str] = field(default_factory=dict)
    at_unix_s: float = 0.0


Delay = Callable[[int, Random, Failure], "float | None"]
"""(retries already made, rng, failure) -> seconds to sleep, None: not retried."""


@dataclass(frozen=True)
class Law:
    """One SDK's way to retry.

    Attributes
    ----------
    name : str
    max_retries : int
        The SDK's default; attempts in all are one more.
    delay : Delay
        Ignores ``max_retries``.
    deadline_s : float
        Gives up when the next attempt would begin later than this.
    """

    name: str
    max_retries: int
    delay: Delay
    deadline_s: float = math.inf

    def next_delay_s(
        self,
        retries: int,
        rng: Random,
        failure: Failure,
        max_retries: int | None = None,
        elapsed_s: float = 0.0,
    ) -> float | None:
        """Return how long the SDK sleeps before it calls again; None if it gives up."""
        if retries >= (self.max_retries if max_retries is None else max_retries):
            return None
        delay_s = self.delay(retries, rng, failure)
        if delay_s is None or elapsed_s + delay_s > self.deadline_s:
            return None
        return delay_s


def number(text: str | None) -> float | None:
    """Return the float in a header value, None if there is none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def retry_after_s(failure: Failure) -> float | None:
    """Return the server's hint as the Stainless SDKs read it: ms, then seconds, then a date."""
    milliseconds = number(failure.headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    text = failure.headers.get("retry-after")
    seconds = number(text)
    if seconds is not None or text is None:
        return seconds
    date = email.utils.parsedate_tz(text)
    return None if date is None else email.utils.mktime_tz(date) - failure.at_unix_s


def wants_retry(status: int) -> bool:
    """Return whether an ordinary client repeats after this status: none, 408, 429, 5xx."""
    return status in (TRANSPORT, 408, 429) or status >= 500


def stainless_retries(failure: Failure) -> bool:
    """Return whether a Stainless SDK repeats: ``x-should-retry`` first, then the status."""
    said = failure.headers.get("x-should-retry")
    if said in ("true", "false"):
        return said == "true"
    status = failure.status
    return status == TRANSPORT or status in STAINLESS_STATUSES or status >= 500


def stainless_backoff_s(retries: int, rng: Random) -> float:
    """Return min(0.5 * 2^n, 8) less up to a quarter."""
    return min(STAINLESS_FIRST_S * 2.0**retries, STAINLESS_MAX_S) * (1.0 - 0.25 * rng.random())


def openai(retries: int, rng: Random, failure: Failure) -> float | None:
    """Obey a hint of up to 120 s verbatim, stop on a longer one, else back off."""
    hint_s = retry_after_s(failure)
    if hint_s is not None and math.isfinite(hint_s):
        if hint_s > OPENAI_HINT_MAX_S:
            return None
        if hint_s > 0 and stainless_retries(failure):
            return hint_s
    return stainless_backoff_s(retries, rng) if stainless_retries(failure) else None


def anthropic(retries: int, rng: Random, failure: Failure) -> float | None:
    """Obey any hint verbatim, else back off."""
    if not stainless_retries(failure):
        return None
    hint_s = retry_after_s(failure)
    if hint_s is not None and hint_s > 0:
        return min(hint_s, ANTHROPIC_HINT_MAX_S)
    return stainless_backoff_s(retries, rng)


def claude_code(retries: int, rng: Random, failure: Failure) -> float | None:
    """Obey an integer hint of up to 60 s, stop on a longer one, else back off (shape assumed)."""
    if not stainless_retries(failure):
        return None
    text = failure.headers.get("retry-after", "")
    if text.isdigit():
        return float(text) if int(text) <= 60 else None
    return stainless_backoff_s(retries, rng)


def codex(retries: int, rng: Random, failure: Failure) -> float | None:
    """0.2 s * 2^n, up to a tenth either way."""
    return 0.2 * 2.0**retries * rng.uniform(0.9, 1.1) if wants_retry(failure.status) else None


def openai_agents(retries: int, rng: Random, failure: Failure) -> float | None:
    """Obey a hint, else min(0.25 * 2^n, 2) s, up to an eighth either way."""
    if not wants_retry(failure.status):
        return None
    hint_s = retry_after_s(failure)
    if hint_s is not None and hint_s > 0:
        return hint_s
    return min(0.25 * 2.0**retries, 2.0) * rng.uniform(0.875, 1.125)


def vercel(retries: int, rng: Random, failure: Failure) -> float | None:
    """2 s * 2^n with no jitter; a hint verbatim if below 60 s or below that."""
    if not (wants_retry(failure.status) or failure.status == 409):
        return None
    own_s = 2.0 * 2.0**retries
    hint_s = retry_after_s(failure)
    if hint_s is not None and hint_s >= 0 and (hint_s < 60.0 or hint_s < own_s):
        return hint_s
    return own_s


def opencode(retries: int, rng: Random, failure: Failure) -> float | None:
    """2 s * 2^n with no jitter, at most 30 s; hints are not read."""
    return min(2.0 * 2.0**retries, 30.0) if wants_retry(failure.status) else None


def gemini_cli(retries: int, rng: Random, failure: Failure) -> float | None:
    """5 s * 2^n up to 30 s, 30 % either way; with a hint the larger, up to a fifth more."""
    if not (failure.status == 429 or failure.status >= 500 or failure.status == TRANSPORT):
        return None
    own_s = min(5.0 * 2.0**retries, 30.0)
    hint_s = retry_after_s(failure)
    if hint_s is not None and hint_s > 0:
        return max(own_s, hint_s) * rng.uniform(1.0, 1.2)
    return own_s * rng.uniform(0.7, 1.3)


def google_genai(retries: int, rng: Random, failure: Failure) -> float | None:
    """With ``retry_options`` set: 2^n + U(0, 1) s, at most 60 s."""
    if failure.status not in (408, 429, 500, 502, 503, 504):
        return None
    return min(2.0**retries + rng.random(), 60.0)


def google_api_core(retries: int, rng: Random, failure: Failure) -> float | None:
    """Full jitter under min(2^n, 60) s."""
    if failure.status not in (TRANSPORT, 429, 500, 503):
        return None
    return rng.uniform(0.0, min(2.0**retries, 60.0))


def boto3_standard(retries: int, rng: Random, failure: Failure) -> float | None:
    """Full jitter under 0.05 s * 2^n (1 s if throttled), at most 20 s; a hint adds up to 5 s."""
    if failure.status not in (TRANSPORT, 429, 500, 502, 503, 504):
        return None
    base_s = 1.0 if failure.status == 429 else 0.05
    own_s = rng.random() * min(base_s * 2.0**retries, 20.0)
    hint_ms = number(failure.headers.get("x-amz-retry-after"))
    if hint_ms is None:
        return own_s
    return max(own_s, min(hint_ms / 1000.0, 5.0 + own_s))


def boto3_legacy(retries: int, rng: Random, failure: Failure) -> float | None:
    """Draw U(0, 1) * 2^n s, no cap."""
    return rng.random() * 2.0**retries if wants_retry(failure.status) else None


def urllib3(retries: int, rng: Random, failure: Failure) -> float | None:
    """At once after a broken connection; after 413, 429, 503 only with Retry-After, verbatim."""
    if failure.status == TRANSPORT:
        return 0.0
    text = failure.headers.get("retry-after")
    if failure.status not in (413, 429, 503) or text is None:
        return None
    if text.strip().isdigit():
        return float(min(int(text), 21_600))
    date = email.utils.parsedate_tz(text)
    if date is None:
        return None
    return min(max(email.utils.mktime_tz(date) - failure.at_unix_s, 0.0), 21_600.0)


def tenacity_exponential(retries: int, rng: Random, failure: Failure) -> float | None:
    """``wait_exponential()``: 2^n s with no jitter."""
    return 2.0**retries if wants_retry(failure.status) else None


def tenacity_full_jitter(retries: int, rng: Random, failure: Failure) -> float | None:
    """``wait_random_exponential()``: U(0, 2^n) s."""
    return rng.uniform(0.0, 2.0**retries) if wants_retry(failure.status) else None


def tenacity_exponential_jitter(retries: int, rng: Random, failure: Failure) -> float | None:
    """``wait_exponential_jitter()``: 2^n + U(0, 1) s."""
    return 2.0**retries + rng.random() if wants_retry(failure.status) else None


def pydantic_ai(retries: int, rng: Random, failure: Failure) -> float | None:
    """``wait_retry_after``: a hint verbatim up to 300 s, else 2^n s up to 60 s, no jitter."""
    if not wants_retry(failure.status):
        return None
    hint_s = retry_after_s(failure)
    if hint_s is not None and hint_s > 0:
        return min(hint_s, 300.0)
    return min(2.0**retries, 60.0)


def langgraph(retries: int, rng: Random, failure: Failure) -> float | None:
    """min(0.5 * 2^n, 128) + U(0, 1) s on broken connections and 5xx."""
    if failure.status != TRANSPORT and failure.status < 500:
        return None
    return min(0.5 * 2.0**retries, 128.0) + rng.random()


def litellm(retries: int, rng: Random, failure: Failure) -> float | None:
    """A hint of up to 60 s, else min(0.5 * 2^n, 8) s; both plus 0.75 * U(0, 1) s."""
    if not (wants_retry(failure.status) or failure.status == 409):
        return None
    hint_s = retry_after_s(failure)
    if hint_s is None or not 0 < hint_s <= 60.0:
        hint_s = min(0.5 * 2.0**retries, 8.0)
    return hint_s + 0.75 * rng.random()


def mcp_stream(retries: int, rng: Random, failure: Failure) -> float | None:
    """Reconnect of an MCP event stream: 1 s after it ended; a refusal is not retried."""
    return 1.0 if failure.status == TRANSPORT else None


def mcp_typescript_stream(retries: int, rng: Random, failure: Failure) -> float | None:
    """Reconnect of an MCP event stream in TypeScript: 1.5^n s, at most 30 s, no jitter."""
    return min(1.5**retries, 30.0) if failure.status == TRANSPORT else None


def envoy(retries: int, rng: Random, failure: Failure) -> float | None:
    """Envoy's own retries: U[0, (2^N - 1) * 25 ms) with N the retry's number, at most 250 ms."""
    if not wants_retry(failure.status):
        return None
    return min(rng.uniform(0.0, (2.0 ** (retries + 1) - 1.0) * 0.025), 0.25)


def never(retries: int, rng: Random, failure: Failure) -> float | None:
    """Returns None always: the failure is handed to the program."""
    return None


LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law("openai", 2, openai),
        Law("anthropic", 2, anthropic),
        Law("claude-code", 10, claude_code),
        Law("codex", 4, codex),
        Law("openai-agents", 3, openai_agents),
        Law("vercel", 2, vercel),
        Law("opencode", 10, opencode),
        Law("gemini-cli", 9, gemini_cli),
        Law("google-genai", 0, google_genai),
        Law("google-api-core", 1000, google_api_core, deadline_s=120.0),
        Law("boto3", 2, boto3_standard),
        Law("boto3-legacy", 4, boto3_legacy),
        Law("urllib3", 10, urllib3),
        Law("requests", 0, never),
        Law("tenacity-exponential", 1000, tenacity_exponential),
        Law("tenacity-full-jitter", 1000, tenacity_full_jitter),
        Law("tenacity-exponential-jitter", 1000, tenacity_exponential_jitter),
        Law("pydantic-ai", 1000, pydantic_ai),
        Law("langgraph", 2, langgraph),
        Law("litellm", 2, litellm),
        Law("mcp", 0, never),
        Law("mcp-stream", 2, mcp_stream),
        Law("mcp-typescript-stream", 2, mcp_typescript_stream),
        Law("envoy", 1, envoy),
    )
}
"""Every law by name, with its SDK's default number of retries."""


class RetryQuota:
    """Botocore's bucket: a retry takes tokens, a success gives them back.

    One per client in botocore; when it is empty, failures are not retried.
    """

    CAPACITY = 500
    RETRY_COST = 14
    THROTTLED_COST = 5

    def __init__(self) -> None:
        self.available = self.CAPACITY

    def take(self, failure: Failure) -> int:
        """Return the tokens taken for a retry; 0 if there are too few."""
        cost = self.THROTTLED_COST if failure.status == 429 else self.RETRY_COST
        if cost > self.available:
            return 0
        self.available -= cost
        return cost

    def give_back(self, taken: int) -> None:
        """Note a success: what its last retry took, or one token if it needed none."""
        self.available = min(self.CAPACITY, self.available + (taken or 1))
