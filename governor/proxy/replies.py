"""Governor's own answers: whole HTTP/1.1 messages, in the caller's dialect.

*Rule of this file*: values in, bytes out. Every reason that Governor ever
gives a caller stands in ``REASONS``, once, with what it means; a test holds the
rest of the proxy to it.

``Retry-After`` is whole seconds, rounded up (Claude Code reads no other form);
``Retry-After-Ms`` is exact (OpenAI's and Anthropic's SDKs read it first and
sleep just that). ``x-should-retry`` is obeyed by the same SDKs before any status.
MCP clients understand neither: they get a JSON-RPC error with ``id: null``, for
the id of their request is content.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from governor.errors import Fault
from governor.proxy import dialects
from governor.proxy.dialects import Dialect

if TYPE_CHECKING:
    from governor.proxy.headers import RequestHead


class Meaning(NamedTuple):
    """What a reason stands for."""

    status: int
    fault: Fault
    text: str


REASONS: dict[str, Meaning] = {
    # the gate's (policies.decision.Reason): capacity exists or will, come back then
    "over_limit": Meaning(429, "capacity", "The service is busy at its limit."),
    "line_too_long": Meaning(429, "capacity", "The line could not be served in your time."),
    "patience_spent": Meaning(429, "capacity", "You would have left before your turn."),
    "line_full": Meaning(429, "capacity", "As many wait already as may wait."),
    "quarantined": Meaning(
        403, "governor", "This agent is quarantined until a person releases it."
    ),
    "too_many_connections": Meaning(503, "governor", "Too many connections are open here."),
    "fell_behind": Meaning(502, "caller", "You read too slowly to share this answer."),
    # the caller's
    "bad_request": Meaning(400, "caller", "What was sent is not HTTP."),
    "bad_request_line": Meaning(400, "caller", "The request line is malformed."),
    "bad_target": Meaning(400, "caller", "The request target is neither a path nor a URL."),
    "bad_header_name": Meaning(400, "caller", "A header name is no token."),
    "bad_content_length": Meaning(400, "caller", "Content-Length is no plain number."),
    "repeated_content_length": Meaning(400, "caller", "Content-Length is sent twice."),
    "length_and_transfer_encoding": Meaning(
        400, "caller", "Content-Length and Transfer-Encoding exclude each other."
    ),
    "bad_transfer_encoding": Meaning(400, "caller", "Transfer-Encoding is not just chunked."),
    "bad_chunk": Meaning(400, "caller", "The chunked body is malformed."),
    "missing_host": Meaning(400, "caller", "HTTP/1.1 requires Host."),
    "repeated_host": Meaning(400, "caller", "Host is sent twice."),
    "bad_host": Meaning(400, "caller", "Host is no host name."),
    "no_route": Meaning(404, "caller", "No route takes this request."),
    "head_timeout": Meaning(408, "caller", "The head took too long to arrive."),
    "body_timeout": Meaning(408, "caller", "The body stopped arriving."),
    "head_too_large": Meaning(431, "caller", "The head is larger than allowed."),
    "method_not_supported": Meaning(501, "caller", "This method is not served here."),
    "unsupported_version": Meaning(505, "caller", "HTTP/1.1 and HTTP/1.0 are spoken here."),
    # the service's
    "upstream_error": Meaning(502, "upstream", "The service broke off."),
    "upstream_closed": Meaning(502, "upstream", "The service closed the connection."),
    "bad_response": Meaning(502, "upstream", "The service's answer cannot be forwarded."),
    "upstream_connect_failed": Meaning(502, "upstream", "The service cannot be reached."),
    "upstream_connections_exhausted": Meaning(
        503, "upstream", "All connections that the service may be given are in use."
    ),
    "upstream_connect_timeout": Meaning(504, "upstream", "The service did not accept in time."),
    "upstream_timeout": Meaning(504, "upstream", "The service did not answer in time."),
    # ours
    "internal_error": Meaning(500, "governor", "A bug in Governor."),
}
"""Reason -> usual status, whose fault, what it means."""

MAX_RETRY_AFTER_NS = 60_000_000_000
"""Later ones make clients give up (Claude Code, SDKs before 2025)."""

NO_RETRY = -1
"""In place of a time to come back: a retry can no longer help."""

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


def dialect_of(asked: RequestHead | bytes) -> Dialect:
    """Return the shape in which to answer a request, from its head or from its path alone."""
    if isinstance(asked, bytes):
        return dialects.dialect_of_path(asked)
    return dialects.dialect_of(asked)


def build(
    status: int,
    reason: str,
    fault: Fault,
    message: str,
    request_id: bytes,
    dialect: Dialect = Dialect.GENERIC,
    retry_after_ns: int = 0,
    keep_alive: bool = True,
    more_lines: Sequence[str] = (),
) -> bytes:
    """Return a complete response.

    Parameters
    ----------
    status : int
    reason : str
        A key of ``REASONS``.
    fault : str
        Whose: caller, upstream, governor, capacity.
    message : str
        For people.
    request_id : bytes
    dialect : Dialect
    retry_after_ns : int
        How long to stay away; 0 for no such hint, ``NO_RETRY`` if a retry cannot help.
    keep_alive : bool
        Whether the connection goes on afterwards.
    more_lines : sequence of str
        Further header lines, made here (:mod:`governor.proxy.quota_headers`).
    """
    name = request_id.decode("latin-1")
    body = orjson.dumps(_SHAPES[dialect](status, reason, fault, message, name))
    lines = [
        f"HTTP/1.1 {status} {_phrase(status)}",
        f"Date: {formatdate(usegmt=True)}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f"X-Request-Id: {name}",
    ]
    if retry_after_ns > 0:
        wait_ns = min(retry_after_ns, MAX_RETRY_AFTER_NS)
        lines.append(f"Retry-After: {-(-wait_ns // _NS_PER_S)}")
        lines.append(f"Retry-After-Ms: {-(-wait_ns // _NS_PER_MS)}")
        lines.append("X-Should-Retry: true")
    elif retry_after_ns == NO_RETRY:
        lines.append("X-Should-Retry: false")
    lines += more_lines
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _generic(status: int, reason: str, fault: str, message: str, name: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "fault": fault, "message": message, "request_id": name}}


_ANTHROPIC_TYPES = {
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def _anthropic(status: int, reason: str, fault: str, message: str, name: str) -> dict[str, Any]:
    usual = "invalid_request_error" if status < 500 else "api_error"
    answer = _generic(status, reason, fault, message, name)
    answer["error"] = {"type": _ANTHROPIC_TYPES.get(status, usual), **answer["error"]}
    return {"type": "error", **answer, "request_id": name}


_OPENAI_TYPES = {429: "rate_limit_exceeded", 503: "service_unavailable", 504: "timeout"}


def _openai(status: int, reason: str, fault: str, message: str, name: str) -> dict[str, Any]:
    usual = "invalid_request_error" if status < 500 else "server_error"
    answer = _generic(status, reason, fault, message, name)
    answer["error"] |= {"type": _OPENAI_TYPES.get(status, usual), "param": None, "code": reason}
    return answer


_JSON_RPC_INVALID_REQUEST = -32_600
_JSON_RPC_SERVER_ERROR = -32_000


def _mcp(status: int, reason: str, fault: str, message: str, name: str) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": _JSON_RPC_INVALID_REQUEST if fault == "caller" else _JSON_RPC_SERVER_ERROR,
            "message": message,
            "data": _generic(status, reason, fault, message, name)["error"],
        },
    }


_SHAPES = {
    Dialect.GENERIC: _generic,
    Dialect.ANTHROPIC: _anthropic,
    Dialect.OPENAI: _openai,
    Dialect.MCP: _mcp,
}
