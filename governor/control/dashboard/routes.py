"""The dashboard over HTTP: its pages, its stream, its switches.

*Rule of this file*: HTTP only. A fixed list of files, read once; nothing in a
path reaches the file system.

*Security*: a strict Content-Security-Policy (own files only, no inline script or
style, no frames), and no CORS header. The stream is refused to other sites: they
could not read it, but would take a viewer's place.
"""

from __future__ import annotations

import asyncio
import socket
import time
from functools import cache
from importlib.resources import files

import orjson
from aiohttp import web

from governor.control.dashboard.hub import Hub, TooManyViewers
from governor.control.dashboard.snapshot import read_modes
from governor.control.dashboard.switch import parse_switch
from governor.control.view import RuntimeView
from governor.control.writes import find_distance, find_objection

PAGE = "/dashboard"
STREAM = "/stream"
SWITCH = "/switch"

ASSETS = {
    "app.js": "text/javascript",
    "charts.js": "text/javascript",
    "fleet.js": "text/javascript",
    "people.js": "text/javascript",
    "storms.js": "text/javascript",
    "switches.js": "text/javascript",
    "table.js": "text/javascript",
    "text.js": "text/javascript",
    "style.css": "text/css",
    "vendor/uPlot.iife.min.js": "text/javascript",
    "vendor/uPlot.min.css": "text/css",
    "vendor/LICENSE.uPlot": "text/plain",
}
"""Every file beside the page itself."""

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

SLOW_S = 5.0
"""A viewer that takes no byte for so long is dropped: a live one reads within milliseconds."""
SEND_BUFFER_BYTES = 65_536
"""Of the kernel, for each viewer: what one that reads nothing can cost."""
BODY_MAX = 256


class DashboardRoutes:
    """The handlers; one hub behind them.

    Parameters
    ----------
    runtime : RuntimeView
    listens_on : str or None
        The control port's host.
    """

    def __init__(self, runtime: RuntimeView, listens_on: str | None) -> None:
        self._runtime = runtime
        self._listens_on = listens_on
        self.hub = Hub(runtime)

    def add_to(self, app: web.Application) -> None:
        """Add the routes to a control plane's application."""
        app.router.add_get(PAGE, self._page)
        app.router.add_get(PAGE + "/{name:.+}", self._asset)
        app.router.add_get(STREAM, self._stream)
        app.router.add_post(SWITCH, self._switch)
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        self.hub.close()

    async def _page(self, request: web.Request) -> web.Response:
        body = read_page("index.html")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=HEADERS)

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in ASSETS:
            raise web.HTTPNotFound
        return web.Response(
            body=read_page(name), content_type=ASSETS[name], charset="utf-8", headers=HEADERS
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return refuse(403, "other_site", "the stream is not for other sites")
        try:
            viewer, hello = self.hub.join()
        except TooManyViewers:
            answer = refuse(503, "too_many_viewers", "as many watch as may; come back in a while")
            answer.headers["Retry-After"] = "10"
            return answer
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        transport = request.transport
        try:
            if transport is not None and (sock := transport.get_extra_info("socket")) is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            await response.prepare(request)
            frame = hello
            while frame and request.transport is not None:  # None: gone, as aiohttp tells it
                async with asyncio.timeout(SLOW_S):
                    await response.write(frame)
                frame = await viewer.take()
        except TimeoutError:
            if transport is not None:
                transport.abort()
        except ConnectionError:
            pass
        finally:
            self.hub.leave(viewer)
        return response

    async def _switch(self, request: web.Request) -> web.Response:
        peername = request.transport and request.transport.get_extra_info("peername")
        peer = peername[0] if peername else None
        objection = find_distance(self._listens_on, peer) or find_objection(request.headers)
        if objection is not None:
            return refuse(403, "switch_not_allowed", objection)
        try:
            body = await request.content.read(BODY_MAX + 1)
            name, value = parse_switch(orjson.loads(body[:BODY_MAX]))
        except ValueError as error:
            return refuse(400, "bad_switch", str(error))
        before = read_modes(self._runtime)[name]
        self._runtime.switch(name, value)
        self._runtime.audit.note_switch(name, before, value, time.time_ns())
        return web.Response(
            body=orjson.dumps(read_modes(self._runtime)),
            content_type="application/json",
            headers=HEADERS,
        )


def refuse(status: int, reason: str, message: str) -> web.Response:
    """Return an error in the shape of the control plane's others."""
    fault = "caller" if status < 500 else "governor"
    body = orjson.dumps({"error": {"reason": reason, "fault": fault, "message": message}})
    return web.Response(body=body, status=status, content_type="application/json", headers=HEADERS)


@cache
def read_page(name: str) -> bytes:
    """Return one file of the pages; only names of the fixed list are asked for."""
    return files("governor.control.dashboard").joinpath("pages", name).read_bytes()
