"""What each client sends."""

from __future__ import annotations

import httptools
import pytest

from governor.load.laws import LAWS
from governor.load.plan import Closed, Group
from governor.load.wire import DIALECTS, Names, Writer

ROOT = Names("agent-1", "session-1")
CHILD = Names("agent-2", "session-1", "agent-1", "ab" * 16, 1)
GRANDCHILD = Names("agent-3", "session-1", "agent-2", "ab" * 16, 2)


class Read:
    """A request read by a parser of its own."""

    def __init__(self, request: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.target = ""
        self.body = b""
        self.is_complete = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(request)
        self.method = parser.get_method().decode()

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self.target = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; none may come twice."""
        assert name.lower().decode() not in self.headers, name
        self.headers[name.lower().decode()] = value.decode()

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note the end."""
        self.is_complete = True


def read(group: Group, names: Names = ROOT, **call: object) -> Read:
    """Return one call of a group as a service reads it."""
    writer = Writer(group, "127.0.0.1:9", "/base", 3)
    return Read(writer.request(writer.head(7, names), **call))  # type: ignore[arg-type]


def group(client: str = "openai", **changes: object) -> Group:
    """Return a group of one agent."""
    return Group("agents", 1, Closed(1.0), client=client, **changes)  # type: ignore[arg-type]


def test_every_law_has_a_dialect() -> None:
    """Whoever has a law has headers."""
    assert set(DIALECTS) == set(LAWS)


@pytest.mark.parametrize("client", LAWS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_every_client_writes_whole_requests(client: str, is_stream: bool) -> None:
    """Each call is one complete, well-formed request for path and host, with its key."""
    call = read(group(client, key="k-{agent}", is_stream=is_stream), retries=1, task=5, number=3)
    assert call.is_complete
    assert (call.method, call.target) == ("POST", "/base/v1/chat/completions")
    assert call.headers["host"] == "127.0.0.1:9"
    assert call.headers["x-bench-id"] == "3"
    assert len(call.body) == int(call.headers["content-length"]) > 0
    assert sum("k-7" in value for value in call.headers.values()) == 1


@pytest.mark.parametrize(
    ("client", "header", "values"),
    [
        ("openai", "x-stainless-retry-count", ["0", "1"]),
        ("anthropic", "x-stainless-retry-count", ["0", "1"]),
        ("claude-code", "x-stainless-retry-count", ["0", "0"]),
        ("boto3", "amz-sdk-request", ["attempt=1; max=3", "attempt=2; max=3"]),
        ("envoy", "x-envoy-attempt-count", ["1", "2"]),
    ],
)
def test_retries_are_marked_as_the_client_marks_them(
    client: str, header: str, values: list[str]
) -> None:
    """Clients that tell the attempt tell it; without marks and without names they do not."""
    assert [read(group(client), retries=n).headers[header] for n in (0, 1)] == values
    if client != "claude-code":
        assert header not in read(group(client, is_marked=False), retries=1).headers
    assert header not in read(group(client, is_named=False), retries=1).headers


def test_an_invocation_keeps_its_id() -> None:
    """All attempts of one task carry the same id, other tasks another."""
    ids = [
        read(group("boto3"), retries=retries, task=task).headers["amz-sdk-invocation-id"]
        for retries, task in ((0, 1), (1, 1), (0, 2))
    ]
    assert ids[0] == ids[1] != ids[2]


def test_claude_code_names_session_agent_and_parent() -> None:
    """The session is told by all, the agent by sub-agents, the parent by nested ones."""
    told = [
        {name: value for name, value in read(group("claude-code"), names).headers.items()
         if name.startswith("x-claude-code")}
        for names in (ROOT, CHILD, GRANDCHILD)
    ]  # fmt: skip
    session = {"x-claude-code-session-id": "session-1"}
    assert told[0] == session
    assert told[1] == session | {"x-claude-code-agent-id": "agent-2"}
    parent = {"x-claude-code-parent-agent-id": "agent-2"}
    assert told[2] == session | parent | {"x-claude-code-agent-id": "agent-3"}


def test_a_tree_is_told_by_its_trace_unless_nameless() -> None:
    """Calls of one tree share the trace id; an unnamed fleet tells nothing but its key."""
    call = read(group(), CHILD, trace=CHILD.trace, task=4)
    assert call.headers["traceparent"] == f"00-{'ab' * 16}-{5:016x}-01"
    bare = read(group("claude-code", is_named=False, key="k"), CHILD, trace=CHILD.trace)
    assert set(bare.headers) == {
        "host",
        "accept",
        "content-type",
        "content-length",
        "authorization",
    }


def test_what_is_given_replaces_what_the_client_sends() -> None:
    """Own headers, method and body win over the dialect's."""
    given = group(headers=(("Accept", "text/plain"), ("X-Own", "1")), method="PUT", body="hello")
    call = read(given)
    assert (call.method, call.body) == ("PUT", b"hello")
    assert (call.headers["accept"], call.headers["x-own"]) == ("text/plain", "1")


def test_a_get_has_no_body() -> None:
    """GET carries neither body nor length."""
    call = read(group(method="GET", path="/tools/search?q=x"))
    assert (call.method, call.target, call.body) == ("GET", "/base/tools/search?q=x", b"")
    assert "content-length" not in call.headers


def test_demand_is_sent_where_it_is_drawn() -> None:
    """A demand becomes the header that the benchmark's service obeys; none, no header."""
    assert read(group(), demand_s=0.125).headers["x-bench-demand-s"] == "0.125000"
    assert "x-bench-demand-s" not in read(group()).headers
