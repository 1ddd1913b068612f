"""Governor's own answers are whole, in the caller's dialect, with a reason from one table."""

from __future__ import annotations

import ast
from pathlib import Path

import orjson
import pytest

from governor.proxy import replies
from governor.proxy.dialects import Dialect
from policies.decision import Reason
from tests.proxy.heads import head_of

PROXY = Path(replies.__file__).parent


def _split(data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines)
    assert len(fields) == len(lines)
    assert int(fields[b"Content-Length"]) == len(body)
    return line, fields, body


def test_a_generic_answer() -> None:
    """Reason, fault, message and id, and nothing else."""
    line, fields, body = _split(replies.build(404, "no_route", "caller", "No.", b"id"))
    assert line == b"HTTP/1.1 404 Not Found"
    assert fields[b"Content-Type"] == b"application/json"
    assert fields[b"Connection"] == b"keep-alive"
    assert fields[b"X-Request-Id"] == b"id"
    assert b"Retry-After" not in fields
    assert orjson.loads(body) == {
        "error": {"reason": "no_route", "fault": "caller", "message": "No.", "request_id": "id"}
    }


def test_a_connection_that_ends_says_so() -> None:
    """The caller must not send another request on it."""
    _, fields, _ = _split(replies.build(400, "bad_request", "caller", "", b"", keep_alive=False))
    assert fields[b"Connection"] == b"close"


@pytest.mark.parametrize(
    ("wait_ns", "seconds", "millis"),
    [
        (1, b"1", b"1"),
        (1_000_000_000, b"1", b"1000"),
        (1_000_000_001, b"2", b"1001"),
        (59_999_999_999, b"60", b"60000"),
        (10**12, b"60", b"60000"),
    ],
)
def test_the_slot_is_rounded_up_and_bounded(wait_ns: int, seconds: bytes, millis: bytes) -> None:
    """Never earlier than the slot, never later than 60 s, which clients take for a refusal."""
    data = replies.build(429, "line_too_long", "capacity", "", b"", retry_after_ns=wait_ns)
    _, fields, _ = _split(data)
    assert fields[b"Retry-After"] == seconds
    assert fields[b"Retry-After-Ms"] == millis
    assert fields[b"X-Should-Retry"] == b"true"


def test_the_anthropic_shape() -> None:
    """What its SDK makes a RateLimitError of, with our fields beside."""
    data = replies.build(429, "line_full", "capacity", "Wait.", b"i", Dialect.ANTHROPIC)
    assert orjson.loads(_split(data)[2]) == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "reason": "line_full",
            "fault": "capacity",
            "message": "Wait.",
            "request_id": "i",
        },
        "request_id": "i",
    }


def test_the_openai_shape() -> None:
    """Message, type, param and code, with our fields beside."""
    data = replies.build(504, "upstream_timeout", "upstream", "Late.", b"i", Dialect.OPENAI)
    error = orjson.loads(_split(data)[2])["error"]
    assert (error["type"], error["param"], error["code"]) == ("timeout", None, "upstream_timeout")
    assert (error["reason"], error["message"]) == ("upstream_timeout", "Late.")


@pytest.mark.parametrize(("fault", "code"), [("caller", -32_600), ("capacity", -32_000)])
def test_the_json_rpc_shape(fault: replies.Fault, code: int) -> None:
    """The id is null: the request's own is content, which is not read."""
    body = orjson.loads(_split(replies.build(429, "x", fault, "M", b"i", Dialect.MCP))[2])
    assert body == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": code,
            "message": "M",
            "data": {"reason": "x", "fault": fault, "message": "M", "request_id": "i"},
        },
    }


def test_any_request_id_makes_a_whole_answer() -> None:
    """A caller's id is opaque bytes; the answer stays one message of valid JSON."""
    _, fields, body = _split(replies.build(400, "x", "caller", "é", b'"\xff\t{'))
    assert fields[b"X-Request-Id"] == b'"\xff\t{'
    assert orjson.loads(body)["error"]["request_id"] == '"\xff\t{'


def test_an_unknown_status_has_no_phrase() -> None:
    """529 is not in the standard's list."""
    assert _split(replies.build(529, "x", "upstream", "", b""))[0] == b"HTTP/1.1 529 "


def test_the_dialect_is_found_from_head_or_path() -> None:
    """Where there is no head yet, the path must do."""
    assert replies.dialect_of(b"/v1/messages") is Dialect.ANTHROPIC
    assert replies.dialect_of(head_of(b"Mcp-Method: x")) is Dialect.MCP


def _reasons_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "reason":
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
    return found


def test_every_reason_given_stands_in_the_table() -> None:
    """The words that callers see are a closed list."""
    given = set().union(*(_reasons_in(path) for path in PROXY.glob("*.py")))
    assert given - replies.REASONS.keys() == set()


def test_every_reason_of_the_gate_that_answers_stands_in_the_table() -> None:
    """Whatever word a decision brings, the table explains it."""
    answering = {Reason.LINE_TOO_LONG, Reason.PATIENCE_SPENT, Reason.LINE_FULL, Reason.OVER_LIMIT}
    assert {reason.value for reason in answering} <= replies.REASONS.keys()


def test_where_no_retry_helps_no_time_is_given() -> None:
    """X-Should-Retry: false alone; without a hint neither stands there."""
    told = replies.build(429, "line_full", "capacity", "x", b"id", retry_after_ns=replies.NO_RETRY)
    assert b"\r\nX-Should-Retry: false\r\n" in told
    assert b"Retry-After" not in told
    silent = replies.build(502, "upstream_error", "upstream", "x", b"id")
    assert b"hould-Retry" not in silent
    assert b"Retry-After" not in silent
