"""The agents' routes: lists for everybody, acts for who bears the token.

*Rule of this file*: HTTP and permission only.

*Security*: a write needs ``admin.token`` as a bearer token, compared in constant time, and a JSON
content type. No page of another origin can send either without a preflight, which is
not answered; the foreign-host guard stands before all of it. Without a configured token
nothing can be changed. The page itself holds no secret: the token is typed, kept in memory, and
sent with the act alone.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web

from governor.control.agents.audit import N_KEPT, token_id
from governor.control.agents.pages import AgentPages, Now, parse_query, parse_whole
from governor.core.identity import OVERFLOW

if TYPE_CHECKING:
    from governor.control.view import RuntimeView

MAX_WHY = 200
"""Characters of a reason that a person gives."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/agents.html": ("agents.html", "text/html"),
    "/agents.js": ("agents.js", "text/javascript"),
    "/agent.js": ("agent.js", "text/javascript"),
    "/agents.css": ("agents.css", "text/css"),
}

AnswerJson = Callable[..., web.Response]
AnswerError = Callable[..., web.Response]


class AgentRoutes:
    """The routes of one control plane.

    Parameters
    ----------
    runtime : RuntimeView
    answer_json, answer_error : callable
        The control plane's own way of answering.
    """

    def __init__(
        self, runtime: RuntimeView, answer_json: AnswerJson, answer_error: AnswerError
    ) -> None:
        self._runtime = runtime
        self._json = answer_json
        self._error = answer_error
        token = runtime.config.admin.token
        self._token = token.get_secret_value() if token is not None else ""
        self._pages = AgentPages(
            runtime.registry,
            runtime.identities,
            tuple(runtime.gates),
            lambda: runtime.config.policies.mode == "observe",
        )
        folder = files("governor.control.agents")
        self._files = {
            path: (folder.joinpath(name).read_bytes(), kind)
            for path, (name, kind) in _FILES.items()
        }
        self._latest = OVERFLOW
        """The flow asked for last: a page asks for the same one again and again."""
        self.n_refused = 0

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/agents", self._list)
        app.router.add_get("/agents/{id}", self._one)
        app.router.add_get("/audit", self._audit)
        for act in ("release", "quarantine", "hold"):
            app.router.add_post(f"/agents/{{id}}/{act}", self._act)
        for path in self._files:
            app.router.add_get(path, self._file)

    async def _list(self, request: web.Request) -> web.Response:
        page = self._pages.describe_list(parse_query(request.query), _now())
        return self._json(page, is_pretty="pretty" in request.query)

    async def _one(self, request: web.Request) -> web.Response:
        flow = self._find(request)
        if isinstance(flow, web.Response):
            return flow
        page = self._pages.describe(flow, _now())
        events = [x for x in self._pages.describe_events(_now(), 1_000) if x["id"] == page["id"]]
        return self._json({**page, "events": events}, is_pretty="pretty" in request.query)

    async def _audit(self, request: web.Request) -> web.Response:
        last = parse_whole("last", request.query.get("last"), 100, 1, N_KEPT)
        self._collect()
        return self._json({"acts": self._runtime.audit.last(last)})

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": CSP,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _act(self, request: web.Request) -> web.Response:
        refusal = self._refuse(request)
        if refusal is not None:
            self.n_refused += 1
            return refusal
        why = await _read_why(request)
        if why is None:
            return self._error(
                400, "bad_body", f'send a JSON object, {{"why": "..."}} of {MAX_WHY} characters'
            )
        flow = self._find(request)
        if isinstance(flow, web.Response):
            return flow
        act = request.path.rpartition("/")[2]
        registry = self._runtime.registry
        now_ns, by = time.monotonic_ns(), token_id(self._token)
        if act == "release":
            if not registry.release(now_ns, flow, by, why):
                return self._error(409, "not_restrained", "it is neither held nor quarantined")
        else:
            cap = registry.cap_of(registry.limits_of(flow)[0]) if act == "hold" else 0
            if not registry.restrain(now_ns, flow, cap, by, why):
                return self._error(409, "too_many", "as many are restrained as can be")
        self._collect()
        return self._json(self._pages.describe(flow, _now()))

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Return why a write is not allowed; None if it is."""
        if not self._token:
            return self._error(
                403,
                "no_token_configured",
                "nothing can be changed: configure admin.token: ${GOVERNOR_ADMIN_TOKEN} (at least "
                "16 characters), start again, and send it as Authorization: Bearer",
            )
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        is_known = hmac.compare_digest(sent.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not is_known:
            answer = self._error(401, "bad_token", "send admin.token as Authorization: Bearer")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if request.content_type != "application/json":
            return self._error(415, "not_json", "send Content-Type: application/json")
        return None

    def _find(self, request: web.Request) -> int | web.Response:
        """Return the flow that is meant, or the answer where that is none or several."""
        flows, wanted = self._runtime.identities.flows, request.match_info["id"]
        if self._latest and flows.long_label(self._latest) == wanted:
            return self._latest
        found = flows.find_labelled(wanted)
        if not found:
            return self._error(404, "no_such_agent", "no agent of this id is known; see /agents")
        if len(found) > 1:
            return self._error(409, "ambiguous", "several end in these digits: give all 16")
        self._latest = found[0]
        return found[0]

    def _collect(self) -> None:
        now = _now()
        self._runtime.audit.collect(self._runtime.registry, *now)


async def _read_why(request: web.Request) -> str | None:
    """Return the reason that a person gives; None if the body is not what it must be."""
    try:
        body: Any = json.loads(await request.read() or b"{}")
    except (ValueError, web.HTTPRequestEntityTooLarge):
        return None
    why = body.get("why", "") if isinstance(body, dict) else None
    if not isinstance(why, str) or len(why) > MAX_WHY:
        return None
    return "".join(x if x.isprintable() else " " for x in why)


def _now() -> Now:
    return Now(time.monotonic_ns(), time.time_ns())
