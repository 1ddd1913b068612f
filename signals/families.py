"""The closed list of client families and how long each backs off, attempt by attempt.

*Rule of this file*: names and numbers; no state, no compiled code.

*Theory*: nearly every client draws its delay uniformly from an interval that its
release fixes, so that an interval per attempt is the whole law (a fixed delay
is an interval of width 0). A family is what a header can tell (user agent and
the like); within a family more than one law may be in use, of which the first
listed is the one that its clients follow by default: it stands for the family
in ``BACKOFF_S``, all of them in ``SCHEDULES``.

*Regime*: what the client does **unhinted**. A ``Retry-After`` that it honours
replaces the interval. Attempts are those of the client, not of an agent's loop
around it, which starts again at 0.
*Source*: the clients' own code, see ``governor/load/laws.py``; Claude Code's
is closed: it is built on the Anthropic client, whose law is assumed.
*Considered and rejected*: one interval that covers all laws of a family (a
tenacity user sleeps 1 s, or 0-1 s, or 1-2 s: the hull says nothing).
"""

from __future__ import annotations

from typing import NamedTuple

N_FAMILIES = 16
"""Families, ``UNKNOWN`` and ``OTHER`` included."""

N_ATTEMPTS = 5
"""Retries whose interval is listed; later ones take the last."""

FAMILIES: tuple[str, ...] = (
    "unknown",
    "stainless",
    "claude_code",
    "codex",
    "vercel",
    "gemini_cli",
    "google",
    "boto",
    "urllib3",
    "mcp",
    "tenacity",
    "litellm",
    "envoy",
    "opencode",
    "openai_agents",
    "other",
)
"""Name by index: the word in readings, metrics and documents."""

(
    UNKNOWN,
    STAINLESS,
    CLAUDE_CODE,
    CODEX,
    VERCEL,
    GEMINI_CLI,
    GOOGLE,
    BOTO,
    URLLIB3,
    MCP,
    TENACITY,
    LITELLM,
    ENVOY,
    OPENCODE,
    OPENAI_AGENTS,
    OTHER,
) = range(N_FAMILIES)

Interval = tuple[float, float]
"""Shortest and longest delay, seconds."""

Intervals = tuple[Interval, Interval, Interval, Interval, Interval]
"""Of the first to fifth retry."""


class Schedule(NamedTuple):
    """One law: how long its clients sleep before each retry.

    Attributes
    ----------
    name : str
        As in ``governor/load/laws.py``; a second word names the case.
    family : int
    n_retries : int
        The default; what an application sets is not on the wire.
    intervals_s : Intervals
        The delay before retry 1..5 is uniform in between.
    """

    name: str
    family: int
    n_retries: int
    intervals_s: Intervals


def scale_intervals(first_s: float, longest_s: float, low: float, high: float) -> Intervals:
    """Return the intervals of min(first * 2^n, longest) * U(low, high)."""
    a, b, c, d, e = (min(first_s * 2.0**n, longest_s) for n in range(N_ATTEMPTS))
    return (
        (a * low, a * high),
        (b * low, b * high),
        (c * low, c * high),
        (d * low, d * high),
        (e * low, e * high),
    )


def add_jitter(first_s: float, longest_s: float, jitter_s: float) -> Intervals:
    """Return the intervals of min(first * 2^n, longest) + U(0, jitter)."""
    a, b, c, d, e = (min(first_s * 2.0**n, longest_s) for n in range(N_ATTEMPTS))
    return (
        (a, a + jitter_s),
        (b, b + jitter_s),
        (c, c + jitter_s),
        (d, d + jitter_s),
        (e, e + jitter_s),
    )


FOREVER = 1_000
"""Retries of a client that stops only when told to."""

SCHEDULES: tuple[Schedule, ...] = (
    Schedule("openai", STAINLESS, 2, scale_intervals(0.5, 8.0, 0.75, 1.0)),
    Schedule("claude-code", CLAUDE_CODE, 10, scale_intervals(0.5, 8.0, 0.75, 1.0)),
    Schedule("codex", CODEX, 4, scale_intervals(0.2, 60.0, 0.9, 1.1)),
    Schedule("vercel", VERCEL, 2, scale_intervals(2.0, 60.0, 1.0, 1.0)),
    Schedule("gemini-cli", GEMINI_CLI, 9, scale_intervals(5.0, 30.0, 0.7, 1.3)),
    Schedule("google-api-core", GOOGLE, FOREVER, scale_intervals(1.0, 60.0, 0.0, 1.0)),
    Schedule("google-genai", GOOGLE, 4, add_jitter(1.0, 60.0, 1.0)),
    Schedule("boto3", BOTO, 2, scale_intervals(0.05, 20.0, 0.0, 1.0)),
    Schedule("boto3 throttled", BOTO, 2, scale_intervals(1.0, 20.0, 0.0, 1.0)),
    Schedule("boto3-legacy", BOTO, 4, scale_intervals(1.0, 60.0, 0.0, 1.0)),
    Schedule("urllib3", URLLIB3, 10, scale_intervals(0.0, 0.0, 1.0, 1.0)),
    Schedule("mcp-stream", MCP, 2, scale_intervals(1.0, 1.0, 1.0, 1.0)),
    Schedule(
        "mcp-typescript-stream",
        MCP,
        2,
        ((1.0, 1.0), (1.5, 1.5), (2.25, 2.25), (3.375, 3.375), (5.0625, 5.0625)),
    ),
    Schedule("tenacity-exponential", TENACITY, FOREVER, scale_intervals(1.0, 60.0, 1.0, 1.0)),
    Schedule("tenacity-full-jitter", TENACITY, FOREVER, scale_intervals(1.0, 60.0, 0.0, 1.0)),
    Schedule("tenacity-exponential-jitter", TENACITY, FOREVER, add_jitter(1.0, 60.0, 1.0)),
    Schedule("pydantic-ai", TENACITY, FOREVER, scale_intervals(1.0, 60.0, 1.0, 1.0)),
    Schedule("langgraph", TENACITY, 2, add_jitter(0.5, 128.0, 1.0)),
    Schedule("litellm", LITELLM, 2, add_jitter(0.5, 8.0, 0.75)),
    Schedule(
        "envoy",
        ENVOY,
        1,
        ((0.0, 0.025), (0.0, 0.075), (0.0, 0.175), (0.0, 0.25), (0.0, 0.25)),
    ),
    Schedule("opencode", OPENCODE, 10, scale_intervals(2.0, 30.0, 1.0, 1.0)),
    Schedule("openai-agents", OPENAI_AGENTS, 3, scale_intervals(0.25, 2.0, 0.875, 1.125)),
)
"""Every law of which the interval is known, the default of each family first."""


def list_defaults() -> tuple[Intervals | None, ...]:
    """Return the first listed law of each family, None where none is known."""
    defaults: list[Intervals | None] = [None] * N_FAMILIES
    for schedule in reversed(SCHEDULES):
        defaults[schedule.family] = schedule.intervals_s
    return tuple(defaults)


BACKOFF_S: tuple[Intervals | None, ...] = list_defaults()
"""By family: the delay before retry 1..5 is uniform in between; None: any of ``SCHEDULES``."""
