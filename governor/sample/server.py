"""The sample API's endpoints, on aiohttp.

*Rule of this file*: HTTP only; slots and faults are ``service``'s, shapes are
``dialects``'. Handlers run on after their caller has left
(``handler_cancellation`` is off): that is what most services do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

from aiohttp import web

from governor.config.durations import Address
from governor.sample import dialects
from governor.sample.mcp import McpApi
from governor.sample.service import FAULT_KINDS, MAX_FAULT_S, FaultKind, Refused, Service

MAX_BODY_BYTES = 16 << 20
MAX_EVENTS = 1_000

HELP = {
    "service": "Governor's sample tool API",
    "endpoints": {
        "GET|POST /tools/search, /tools/fetch, /tools/weather": "a tool call; ?q=... or {'q': ...}",
        "POST /v1/chat/completions": "OpenAI's wire, plain and streaming",
        "POST /v1/messages": "Anthropic's wire, plain and streaming",
        "GET /v1/models": "the one model",
        "POST|DELETE /mcp": "MCP over streamable HTTP: initialize, then tools/list, tools/call",
        "GET /events": "server-sent events; ?n=10&interval_ms=100",
        "GET /healthz": "slots in use and waiting, the fault at work",
        "POST /fault?kind=stall&seconds=4": "provoke stall, slow or refuse; DELETE /fault ends it",
    },
}


class SampleApi:
    """The handlers, around one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.mcp = McpApi(service)
        self._numbers = count(1)

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/", self.handle_help),
                web.get("/tools/{tool}", self.handle_tool),
                web.post("/tools/{tool}", self.handle_tool),
                web.post("/v1/chat/completions", self.handle_chat),
                web.post("/v1/messages", self.handle_message),
                web.get("/v1/models", self.handle_models),
                web.post("/mcp", self.mcp.handle_post),
                web.delete("/mcp", self.mcp.handle_delete),
                web.get("/events", self.handle_events, allow_head=False),
                web.get("/healthz", self.handle_health),
                web.post("/fault", self.handle_fault),
                web.delete("/fault", self.handle_heal),
            ]
        )
        return app

    async def handle_help(self, request: web.Request) -> web.Response:
        """Say what there is."""
        return web.json_response(HELP)

    async def handle_health(self, request: web.Request) -> web.Response:
        """Say how busy it is."""
        service = self.service
        return web.json_response(
            {
                "slots": service.n_slots,
                "in_service": service.n_in_service,
                "waiting": service.n_waiting,
                "served": service.n_served,
                "fault": service.fault,
            }
        )

    async def handle_tool(self, request: web.Request) -> web.Response:
        """Answer a tool call after its share of work in a slot."""
        body = await _read_json(request)
        subject = str(body.get("q") or request.query.get("q") or "governor")
        result = dialects.tool_result(request.match_info["tool"], subject)
        if result is None:
            return _problem(404, "there is no such tool: try search, fetch or weather")
        try:
            async with self.service.slot():
                await self.service.work(self.service.draw_service_time_s())
        except Refused:
            return _problem(503, "the sample refuses work: a fault was provoked")
        return web.json_response(result)

    async def handle_chat(self, request: web.Request) -> web.StreamResponse:
        """Answer in OpenAI's wire."""
        number = next(self._numbers)
        return await self._complete(
            request, dialects.chat_completion(number), dialects.chat_chunks(number)
        )

    async def handle_message(self, request: web.Request) -> web.StreamResponse:
        """Answer in Anthropic's wire."""
        number = next(self._numbers)
        return await self._complete(
            request, dialects.message(number), dialects.message_events(number)
        )

    async def handle_models(self, request: web.Request) -> web.Response:
        """List the one model."""
        model = {"id": dialects.MODEL, "object": "model", "created": 0, "owned_by": "sample"}
        return web.json_response({"object": "list", "data": [model]})

    async def handle_events(self, request: web.Request) -> web.StreamResponse:
        """Send numbered events; takes no slot."""
        n_events = min(_number(request, "n", 10), MAX_EVENTS)
        interval_s = min(_number(request, "interval_ms", 100), 10_000) / 1_000
        response = await _begin_stream(request)
        for n in range(n_events):
            await response.write(dialects.event({"n": n}, "tick"))
            await asyncio.sleep(interval_s)
        return response

    async def handle_fault(self, request: web.Request) -> web.Response:
        """Begin a fault: ``kind`` and ``seconds`` from the query or a JSON body."""
        wanted = {"seconds": "4", **(await _read_json(request)), **request.query}
        kind = wanted.get("kind")
        try:
            seconds = float(wanted["seconds"])
        except (TypeError, ValueError):
            seconds = -1.0
        if kind not in FAULT_KINDS or not 0 < seconds <= MAX_FAULT_S:
            return _problem(
                400, f"kind: {', '.join(FAULT_KINDS)}; seconds: above 0, at most {MAX_FAULT_S:.0f}"
            )
        lasts_s = self.service.provoke(cast(FaultKind, kind), seconds)
        return web.json_response({"fault": kind, "seconds": lasts_s})

    async def handle_heal(self, request: web.Request) -> web.Response:
        """End the fault."""
        self.service.heal()
        return web.json_response({"fault": None})

    async def _complete(
        self, request: web.Request, whole: dialects.Json, parts: Iterator[bytes]
    ) -> web.StreamResponse:
        """Answer a model call: whole after its work, or part by part while it is done."""
        is_stream = (await _read_json(request)).get("stream") is True
        try:
            async with self.service.slot():
                work_s = self.service.draw_service_time_s()
                if not is_stream:
                    await self.service.work(work_s)
                    return web.json_response(whole)
                response = await _begin_stream(request)
                for part in parts:
                    await response.write(part)
                    await self.service.work(work_s / len(dialects.WORDS))
                return response
        except Refused:
            return _problem(503, "the sample refuses work: a fault was provoked")


def build_runner(service: Service) -> web.AppRunner:
    """Return the server of the API, not started; what its handlers began, they finish."""
    return web.AppRunner(
        SampleApi(service).app(), access_log=None, handler_cancellation=False, shutdown_timeout=1.0
    )


async def serve(service: Service, address: Address, *, is_child: bool = False) -> None:
    """Serve until SIGTERM, SIGINT, or, as a child, until the parent is gone.

    Prints ``sample http://HOST:PORT`` when ready. A child reads its standard input,
    a pipe that the parent never writes to: its end is the parent's end, however
    that came.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if is_child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent drains first, then ends us
        os.set_blocking(sys.stdin.fileno(), False)
        loop.add_reader(sys.stdin.fileno(), stop.set)
    else:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    runner = build_runner(service)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        print(f"sample  http://{Address(*runner.addresses[0][:2])}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


async def _begin_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"content-type": "text/event-stream", "cache-control": "no-store"}
    )
    await response.prepare(request)
    return response


async def _read_json(request: web.Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty one for anything else."""
    try:
        value = json.loads(await request.read() or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _problem(status: int, message: str) -> web.Response:
    headers = {"retry-after": "1"} if status == 503 else None
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)
