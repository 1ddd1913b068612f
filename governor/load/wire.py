"""What callers put on the wire: an OpenAI SDK's call, a Claude Code agent's call."""

from __future__ import annotations

from functools import lru_cache

HOST = "127.0.0.1"

OPENAI_BODY = b'{"model":"tool","messages":[{"role":"user","content":"look this up"}]}'
CLAUDE_BODY = b'{"model":"claude","max_tokens":1024,"messages":[{"role":"user","content":"go"}]}'


@lru_cache(maxsize=8)
def _openai_head(port: int, timeout_s: float) -> bytes:
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {HOST}:{port}",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "Accept: application/json",
        "Content-Type: application/json",
        "User-Agent: OpenAI/Python 3.52.0",
        "X-Stainless-Lang: python",
        "X-Stainless-Package-Version: 3.52.0",
        "X-Stainless-OS: Linux",
        "X-Stainless-Arch: x64",
        "X-Stainless-Runtime: CPython",
        "X-Stainless-Runtime-Version: 3.11.7",
        "X-Stainless-Async: false",
        "Authorization: Bearer fleet-key",
        f"x-stainless-read-timeout: {timeout_s}",
        f"Content-Length: {len(OPENAI_BODY)}",
    )
    return "\r\n".join(lines).encode()


def openai_request(port: int, attempt_id: int, retries: int, timeout_s: float) -> bytes:
    """Return a call as openai 3.52 sends it, plus the benchmark's own number for the service.

    One API key for the whole fleet and no name of an agent: what a gateway gets
    to see from a fleet that knows nothing of gateways.
    """
    return b"%s\r\nx-stainless-retry-count: %d\r\nx-bench-id: %d\r\n\r\n%s" % (
        _openai_head(port, timeout_s),
        retries,
        attempt_id,
        OPENAI_BODY,
    )


def claude_code_request(port: int, session: str, agent: str, demand_s: float) -> bytes:
    """Return a call as Claude Code sends it, with the recorded service time for the service."""
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\n"
        "User-Agent: claude-cli\r\nAuthorization: Bearer fleet-key\r\n"
        "anthropic-version: 2023-06-01\r\nx-stainless-retry-count: 0\r\n"
        "x-stainless-timeout: 600\r\n"
    )
    if session:
        head += f"x-claude-code-session-id: {session}\r\n"
    if agent and agent != session:
        head += f"x-claude-code-agent-id: {agent}\r\n"
    head += f"x-bench-demand-s: {demand_s:.6f}\r\nContent-Length: {len(CLAUDE_BODY)}\r\n\r\n"
    return head.encode() + CLAUDE_BODY
