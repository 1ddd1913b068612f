"""Which header names Governor knows, found by one dictionary look-up.

*Rule of this file*: names only, never a value. This is the whole list of
request headers that Governor reads; every other one passes untouched and
unread.

A name maps to a small integer: ``0`` for a header that only passes through.
Names are looked up as they were written (``Content-Type`` and
``content-type`` are two entries), so the lower-casing and the check for token
characters are paid once per spelling, not once per header.

*Considered and rejected*: ``name.lower()`` per header (two allocations each,
16 headers a request); interning in the parser (httptools offers no hook).
"""

from __future__ import annotations

import re

from governor.errors import DownstreamError

MAX_SPELLINGS = 4_096
"""Spellings kept per table; beyond it the table starts anew. Callers use some hundreds."""

MAX_SPELLING_BYTES = 64

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# Headers that shape the message or its way: one bit each, so that "none of
# the rare ones is here" is one test.
HOST = 1 << 0
CONTENT_LENGTH = 1 << 1
TRANSFER_ENCODING = 1 << 2
CONNECTION = 1 << 3
UPGRADE = 1 << 4
TE = 1 << 5
EXPECT = 1 << 6
X_FORWARDED_FOR = 1 << 7
X_FORWARDED_PROTO = 1 << 8
X_FORWARDED_HOST = 1 << 9
X_REQUEST_ID = 1 << 10
DROPPED = 1 << 11
"""Never forwarded: hop-by-hop by definition, or a hint of Governor's own."""
HINT = 1 << 12
"""Read for the arrival (see :mod:`governor.proxy.arrivals`)."""
RARE_HINT = 1 << 13
"""A hint that plain SDK calls do not carry: looked at only where one is there."""

_HINT_STEP = 1 << 14


def _common(n: int) -> int:
    return n * _HINT_STEP | HINT


def _hint(n: int) -> int:
    return _common(n) | RARE_HINT


def _own(n: int) -> int:
    return _hint(n) | DROPPED


GOVERNOR_FLOW = _own(1)
GOVERNOR_PRIORITY = _own(2)
GOVERNOR_DEADLINE_MS = _own(3)
AUTHORIZATION = _common(4)
X_API_KEY = _common(5)
API_KEY = _common(6)
X_GOOG_API_KEY = _common(7)
ACCEPT = _common(8)
CLAUDE_AGENT_ID = _hint(9)
CLAUDE_SESSION_ID = _hint(10)
CLAUDE_REQUEST_CLASS = _hint(11)
THREAD_ID = _hint(12)
SESSION_ID = _hint(13)
CODEX_PARENT_THREAD_ID = _hint(14)
QWEN_SESSION_ID = _hint(15)
MCP_SESSION_ID = _hint(16)
MCP_PROTOCOL_VERSION = _hint(17)
MCP_METHOD = _hint(18)
MCP_NAME = _hint(19)
FAIRNESS_ID = _hint(20)
TRACEPARENT = _hint(21)
STAINLESS_RETRY_COUNT = _common(22)
STAINLESS_TIMEOUT = _hint(23)
STAINLESS_READ_TIMEOUT = _common(24)
AMZ_SDK_REQUEST = _hint(25)
GOOG_API_CLIENT = _hint(26)
GRPC_PREVIOUS_ATTEMPTS = _hint(27)
GRPC_TIMEOUT = _hint(28)
ENVOY_ATTEMPT_COUNT = _hint(29)
ENVOY_RQ_TIMEOUT_MS = _hint(30)
ENVOY_EXPECTED_TIMEOUT_MS = _hint(31)
SERVER_TIMEOUT = _hint(32)
PRIORITY = _hint(33)
SBI_PRIORITY = _hint(34)
ANTHROPIC_VERSION = _common(35)
CLAUDE_PARENT_AGENT_ID = _hint(36)
USER_AGENT = 37 * _HINT_STEP
"""Read for the client's family only; nearly every request has one, so it is no hint."""

