"""Which shape of error a caller's client understands, told by path and headers alone.

*Rule of this file*: facts about protocols' outer form; nothing of a body.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from governor.proxy.header_names import (
    ACCEPT,
    ANTHROPIC_VERSION,
    MCP_METHOD,
    MCP_PROTOCOL_VERSION,
    MCP_SESSION_ID,
)

if TYPE_CHECKING:
    from governor.proxy.headers import RequestHead


class Dialect(Enum):
    """A family of clients."""

    GENERIC = "generic"
    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    MCP = "mcp"


def speaks_mcp(head: RequestHead) -> bool:
    """Return whether the caller is an MCP client: such do not repeat after 429 or 503.

    The first request of a session carries no MCP header yet; it says that it takes
    JSON as well as an event stream, as the transport's specification demands of
    every POST.
    """
    values = head.values
    if MCP_SESSION_ID in values or MCP_PROTOCOL_VERSION in values or MCP_METHOD in values:
        return True
    accept = values.get(ACCEPT, b"")
    return (
        len(accept) > 30
        and head.method == b"POST"
        and b"text/event-stream" in accept
        and b"application/json" in accept
    )


def dialect_of(head: RequestHead) -> Dialect:
    """Return the shape in which to answer."""
    if ANTHROPIC_VERSION in head.values:
        return Dialect.ANTHROPIC
    if speaks_mcp(head):
        return Dialect.MCP
    return dialect_of_path(head.path)


def dialect_of_path(path: bytes) -> Dialect:
    """Return the shape that a path tells of.

    Examples
    --------
    >>> dialect_of_path(b"/v1/messages").value, dialect_of_path(b"/openai/v1/responses").value
    ('anthropic', 'openai')
    >>> dialect_of_path(b"/tools/mcp").value, dialect_of_path(b"/search").value
    ('mcp', 'generic')
    """
    if path.endswith((b"/v1/messages", b"/v1/messages/count_tokens")) or b"/v1/messages/" in path:
        return Dialect.ANTHROPIC
    if path.endswith((b"/mcp", b"/mcp/")):
        return Dialect.MCP
    if b"/v1/" in path or b"/chat/completions" in path:
        return Dialect.OPENAI
    return Dialect.GENERIC
