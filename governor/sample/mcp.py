"""The sample's tools over MCP: a session is opened, named in every call, and can be closed.

*Rule of this file*: enough of streamable HTTP for the official clients, answered with
plain JSON; no stream is offered. Memory: the latest ``MAX_SESSIONS`` sessions.

*Source*: Model Context Protocol 2025-11-25, "Transports" (session management): 400
without a session, 404 for one that is not known, 202 to a notification.
"""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

from aiohttp import web

from governor.sample import dialects
from governor.sample.service import Refused, Service

SESSION_HEADER = "Mcp-Session-Id"
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")
MAX_SESSIONS = 20_000
TOOLS = ("search", "fetch", "weather")


class McpApi:
    """The handlers, around one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sessions: dict[str, None] = {}

    async def handle_post(self, request: web.Request) -> web.Response:
        """Answer one JSON-RPC message."""
        try:
            message = json.loads(await request.read())
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _error(400, None, -32600, "must be one JSON-RPC request or notification")
        method, number = message["method"], message.get("id")
        asked = message.get("params")
        params: dict[str, Any] = asked if isinstance(asked, dict) else {}
        if method == "initialize":
            return self._initialize(number, params)
        session = request.headers.get(SESSION_HEADER)
        if session not in self.sessions:
            status = 400 if session is None else 404
            return _error(status, number, -32600, "there is no such session: initialize first")
        if number is None:
            return web.Response(status=202)
        if method == "tools/call":
            return await self._call(number, params)
        if method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            return _result(number, {"tools": tools})
        if method == "ping":
            return _result(number, {})
        return _error(200, number, -32601, "there is no such method")

    async def handle_delete(self, request: web.Request) -> web.Response:
        """Close a session."""
        session = request.headers.get(SESSION_HEADER, "")
        is_known = session in self.sessions
        self.sessions.pop(session, None)
        return web.Response(status=204 if is_known else 404)

    def _initialize(self, number: Any, params: dict[str, Any]) -> web.Response:
        session = token_hex(16)
        self.sessions[session] = None
        if len(self.sessions) > MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        wanted = params.get("protocolVersion")
        answer: dict[str, Any] = {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "governor-sample", "version": "1"},
        }
        return _result(number, answer, {SESSION_HEADER: session})

    async def _call(self, number: Any, params: dict[str, Any]) -> web.Response:
        """Answer a tool call after its share of work in a slot."""
        arguments = params.get("arguments")
        subject = arguments.get("q") if isinstance(arguments, dict) else None
        found = dialects.tool_result(str(params.get("name")), str(subject or "governor"))
        if found is None:
            return _error(200, number, -32602, "there is no such tool: try search, fetch, weather")
        try:
            async with self.service.slot():
                await self.service.work(self.service.draw_service_time_s())
        except Refused:
            return _error(503, number, -32000, "the sample refuses work: a fault was provoked")
        content = [{"type": "text", "text": json.dumps(found)}]
        return _result(number, {"content": content, "isError": False})


def _result(
    number: Any, result: dict[str, Any], headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": number, "result": result}, headers=headers)


def _error(status: int, number: Any, code: int, message: str) -> web.Response:
    error = {"code": code, "message": message}
    return web.json_response({"jsonrpc": "2.0", "id": number, "error": error}, status=status)
