"""The control plane's server: routes, refusals, start and stop.

*Rule of this file*: HTTP only; what the pages say is in their own files.

*Security*: reading needs no authentication, so it listens on loopback unless told
otherwise, and sends no CORS header. What changes anything asks for more: a token
(:mod:`governor.control.agents.routes`), or what no page of another site can send
(:mod:`governor.control.writes`). A web page in the operator's own browser can still
point a DNS name of its own at 127.0.0.1 (DNS rebinding): requests whose ``Host`` is a
name other than localhost or the configured one are refused. IP addresses
are fine: no page can forge those.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from governor.control.agents import AgentRoutes
from governor.control.collector import GovernorCollector
from governor.control.dashboard.routes import PAGE, STREAM, DashboardRoutes
from governor.control.decisions import LAST_MAX, BadParameter, describe_decisions, parse_last
from governor.control.explain import describe_life
from governor.control.health import LIVE_PATHS, READY_PATHS, compute_readiness
from governor.control.state import describe_runtime
from governor.control.view import RuntimeView
from governor.control.writes import find_objection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

INDEX = {
    PAGE: "the dashboard, for a browser",
    STREAM: "what the dashboard shows, as server-sent events",
    "/metrics": "Prometheus metrics",
    "/state": "what every signal reads and every policy does now (?pretty to read it)",
    "/fleet": "what the governors of a fleet share (?members: who they are); null without one",
    "/decisions": f"recent interventions and the readings behind them (?last=1..{LAST_MAX})",
    "/agents": "who calls, how, and what each may do; POST to /agents/ID/release, quarantine, hold",
    "/agents.html": "the same as a page",
    "/audit": "who held, quarantined or released whom, what was switched, and why",
    "/explain": "the life of one request (?id=REQUEST-ID)",
    "/healthz/live": "200 while the process turns",
    "/healthz/ready": "200 while it takes traffic, 503 while starting or draining",
}

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

MAX_ID_CHARS = 256

PROBE_PATHS = frozenset((*LIVE_PATHS, *READY_PATHS))
"""Asked for every few seconds; nothing of an upstream is told there."""

CLOSE_S = 1.0
"""Time that open scrapes get to finish when the control plane closes."""


def answer_json(page: Any, status: int = 200, *, is_pretty: bool = False) -> web.Response:
    """Return a JSON answer; NaN and infinity, should one slip in, become null."""
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    if is_pretty:
        option |= orjson.OPT_INDENT_2
    body = orjson.dumps(page, option=option)
    return web.Response(body=body, status=status, content_type="application/json", headers=HEADERS)


def answer_error(status: int, reason: str, message: str, **more: str) -> web.Response:
    """Return an error in the same shape as the proxy's own answers."""
    fault = "caller" if status < 500 else "governor"
    error = {"reason": reason, "fault": fault, "message": message, **more}
    return answer_json({"error": error}, status)