REQUEST_CODES = {
    # RFC 9110 section 7.6.1. Proxy-Authenticate and Proxy-Authorization are
    # for the proxy that asked for them; Governor never asks, so they pass.
    b"connection": CONNECTION,
    b"keep-alive": DROPPED,
    b"proxy-connection": DROPPED,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"upgrade": UPGRADE,
    # RFC 7540 section 3.2.1 (only ever with Upgrade: h2c, which is not offered).
    b"http2-settings": DROPPED,
    b"te": TE,
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"expect": EXPECT,
    b"x-forwarded-for": X_FORWARDED_FOR,
    b"x-forwarded-proto": X_FORWARDED_PROTO,
    b"x-forwarded-host": X_FORWARDED_HOST,
    b"x-request-id": X_REQUEST_ID,
    b"x-governor-flow": GOVERNOR_FLOW,
    b"x-governor-priority": GOVERNOR_PRIORITY,
    b"x-governor-deadline-ms": GOVERNOR_DEADLINE_MS,
    b"authorization": AUTHORIZATION,
    b"x-api-key": X_API_KEY,
    b"api-key": API_KEY,
    b"x-goog-api-key": X_GOOG_API_KEY,
    b"accept": ACCEPT,
    b"anthropic-version": ANTHROPIC_VERSION,
    b"user-agent": USER_AGENT,
    b"x-claude-code-agent-id": CLAUDE_AGENT_ID,
    b"x-claude-code-parent-agent-id": CLAUDE_PARENT_AGENT_ID,
    b"x-claude-code-session-id": CLAUDE_SESSION_ID,
    b"x-claude-code-request-class": CLAUDE_REQUEST_CLASS,
    b"thread-id": THREAD_ID,
    b"session-id": SESSION_ID,
    b"x-codex-parent-thread-id": CODEX_PARENT_THREAD_ID,
    b"x-qwen-code-session-id": QWEN_SESSION_ID,
    b"mcp-session-id": MCP_SESSION_ID,
    b"mcp-protocol-version": MCP_PROTOCOL_VERSION,
    b"mcp-method": MCP_METHOD,
    b"mcp-name": MCP_NAME,
    b"x-gateway-inference-fairness-id": FAIRNESS_ID,
    b"traceparent": TRACEPARENT,
    b"x-stainless-retry-count": STAINLESS_RETRY_COUNT,
    b"x-stainless-timeout": STAINLESS_TIMEOUT,
    b"x-stainless-read-timeout": STAINLESS_READ_TIMEOUT,
    b"amz-sdk-request": AMZ_SDK_REQUEST,
    b"x-goog-api-client": GOOG_API_CLIENT,
    b"grpc-previous-rpc-attempts": GRPC_PREVIOUS_ATTEMPTS,
    b"grpc-timeout": GRPC_TIMEOUT,
    b"x-envoy-attempt-count": ENVOY_ATTEMPT_COUNT,
    b"x-envoy-upstream-rq-timeout-ms": ENVOY_RQ_TIMEOUT_MS,
    b"x-envoy-expected-rq-timeout-ms": ENVOY_EXPECTED_TIMEOUT_MS,
    b"x-server-timeout": SERVER_TIMEOUT,
    b"priority": PRIORITY,
    b"3gpp-sbi-message-priority": SBI_PRIORITY,
}
"""Lower-case request header name -> code."""

OWN_PREFIX = b"x-governor-"
"""Requests' headers that begin so are for Governor and go no further."""

ESSENTIAL = frozenset(
    (
        b"accept",
        b"api-key",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"mcp-session-id",
        b"range",
        b"traceparent",
        b"transfer-encoding",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-goog-api-key",
        b"x-request-id",
    )
)
"""End-to-end fields that ``Connection`` cannot make Governor drop: naming them there
is an attack on what the next hop sees, not an option of this connection."""


def is_token(name: bytes) -> bool:
    """Return whether ``name`` may be a header name or a connection option."""
    return _TOKEN.fullmatch(name) is not None


known_names: dict[bytes, int] = {}
"""Name as written -> code; look here first, then ask :func:`learn_name`."""


def learn_name(name: bytes) -> int:
    """Return the code of a name not met before, and remember the spelling.

    Raises
    ------
    DownstreamError
        The name is no token.
    """
    if not is_token(name):
        raise DownstreamError(
            "A header name holds characters other than HTTP's token characters.",
            reason="bad_header_name",
        )
    lower = name.lower()
    code = REQUEST_CODES.get(lower, 0)
    if not code and lower.startswith(OWN_PREFIX):
        code = DROPPED
    if len(name) <= MAX_SPELLING_BYTES:
        if len(known_names) >= MAX_SPELLINGS:
            known_names.clear()
        known_names[name] = code
    return code


def code_of(name: bytes) -> int:
    """Return the code of any name."""
    code = known_names.get(name)
    return learn_name(name) if code is None else code
