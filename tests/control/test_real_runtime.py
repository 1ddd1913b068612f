"""The control plane of a real, running Governor: what goes in at the proxy comes out here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web
from prometheus_client.parser import text_string_to_metric_families as parse

from governor.config.model import Config
from governor.control.metrics import METRICS
from governor.control.state import describe_runtime
from governor.core.spread import SpreadGate
from governor.processes.worker import Worker
from governor.proxy import coalesce, unshared
from governor.runtime import Runtime
from policies.switches import Modes, unpack

S = 1_000_000_000


async def answer(request: web.Request) -> web.Response:
    """A service that takes 50 ms a call."""
    await asyncio.sleep(0.05)
    return web.Response(text="done")


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """Its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def runtime(service: str, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A Governor with two places and room for two who wait."""
    config = Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "upstreams": {"tools": {"endpoints": [service], "limit": 2, "max_waiting": 2}},
            "access_log": {"mode": "touched", "path": str(tmp_path / "access.log")},
        }
    )
    runtime = Runtime(config)
    await runtime.start()
    yield runtime
    await runtime.close()


async def test_what_happened_is_on_every_page(runtime: Runtime, tmp_path: Path) -> None:
    """Six calls at once: two untouched, two waited, two sent away; all pages say so."""
    info = runtime.info
    assert info.control_url is not None
    async with ClientSession() as session:

        async def call(idx: int) -> int:
            headers = {"x-governor-flow": f"agent-{idx}", "x-request-id": f"call-{idx}"}
            url = f"{info.proxy_url}/run?secret={idx}"
            async with session.get(url, headers=headers) as reply:
                await reply.read()
                return reply.status

        async def page(path: str) -> Any:
            async with session.get(f"{info.control_url}{path}") as reply:
                assert reply.status == 200
                return await reply.json()

        statuses = await asyncio.gather(*map(call, range(6)))
        assert sorted(statuses) == [200, 200, 200, 200, 429, 429]
        await asyncio.sleep(0.12)  # two ticks: signals are read once a tick

        state = (await page("/state"))["upstreams"]["tools"]
        decisions = await page("/decisions?last=10")
        async with session.get(f"{info.control_url}/metrics") as reply:
            text = await reply.text()

    ledger = state["ledger"]
    assert (ledger["untouched"], ledger["waited"]) == (2, 2)
    assert ledger["answered"] == {"line_full": 2}
    assert ledger["outcomes"]["completed"] == 4
    assert state["endpoints"][0]["limit"] == 2
    assert state["signals"]["arrival_rate"]["samples"] == 6
    assert state["signals"]["identified_share"]["value"] == 1.0

    by_action = {entry["action"] for entry in decisions["decisions"]}
    assert (decisions["total"], by_action) == (4, {"admit", "answer"})
    assert all(entry["request_id"].startswith("call-") for entry in decisions["decisions"])

    families = {f.name + "_total" * (f.type == "counter"): f for f in parse(text)}
    assert set(METRICS) <= set(families)
    assert {"process_resident_memory_bytes", "python_info"} <= set(families)
    counts = families["governor_requests_total"].samples
    assert sum(s.value for s in counts if s.labels["code_class"] == "2xx") == 4
    assert sum(s.value for s in counts if s.labels["code_class"] == "4xx") == 2
    assert "secret" not in text + json.dumps([state, decisions])

    await runtime.close()
    lines = [json.loads(x) for x in (tmp_path / "access.log").read_bytes().splitlines()]
    assert sorted(line["status"] for line in lines) == [200, 200, 429, 429]
    assert all(line["path"] == "/run" for line in lines)


async def test_readiness_of_a_real_drain(runtime: Runtime) -> None:
    """While it drains, the control plane still answers, and says so."""
    url = f"{runtime.info.control_url}/healthz/ready"
    async with ClientSession() as session:
        async with session.get(url) as reply:
            assert reply.status == 200
        draining = asyncio.ensure_future(runtime.drain())
        await asyncio.sleep(0)
        async with session.get(url) as reply:
            assert (reply.status, await reply.json()) == (503, {"status": "draining"})
        assert await draining


def test_a_switch_reaches_every_gate_and_every_page() -> None:
    """Observe and off take effect at once, are told by the state page, and go back."""
    runtime = Runtime(Config.single("http://127.0.0.1:9", admin=None))
    gate = runtime.gates["default"]
    runtime.switch("mode", "observe")
    runtime.switch("hold", "off")
    assert (gate.is_observing, unpack(gate.shaping.switches).hold) == (True, "off")
    assert unpack(gate.shaping.switches).contain == "observe"
    state = describe_runtime(runtime, 0)
    assert state["mode"] == state["upstreams"]["default"]["mode"] == "observe"
    assert state["upstreams"]["default"]["shaping"]["hold"]["mode"] == "off"
    runtime.switch("mode", "govern")
    assert not gate.is_observing
    assert unpack(gate.shaping.switches).contain == "govern"
    assert runtime.config.policies.hold == "off"


def test_what_was_off_at_the_start_can_be_switched_on() -> None:
    """Routes wait out and share from then on, endpoints are chosen; and back; workers, too."""
    urls = ["http://127.0.0.1:9", "http://127.0.0.1:10"]
    config = Config.model_validate(
        {
            "admin": {"address": None},
            "upstreams": {"tools": {"endpoints": urls, "acceleration": 2.0}},
            "routes": [
                {"upstream": "tools", "absorb": "2s", "coalesce": True},
                {
                    **{"match": {"path_prefix": "/own"}, "upstream": "tools"},
                    **{"absorb": "2s", "policies": {"absorb": "off"}},
                },
            ],
            "policies": dict.fromkeys(Modes._fields, "off"),
        }
    )
    runtime = Runtime(config)
    plain, own = runtime.proxy.router.routes
    worker = SimpleNamespace(config=config, proxy=SimpleNamespace(router=runtime.proxy.router))
    gate = runtime.gates["tools"]
    for throw in (runtime.switch, partial(Worker.switch, cast("Worker", worker))):
        assert (plain.absorb_ns, plain.join, own.absorb_ns) == (0, None, 0)
        throw("absorb", "govern")
        throw("coalesce", "govern")
        assert (plain.absorb_ns, plain.join, own.absorb_ns) == (2 * S, coalesce.join, 0)
        throw("coalesce", "observe")
        assert plain.join == unshared.watch
        throw("absorb", "off")
        throw("coalesce", "off")
    assert isinstance(gate, SpreadGate)
    assert gate.shaping.acceleration is None
    runtime.switch("reroute", "govern")
    runtime.switch("acceleration", "govern")
    assert gate._moves
    assert gate.shaping.acceleration is not None
