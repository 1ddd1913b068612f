"""The dialect of an answer is told by path and headers alone."""

from __future__ import annotations

import doctest

import pytest

from governor.proxy import dialects
from governor.proxy.dialects import Dialect, dialect_of
from tests.proxy.heads import head_of


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(dialects).failed == 0


@pytest.mark.parametrize(
    ("target", "field", "dialect"),
    [
        (b"/v1/messages?beta=true", b"A: b", Dialect.ANTHROPIC),
        (b"/v1/messages/count_tokens", b"A: b", Dialect.ANTHROPIC),
        (b"/anywhere", b"Anthropic-Version: 2023-06-01", Dialect.ANTHROPIC),
        (b"/v1/chat/completions", b"A: b", Dialect.OPENAI),
        (b"/v1/responses", b"A: b", Dialect.OPENAI),
        (b"/mcp", b"A: b", Dialect.MCP),
        (b"/anywhere", b"Mcp-Protocol-Version: 2025-11-25", Dialect.MCP),
        (b"/anywhere", b"A: b", Dialect.GENERIC),
    ],
)
def test_dialects(target: bytes, field: bytes, dialect: Dialect) -> None:
    """Each family of clients is known by what it always sends."""
    assert dialect_of(head_of(field, target=target)) is dialect
