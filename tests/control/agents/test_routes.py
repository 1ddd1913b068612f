"""Agents over a real socket: provoked, told of, quarantined, released; who may do it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from aiohttp import ClientSession, web

from governor.config.model import Config
from governor.runtime import Runtime

TOKEN = "a-token-of-some-length"
S = 1_000_000_000


@pytest.fixture
def go() -> asyncio.Event:
    """Set, it lets the service answer."""
    return asyncio.Event()


@pytest.fixture
async def runtime(tmp_path: Path, go: asyncio.Event) -> AsyncIterator[Runtime]:
    """A Governor in front of a service that answers when told, with a planner of two calls."""

    async def answer(request: web.Request) -> web.Response:
        await go.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    match = {"header": "x-governor-flow", "value": "planner-1"}
    config = Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {
                "address": "127.0.0.1:0",
                "token": TOKEN,
                "audit_file": str(tmp_path / "audit.jsonl"),
            },
            "upstreams": {"tools": {"endpoints": [f"http://127.0.0.1:{runner.addresses[0][1]}"]}},
            "agents": [
                {"name": "planner", "match": match, "in_flight": 2, "on_deviation": "quarantine"}
            ],
            "access_log": {"mode": "off"},
        }
    )
    runtime = Runtime(config)
    await runtime.start()
    yield runtime
    await runtime.close()
    await runner.cleanup()


class Console:
    """A caller of the proxy, and an operator with the token."""

    def __init__(self, runtime: Runtime, session: ClientSession) -> None:
        self.info = runtime.info
        self.session = session

    async def call(self, flow: str, **more: str) -> tuple[int, bytes]:
        """Send a request as an agent; return status and body."""
        own = {"x-governor-flow": flow, **more}
        async with self.session.get(f"{self.info.proxy_url}/x", headers=own) as reply:
            return reply.status, await reply.read()

    async def get(self, path: str) -> Any:
        """Return what the control port says."""
        async with self.session.get(f"{self.info.control_url}{path}") as reply:
            return await reply.json()

    async def post(self, path: str, body: str = "{}", **other: str) -> tuple[int, Any]:
        """Ask for a change; return status and answer."""
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **other}
        url = f"{self.info.control_url}{path}"
        async with self.session.post(url, data=body, headers=sent) as reply:
            return reply.status, await reply.json()


async def test_an_agent_is_quarantined_for_deviating_and_released_by_token(
    runtime: Runtime, go: asyncio.Event, tmp_path: Path
) -> None:
    """Four calls at once where two may be: event, 403, release, served; the trail tells it all."""
    async with ClientSession() as session:
        console = Console(runtime, session)
        call, get, post = console.call, console.get, console.post
        calls = [asyncio.create_task(call("planner-1")) for _ in range(4)]
        while runtime.gates["tools"].in_flight < 4:
            await asyncio.sleep(0.01)
        start_ns = monotonic_ns()
        for second in range(8):  # what the tick would do in eight seconds
            runtime.registry.tick(start_ns + second * S)
        [agent] = (await get("/agents?state=restrained"))["agents"]
        assert (agent["agent"], agent["state"]) == ("planner", "quarantined")
        assert agent["deviating"] == ["in_flight"]
        kinds = [event["kind"] for event in (await get("/agents"))["events"]]
        assert kinds == ["quarantined", "deviation_began"]
        status, body = await call("planner-1")
        assert (status, json.loads(body)["error"]["reason"]) == (403, "quarantined")
        mcp = {
            "mcp-protocol-version": "2025-06-18",
            "accept": "application/json, text/event-stream",
        }
        status, body = await call("planner-1", **mcp)
        told = json.loads(body)
        assert (status, told["jsonrpc"], told["id"]) == (403, "2.0", None)

        path = f"/agents/{agent['id']}/release"
        assert (await post(path, Authorization="Bearer wrong"))[0] == 401
        assert (await post(path, **{"Content-Type": "text/plain"}))[0] == 415
        assert (await post(path, body="[1]"))[0] == 400
        assert (await post("/agents/flow-0123456789abcdef/release"))[0] == 404
        assert (await post(path, Host="evil.example"))[0] == 403
        assert (await get(f"/agents/{agent['label']}"))["state"] == "quarantined"
        status, page = await post(path, body='{"why": "it was a test"}')
        assert (status, page["state"]) == (200, "free")
        assert (await post(path))[0] == 409
        go.set()
        assert [status for status, _ in await asyncio.gather(*calls)] == [200] * 4
        assert (await call("planner-1"))[0] == 200
        acts = (await get("/audit"))["acts"]
        assert [(act["who"][:6], act["what"], act["why"]) for act in acts] == [
            ("token-", "released", "it was a test"),
            ("envelo", "quarantined", "in_flight"),
        ]
        async with session.get(f"{runtime.info.control_url}/agents.html") as reply:
            assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
            assert "<script>" not in await reply.text()
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["quarantined", "released"]
    assert "planner-1" not in json.dumps(acts)


async def test_without_a_token_nothing_can_be_changed() -> None:
    """A write is refused and told what to configure, whatever it bears."""
    from governor.control import ControlPlane
    from tests.control.stub import StubRuntime

    control = ControlPlane(StubRuntime())
    await control.start()
    try:
        async with ClientSession(control.url) as session:
            headers = {"Authorization": "Bearer ", "Content-Type": "application/json"}
            url = "/agents/flow-00000000/quarantine"
            async with session.post(url, data="{}", headers=headers) as reply:
                error = (await reply.json())["error"]
                assert (reply.status, error["reason"]) == (403, "no_token_configured")
                assert "GOVERNOR_ADMIN_TOKEN" in error["message"]
            async with session.get("/agents?limit=0") as reply:
                assert reply.status == 400
    finally:
        await control.close()
