"""What each client puts on the wire: its own headers, its names for agents, its retry marks.

*Rule of this file*: bytes from values; no socket, no clock, no randomness. A
client is a row of ``DIALECTS`` under the name of its law. What is sent on every
call is joined once per agent; a call adds its marks and its body.

*Regime*: the headers that a proxy may read are as the named release sends them.
Bodies are short stand-ins: nothing here depends on their meaning.

*Source*: openai 3.52, anthropic 2.11, botocore 1.44, mcp 2.3, and the documents
of Claude Code's and Codex' gateways. Clients that repeat in a layer above their
SDK (agent loops, graphs) show the SDK's count of 0 each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from uuid import UUID

from governor.load.opening import VERSION_LINE
from governor.load.plan import Group

HOST = "127.0.0.1"

CHAT_BODY = '{"model":"tool","messages":[{"role":"user","content":"look this up"}]}'
CHAT_STREAM_BODY = CHAT_BODY[:-1] + ',"stream":true}'
MESSAGE_BODY = '{"model":"claude","max_tokens":1024,"messages":[{"role":"user","content":"go"}]}'
MESSAGE_STREAM_BODY = MESSAGE_BODY[:-1] + ',"stream":true}'
MCP_BODY = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{}}}'
)
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Dialect:
    """How one client calls.

    Attributes
    ----------
    user_agent : str
    path : str
        What it calls by default.
    body, stream_body : str
    lines : tuple of str
        Further fixed headers.
    key : str
        The header that carries ``{key}``.
    patience : str
        The header that tells the time limit ``{timeout_s}``; empty for none.
    names, child_names, grandchild_names : tuple of str
        Headers that name ``{session}``, ``{agent}`` and ``{parent}``: of every
        agent, of one that another started, of one that such a one started.
    mark : str
        Of each call, from ``{retries}`` made, ``{attempt}`` from 1, ``{most}``
        attempts in all, ``{task}`` an id that is the same for all attempts.
    has_opening : bool
        Whether it opens a session before its first call (:mod:`governor.load.opening`).
    """

    user_agent: str
    path: str = "/v1/chat/completions"
    body: str = CHAT_BODY
    stream_body: str = CHAT_STREAM_BODY
    lines: tuple[str, ...] = ()
    key: str = "Authorization: Bearer {key}"
    patience: str = ""
    names: tuple[str, ...] = ()
    child_names: tuple[str, ...] = ()
    grandchild_names: tuple[str, ...] = ()
    mark: str = ""
    has_opening: bool = False


def _stainless(version: str) -> tuple[str, ...]:
    return (
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "X-Stainless-Lang: python",
        f"X-Stainless-Package-Version: {version}",
        "X-Stainless-OS: Linux",
        "X-Stainless-Arch: x64",
        "X-Stainless-Runtime: CPython",
        "X-Stainless-Runtime-Version: 3.11.7",
        "X-Stainless-Async: false",
    )


_COUNT = "x-stainless-retry-count: {retries}"
_NO_COUNT = ("x-stainless-retry-count: 0",)
_READ_TIMEOUT = "x-stainless-read-timeout: {timeout_s}"
_OPENAI_LINES = _stainless("3.52.0")
_OPENAI = Dialect("OpenAI/Python 3.52.0", lines=_OPENAI_LINES, patience=_READ_TIMEOUT, mark=_COUNT)


def _above_openai(user_agent: str) -> Dialect:
    """Return the dialect of a client that repeats above the OpenAI SDK."""
    return Dialect(user_agent, lines=_OPENAI_LINES + _NO_COUNT, patience=_READ_TIMEOUT)


_BOTO = Dialect(
    "Boto3/1.44.5 md/Botocore#1.44.5",
    lines=("Accept-Encoding: identity",),
    mark="amz-sdk-invocation-id: {task}\r\namz-sdk-request: attempt={attempt}; max={most}",
)
_MCP = Dialect(
    "python-httpx/0.28.1",
    path="/mcp",
    body=MCP_BODY,
    stream_body=MCP_BODY,
    lines=(VERSION_LINE,),
    has_opening=True,
)
_TENACITY = Dialect("python-httpx/0.28.1", lines=("Connection: keep-alive",))

DIALECTS: dict[str, Dialect] = {
    "openai": _OPENAI,
    "anthropic": Dialect(
        "Anthropic/Python 2.11.0",
        path="/v1/messages",
        body=MESSAGE_BODY,
        stream_body=MESSAGE_STREAM_BODY,
        lines=(*_stainless("2.11.0"), "anthropic-version: 2023-06-01"),
        key="X-Api-Key: {key}",
        patience=_READ_TIMEOUT,
        mark=_COUNT,
    ),
    "claude-code": Dialect(
        "claude-cli/2.1.0 (external, cli)",
        path="/v1/messages",
        body=MESSAGE_BODY,
        stream_body=MESSAGE_STREAM_BODY,
        lines=("anthropic-version: 2023-06-01", *_NO_COUNT),
        patience="x-stainless-timeout: {timeout_s}",
        names=("x-claude-code-session-id: {session}",),
        child_names=("x-claude-code-agent-id: {agent}",),
        grandchild_names=("x-claude-code-parent-agent-id: {parent}",),
    ),
    "codex": Dialect(
        "codex_cli_rs/0.50.0",
        path="/v1/responses",
        lines=("originator: codex_cli_rs",),
        names=("session-id: {agent}", "thread-id: {agent}"),
        child_names=("x-codex-parent-thread-id: {parent}", "x-openai-subagent: collab_spawn"),
    ),
    "openai-agents": _above_openai("Agents/Python 0.24.0"),
    "vercel": Dialect("ai/6.0.0 ai-sdk/provider-utils/4.0.0 runtime/node.js/24"),
    "opencode": Dialect("opencode/1.0.0"),
    "gemini-cli": Dialect("GeminiCLI/0.20.0/gemini-2.5-pro (linux; x64)"),
    "google-genai": Dialect(
        "google-genai-sdk/3.4.0 gl-python/3.11.7",
        lines=("x-goog-api-client: google-genai-sdk/3.4.0 gl-python/3.11.7",),
        key="x-goog-api-key: {key}",
    ),
    "google-api-core": Dialect(
        "google-api-core/2.44.0 gl-python/3.11.7",
        lines=("x-goog-api-client: gl-python/3.11.7 gax/2.44.0",),
    ),
    "boto3": _BOTO,
    "boto3-legacy": _BOTO,
    "urllib3": Dialect("python-urllib3/2.8.0", lines=("Accept-Encoding: identity",)),
    "requests": Dialect("python-requests/2.34.2", lines=("Connection: keep-alive",)),
    "tenacity-exponential": _TENACITY,
    "tenacity-full-jitter": _TENACITY,
    "tenacity-exponential-jitter": _TENACITY,
    "pydantic-ai": _above_openai("pydantic-ai/1.20.0"),
    "langgraph": _above_openai("OpenAI/Python 3.52.0"),
    "litellm": _above_openai("litellm/1.80.0"),
    "mcp": _MCP,
    "mcp-stream": _MCP,
    "mcp-typescript-stream": _MCP,
    "envoy": Dialect("Envoy", mark="x-envoy-attempt-count: {attempt}"),
}
"""A row for every law of ``laws.LAWS``."""


MAX_MARKS = 64
"""Retry marks that are written once and kept, where they do not name the task."""


@dataclass(frozen=True)
class Names:
    """Who calls: an agent, the session it belongs to, who started it, which tree."""

    agent: str
    session: str
    parent: str = ""
    trace: str = ""
    level: int = 0


class Writer:
    """Writes the calls of one group to one target.

    Parameters
    ----------
    group : Group
    host : str
        As in the Host header.
    prefix : str
        Path of the target's URL, without a slash at its end.
    most : int
        Attempts in all, for clients that tell.

    Attributes
    ----------
    has_opening : bool
        Whether an agent opens a session before its first call: where the call is the client's own.
    """

    def __init__(self, group: Group, host: str, prefix: str, most: int) -> None:
        self._group = group
        self._dialect = dialect = DIALECTS[group.client]
        self._most = most
        default = dialect.stream_body if group.is_stream else dialect.body
        method = group.method or "POST"
        body = (default if method != "GET" else "") if group.body is None else group.body
        self._body = body.encode()
        self.has_opening = dialect.has_opening and method == "POST" and group.body is None
        lines = [f"{method} {prefix}{group.path} HTTP/1.1", f"Host: {host}"]
        lines += _accept(group)
        if self._body or method != "GET":
            lines += ["Content-Type: application/json", f"Content-Length: {len(self._body)}"]
        if group.is_named:
            lines += [f"User-Agent: {dialect.user_agent}", *dialect.lines]
            if dialect.patience:
                lines.append(dialect.patience.format(timeout_s=group.timeout_s))
        given = {name.lower() for name, _ in group.headers}
        lines = [line for line in lines if line.partition(":")[0].lower() not in given]
        lines += [f"{name}: {value}" for name, value in group.headers]
        self._lines = lines
        self._mark = dialect.mark if group.is_named and group.is_marked else ""
        self._marks: dict[int, bytes] = {}
        if "{task}" not in self._mark:
            self._marks = {n: self._render_mark(n, 0) for n in range(min(most, MAX_MARKS))}

    def head(self, number: int, names: Names) -> bytes:
        """Return what all calls of one agent (its number within the group) begin with."""
        group, dialect = self._group, self._dialect
        lines = list(self._lines)
        if group.key:
            key = group.key.replace("{agent}", str(number))
            lines.append(
                (dialect.key if group.is_named else "Authorization: Bearer {key}").format(key=key)
            )
        if group.is_named:
            templates = dialect.names
            if names.level >= 1:
                templates += dialect.child_names
            if names.level >= 2:
                templates += dialect.grandchild_names
            values = {"agent": names.agent, "session": names.session, "parent": names.parent}
            lines += [template.format(**values) for template in templates]
        return "\r\n".join(lines).encode("latin-1")

    def request(
        self,
        head: bytes,
        *,
        retries: int = 0,
        task: int = 0,
        trace: str = "",
        demand_s: float = -1.0,
        number: int = -1,
    ) -> bytes:
        """Return one call; ``number`` is the benchmark's own, -1 for none."""
        tail = b""
        if self._mark:
            tail = self._marks.get(retries) or self._render_mark(retries, task)
        if trace and self._group.is_named:
            tail += b"\r\ntraceparent: 00-%b-%016x-01" % (trace.encode(), task + 1)
        if demand_s >= 0.0:
            tail += b"\r\nx-bench-demand-s: %.6f" % demand_s
        if number >= 0:
            tail += b"\r\nx-bench-id: %d" % number
        return b"%b%b\r\n\r\n%b" % (head, tail, self._body)

    def _render_mark(self, retries: int, task: int) -> bytes:
        text = self._mark.format(
            retries=retries, attempt=retries + 1, most=self._most, task=task_id(task)
        )
        return b"\r\n" + text.encode("latin-1")


def task_id(task: int) -> str:
    """Return an id in the form of a UUID that is the same for all attempts of a task."""
    return str(UUID(int=task + 1))


def make_name(rng: Random) -> str:
    """Return an agent's name in the form of a random UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def _accept(group: Group) -> list[str]:
    if group.client.startswith("mcp"):
        return [f"Accept: application/json, {EVENT_STREAM}"]
    if group.is_stream and not DIALECTS[group.client].mark.startswith("x-stainless"):
        return [f"Accept: {EVENT_STREAM}"]
    return ["Accept: application/json"]


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
    body = MESSAGE_BODY.encode()
    head += f"x-bench-demand-s: {demand_s:.6f}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