def is_host_allowed(host: str, names: frozenset[str]) -> bool:
    """Tell whether a ``Host`` header can come from someone who means this server.

    Examples
    --------
    >>> none = frozenset()
    >>> [is_host_allowed(x, none) for x in ("127.0.0.1:9090", "[::1]:9090", "localhost", "a.com")]
    [True, True, True, False]
    """
    if not host:
        return True  # HTTP/1.0, which no browser speaks
    if host.startswith("["):
        name, bracket, _ = host[1:].partition("]")
        if not bracket:
            return False
    else:
        name = host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name in names or name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class ControlPlane:
    """Serves the pages of one runtime, in the runtime's own event loop.

    Parameters
    ----------
    runtime : RuntimeView
        Read on each request; its configuration says where to listen.
    """

    def __init__(self, runtime: RuntimeView) -> None:
        self._runtime = runtime
        admin = runtime.config.admin
        self._address = admin.parsed
        names = {str(name).lower() for name in admin.hosts}
        if self._address is not None:
            names.add(self._address.host.lower())
        self._names = frozenset(names)
        self._registry = CollectorRegistry()
        self._registry.register(GovernorCollector(runtime))
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=self._registry)
        self._runner: web.AppRunner | None = None
        host = self._address.host if self._address is not None else None
        self._dashboard = DashboardRoutes(runtime, host)
        self._agents = AgentRoutes(runtime, answer_json, answer_error)
        self.app = self._make_app()

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and real port while listening, else None."""
        if self._runner is None or not self._runner.addresses:
            return None
        host, port = self._runner.addresses[0][:2]
        return host, port

    @property
    def url(self) -> str:
        """Where to point a browser; empty while not listening."""
        if self.address is None:
            return ""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Does nothing where no address is configured.

        Raises
        ------
        OSError
            If the address cannot be bound.
        """
        if self._address is None or self._runner is not None:
            return
        runner = web.AppRunner(
            self.app, handle_signals=False, access_log=None, shutdown_timeout=CLOSE_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address.host, self._address.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def close(self) -> None:
        """Stop listening and close what is open; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/state", self._state)
        app.router.add_get("/fleet", self._fleet)
        app.router.add_get("/decisions", self._decisions)
        self._dashboard.add_to(app)
        self._agents.add_to(app)
        app.router.add_get("/explain", self._explain)
        app.router.add_post("/record", self._record)
        for path in LIVE_PATHS:
            app.router.add_get(path, self._live)
        for path in READY_PATHS:
            app.router.add_get(path, self._ready)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign hosts; answer every error as JSON."""
        host = request.headers.get("Host", "")
        if not is_host_allowed(host, self._names):
            return answer_error(
                403,
                "host_not_allowed",
                "reach the control plane by IP address, localhost or its configured name",
            )
        try:
            if request.path not in PROBE_PATHS:
                self._runtime.refresh()
            return await handler(request)
        except web.HTTPNotFound:
            return answer_error(404, "not_found", f"there is: {' '.join(INDEX)}")
        except web.HTTPMethodNotAllowed as error:
            allowed = error.headers["Allow"]
            answer = answer_error(405, "method_not_allowed", f"there is {allowed} only")
            answer.headers["Allow"] = allowed
            return answer
        except BadParameter as error:
            return answer_error(
                400, "bad_parameter", str(error), field=error.field, allowed=error.allowed
            )

    async def _index(self, request: web.Request) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):  # a browser: only people ask so
            raise web.HTTPFound(PAGE)
        return answer_json(INDEX, is_pretty=True)

    async def _live(self, request: web.Request) -> web.Response:
        return answer_json({"status": "live"})

    async def _ready(self, request: web.Request) -> web.Response:
        status, word = compute_readiness(self._runtime)
        return answer_json({"status": word}, status)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        headers = {**HEADERS, "Content-Type": content_type}
        return web.Response(body=encode(self._registry), headers=headers)

    async def _state(self, request: web.Request) -> web.Response:
        page = describe_runtime(self._runtime, time.monotonic_ns())
        return answer_json(page, is_pretty="pretty" in request.query)

    async def _fleet(self, request: web.Request) -> web.Response:
        """Answer what is shared with other governors; null where this one is alone."""
        fleet = self._runtime.fleet
        if fleet is not None and "members" in request.query:
            await fleet.look(time.monotonic_ns())
        page = None if fleet is None else fleet.describe(time.monotonic_ns())
        return answer_json({"fleet": page}, is_pretty="pretty" in request.query)

    async def _decisions(self, request: web.Request) -> web.Response:
        last = parse_last(request.query.get("last"))
        page = describe_decisions(self._runtime, last, time.monotonic_ns(), time.time_ns())
        return answer_json(page, is_pretty="pretty" in request.query)

    async def _explain(self, request: web.Request) -> web.Response:
        if "id" not in request.query:
            return answer_json({"usage": "/explain?id=REQUEST-ID", "see": INDEX["/explain"]})
        request_id = request.query["id"]
        if not 0 < len(request_id) <= MAX_ID_CHARS:
            raise BadParameter("id", f"a request id of 1 to {MAX_ID_CHARS} characters")
        page = describe_life(self._runtime, request_id, time.monotonic_ns(), time.time_ns())
        return answer_json(page, is_pretty="pretty" in request.query)

    async def _record(self, request: web.Request) -> web.Response:
        """Write the recording now."""
        objection = find_objection(request.headers)
        if objection is not None:
            return answer_error(403, "write_not_allowed", objection)
        recorder = self._runtime.recorder
        if recorder is None:
            message = "nothing is recorded: set recorder.mode to storm or continuous"
            return answer_error(409, "not_recording", message)
        try:
            return answer_json(await recorder.dump())
        except OSError as error:
            message = f"the recording cannot be written: {error.strerror or error}"
            return answer_error(500, "cannot_write", message)
