"""Which library calls, told by its User-Agent, else by headers that only it sends.

*Rule of this file*: a header value in, a small integer out
(:mod:`signals.families`). A User-Agent is remembered in a bounded table of this
process, so that a request pays one look-up; it goes nowhere else.

*Theory*: a family decides how long a caller sleeps before it repeats. What a
program says of itself (its first product, RFC 9110 section 10.1.5) comes
before the library below it: Claude Code sends the headers of Anthropic's
client, and its own User-Agent. A program that replaced the User-Agent is known
by the library's other headers.

*Source*: the clients named in :mod:`governor.proxy.hint_values`; what the
installed ones send is in ``tests/clients``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from governor.proxy import header_names as names
from governor.proxy.dialects import speaks_mcp
from signals import families

if TYPE_CHECKING:
    from governor.proxy.headers import RequestHead

MAX_AGENTS = 1_024
"""User-Agents remembered; beyond it the table starts anew. A site sees some dozens."""

MAX_AGENT_BYTES = 256
"""Longer ones are read up to here, each time anew."""

_PRODUCTS = (
    (b"claude-cli", families.CLAUDE_CODE),
    (b"claude-code", families.CLAUDE_CODE),
    (b"codex", families.CODEX),
    (b"geminicli", families.GEMINI_CLI),
    (b"gemini-cli", families.GEMINI_CLI),
    (b"opencode/", families.OPENCODE),
    (b"agents/python", families.OPENAI_AGENTS),
    (b"litellm", families.LITELLM),
    (b"langchain", families.TENACITY),
    (b"langgraph", families.TENACITY),
    (b"llama-index", families.TENACITY),
    (b"llamaindex", families.TENACITY),
    (b"pydantic-ai", families.TENACITY),
    (b"ai/", families.VERCEL),
    (b"ai-sdk/", families.VERCEL),
    (b"openai/", families.STAINLESS),
    (b"asyncopenai/", families.STAINLESS),
    (b"azureopenai/", families.STAINLESS),
    (b"asyncazureopenai/", families.STAINLESS),
    (b"anthropic/", families.STAINLESS),
    (b"asyncanthropic/", families.STAINLESS),
    (b"anthropicbedrock/", families.STAINLESS),
    (b"anthropicvertex/", families.STAINLESS),
    (b"google-genai-sdk/", families.GOOGLE),
    (b"google-api-", families.GOOGLE),
    (b"google-cloud-", families.GOOGLE),
    (b"gcloud-python", families.GOOGLE),
    (b"gl-python/", families.GOOGLE),
    (b"boto3/", families.BOTO),
    (b"botocore/", families.BOTO),
    (b"aiobotocore/", families.BOTO),
    (b"aws-cli/", families.BOTO),
    (b"python-urllib3/", families.URLLIB3),
    (b"python-requests/", families.URLLIB3),
)
"""Beginning of a User-Agent in lower case -> family."""

_LATER_PRODUCTS = (
    (b" ai-sdk/", families.VERCEL),
    (b" google-genai-sdk/", families.GOOGLE),
    (b" botocore/", families.BOTO),
)
"""Libraries that add themselves behind the program's own name."""

_HEADERS = (
    (names.CLAUDE_SESSION_ID, families.CLAUDE_CODE),
    (names.CODEX_PARENT_THREAD_ID, families.CODEX),
    (names.STAINLESS_RETRY_COUNT, families.STAINLESS),
    (names.STAINLESS_READ_TIMEOUT, families.STAINLESS),
    (names.STAINLESS_TIMEOUT, families.STAINLESS),
    (names.AMZ_SDK_REQUEST, families.BOTO),
    (names.GOOG_API_CLIENT, families.GOOGLE),
)
"""Headers that nobody else sends, the most exact first."""

UNTOLD = (families.UNKNOWN, families.OTHER)
"""Families of callers whose User-Agent does not settle it."""

known_agents: dict[bytes, int] = {}
"""User-Agent as sent -> family; look here first, then ask :func:`learn_agent`."""


def read_agent(value: bytes) -> int:
    """Return the family that a User-Agent tells of.

    Examples
    --------
    >>> read_agent(b"OpenAI/Python 3.52.0"), read_agent(b"claude-cli/2.1 (external, cli)")
    (1, 2)
    >>> read_agent(b"curl/8.5.0"), read_agent(b"")
    (15, 0)
    """
    lower = value[:MAX_AGENT_BYTES].lower()
    for product, family in _PRODUCTS:
        if lower.startswith(product):
            return family
    for product, family in _LATER_PRODUCTS:
        if product in lower:
            return family
    return families.OTHER if lower else families.UNKNOWN


def learn_agent(value: bytes) -> int:
    """Return the family of a User-Agent not met before, and remember it if it is short."""
    family = read_agent(value)
    if len(value) <= MAX_AGENT_BYTES:
        if len(known_agents) >= MAX_AGENTS:
            known_agents.clear()
        known_agents[value] = family
    return family


def read_headers(head: RequestHead, family: int) -> int:
    """Return the family that other headers tell of; ``family`` if none does."""
    values = head.values
    for code, told in _HEADERS:
        if code in values:
            return told
    if speaks_mcp(head):
        return families.MCP
    return families.ENVOY if names.ENVOY_ATTEMPT_COUNT in values else family
