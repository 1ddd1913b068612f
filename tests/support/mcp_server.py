"""A real MCP server of the MCP Python SDK, run by uvicorn on a thread, with an event store.

Its tools cover what a proxy can break: a plain result, progress in lock-step with the client, an
error, a response stream cut by the server and resumed with Last-Event-ID, a change notification on
the standalone stream.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.transport_security import TransportSecuritySettings

from tests.support.loops import wait_until

RETRY_INTERVAL_MS = 10


@dataclass(frozen=True)
class McpCall:
    """One HTTP request as the server saw it, with the status it answered."""

    method: str
    status: int
    headers: dict[str, str]


class MemoryEvents(EventStore):
    """Every event of every stream in a list; its identifier is its index."""

    def __init__(self) -> None:
        self._events: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        """Keep `message` and name it."""
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    async def replay_events_after(self, last_event_id: str, send: EventCallback) -> str | None:
        """Send again what followed `last_event_id` on its own stream."""
        at = int(last_event_id)
        stream = self._events[at][0]
        for idx, (owner, message) in enumerate(self._events):
            if idx > at and owner == stream and message is not None:
                await send(EventMessage(message, str(idx)))
        return stream


class SampleMcp:
    """The server. `take` hands out the HTTP calls since the last `take`."""

    def __init__(self) -> None:
        self._calls: list[McpCall] = []
        self._lock = threading.Lock()
        self._progress = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        security = TransportSecuritySettings(
            allowed_hosts=[f"127.0.0.{host}:*" for host in range(1, 32)]
        )
        app = self._tools().streamable_http_app(
            event_store=MemoryEvents(),
            retry_interval=RETRY_INTERVAL_MS,
            transport_security=security,
        )
        config = uvicorn.Config(
            self._recording(app), log_level="error", lifespan="on", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="mcp", daemon=True
        )
        self._thread.start()
        wait_until(lambda: self._server.started, 10, "the start of the MCP server")

    def close(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def take(self) -> list[McpCall]:
        """The HTTP calls since the last `take`, in the order of their answers' heads."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def step(self) -> None:
        """Let the tool `count` report once more."""
        self._progress.release()

    def drain_steps(self) -> int:
        """Take back the steps that no tool used; how many there were."""
        n_left = 0
        while self._progress.acquire(blocking=False):
            n_left += 1
        return n_left

    def _recording(self, app: Any) -> Any:
        async def recorded(scope: Any, receive: Any, send: Any) -> None:
            async def send_noting(message: Any) -> None:
                if message["type"] == "http.response.start":
                    headers = {
                        name.decode("latin-1"): value.decode("latin-1")
                        for name, value in scope["headers"]
                    }
                    with self._lock:
                        self._calls.append(McpCall(scope["method"], message["status"], headers))
                await send(message)

            await app(scope, receive, send_noting if scope["type"] == "http" else send)

        return recorded

    def _tools(self) -> MCPServer[Any]:
        server: MCPServer[Any] = MCPServer("sample", version="1", log_level="ERROR")

        @server.tool()
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        @server.tool()
        def large(n_chars: int) -> str:
            """Return a long text."""
            return "é" * n_chars

        @server.tool()
        def fail() -> str:
            """Fail."""
            raise ValueError("this tool always fails")

        @server.tool()
        async def count(n: int, ctx: Context[Any, Any]) -> str:
            """Report progress n times, each time only once the client asked for it."""
            for number in range(n):
                while not self._progress.acquire(blocking=False):
                    await asyncio.sleep(0.002)
                await ctx.report_progress(number, n, f"step {number}")
            return f"counted to {n}"

        @server.tool()
        async def drop_stream(ctx: Context[Any, Any]) -> str:
            """Close the response stream, then answer: the client has to resume."""
            await ctx.close_sse_stream()
            return "resumed"

        @server.tool()
        async def announce(ctx: Context[Any, Any]) -> str:
            """Send a change notification on the standalone stream and to subscribers."""
            await ctx.session.send_tool_list_changed()
            await ctx.notify_tools_changed()
            return "announced"

        @server.resource("sample://text")
        def text() -> str:
            """A text."""
            return "a resource"

        @server.prompt()
        def greet(name: str) -> str:
            """Greet."""
            return f"Greet {name}."

        return server
