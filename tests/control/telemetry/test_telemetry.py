"""OpenTelemetry end to end: what goes through a real proxy arrives at a real collector."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from governor.config.model import Config
from governor.control.telemetry import make_telemetry
from governor.control.telemetry import telemetry as telemetry_module
from governor.runtime import Runtime
from tests.control.telemetry.collector import OtlpCollector, values

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SERVER_KIND = 2


@pytest.fixture
async def collector() -> AsyncIterator[OtlpCollector]:
    """A collector that listens."""
    collector = OtlpCollector()
    await collector.start()
    yield collector
    await collector.close()


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """A service that takes 30 ms and answers with the traceparents that it was sent."""

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.03)
        sent = [v for k, v in request.raw_headers if k.lower() == b"traceparent"]
        status = int(request.query.get("status", "200"))
        return web.Response(body=b"|".join(sent), status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def start(service: str, mode: str = "off") -> Runtime:
    """Return a running Governor with one place and room for one who waits."""
    config = Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": None},
            "upstreams": {"tools": {"endpoints": [service], "limit": 1, "max_waiting": 1}},
            "access_log": {"mode": mode},
        }
    )
    runtime = Runtime(config)
    await runtime.start()
    return runtime


def ask_for(monkeypatch: pytest.MonkeyPatch, url: str, **more: str) -> None:
    """Set the standard variables."""
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_METRIC_EXPORT_INTERVAL": "50",
        "OTEL_SERVICE_NAME": "front",
    }
    for name, value in (told | more).items():
        monkeypatch.setenv(name, value)


async def call(
    session: ClientSession, runtime: Runtime, request_id: str, headers: dict[str, str]
) -> tuple[int, str]:
    """Send one request with a query that nobody may see; return status and body."""
    url = f"{runtime.info.proxy_url}/v1/run?key=secret"
    headers = {"x-request-id": request_id, "authorization": "Bearer secret", **headers}
    async with session.get(url, headers=headers) as reply:
        return reply.status, await reply.text()


async def test_requests_arrive_as_spans_with_their_parents_and_decisions(
    service: str, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at once at one place: one goes through, one waits, one is sent away; spans tell."""
    ask_for(monkeypatch, collector.url)
    runtime = await start(service)
    proxy_url = runtime.info.proxy_url
    sent = f"00-{TRACE}-{SPAN}-01"
    try:
        async with ClientSession() as session:
            calls = [call(session, runtime, f"r{i}", {"traceparent": sent}) for i in range(3)]
            answers = await asyncio.gather(*calls)
            await call(session, runtime, "root", {})
            await call(session, runtime, "unsampled", {"traceparent": sent[:-1] + "0"})
            await call(session, runtime, "last", {"traceparent": sent})
        spans = [await collector.span(f"r{i}") for i in range(3)]
        root, last = await collector.span("root"), await collector.span("last")
        await collector.metric("governor_requests")
    finally:
        await runtime.close()
    requests = collector.metrics["governor_requests"]  # closing has sent the last of them
    durations = collector.metrics["governor_request_duration_seconds"]

    assert sorted(status for status, _ in answers) == [200, 200, 429]
    assert {body for status, body in answers if status == 200} == {sent}, "passed on as it came"
    assert "unsampled" not in collector.spans
    assert all((s.trace_id.hex(), s.parent_span_id.hex()) == (TRACE, SPAN) for s in [*spans, last])
    assert root.parent_span_id == b""
    assert root.trace_id.hex() != TRACE
    assert len({span.span_id for span in [*spans, root, last]}) == 5
    assert collector.resource["service.name"] == "front"
    assert collector.headers[0]["x-key"] == "abc"

    by_status = {values(span)["http.response.status_code"]: span for span in spans}
    through = values(root)
    host, port = proxy_url.removeprefix("http://").split(":")
    assert root.name == "GET /"
    assert root.kind == SERVER_KIND
    assert through["http.request.method"] == "GET"
    assert through["url.path"] == "/v1/run"
    assert (through["url.scheme"], through["network.protocol.version"]) == ("http", "1.1")
    assert (through["server.address"], through["server.port"]) == (host, int(port))
    assert (through["governor.decision"], through["governor.reason"]) == ("admit", "untouched")
    assert len(root.events) == 0
    assert 0.03e9 < root.end_time_unix_nano - root.start_time_unix_nano < 10e9

    check_wait(next(span for span in spans if len(span.events) == 2))

    (away,) = by_status[429].events
    told = values(away)
    assert (away.name, told["governor.reason"]) == ("governor.answer", "line_full")
    assert told["governor.retry_after_s"] > 0

    check_counts(requests, durations)
    assert "secret" not in str([*collector.spans.values(), *collector.metrics.values()])
    assert runtime.telemetry is not None
    assert runtime.telemetry.shippers["spans"].n_shipped == 5


def check_wait(waited: Any) -> None:
    """The span of a call that waited says when, for what, and what freed it."""
    wait, admit = waited.events
    assert (wait.name, values(wait)["governor.reason"]) == ("governor.wait", "over_limit")
    told = values(admit)
    assert (admit.name, told["governor.reason"]) == ("governor.admit", "capacity_freed")
    assert told["governor.waited_s"] > 0.01
    assert (told["governor.limit"], told["governor.line_length"]) == (1, 0)
    assert waited.start_time_unix_nano <= wait.time_unix_nano <= admit.time_unix_nano
    assert admit.time_unix_nano <= waited.end_time_unix_nano


def check_counts(requests: Any, durations: Any) -> None:
    """The counter by class, and the histogram of the same requests."""
    points = [(values(point), point.as_double) for point in requests.sum.data_points]
    labels, n = next((labels, n) for labels, n in points if labels["code_class"] == "2xx")
    assert labels["upstream"] == "tools"
    assert n == 5
    assert requests.sum.is_monotonic
    (point,) = durations.histogram.data_points
    assert point.count == sum(point.bucket_counts) == 6
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


async def test_a_dead_collector_costs_no_request(
    service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens: requests are answered, the loss is counted and said once, the end is soon."""
    ask_for(monkeypatch, "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    monkeypatch.setattr(telemetry_module, "CLOSE_S", 0.2)
    runtime = await start(service, mode="touched")
    loop = asyncio.get_running_loop()
    try:
        async with ClientSession() as session:
            for idx in range(5):
                assert (await call(session, runtime, f"r{idx}", {}))[0] == 200
        assert runtime.proxy.stats.n_faults == 0
    finally:
        began_s = loop.time()
        await runtime.close()
    assert loop.time() - began_s < 2.0
    assert runtime.telemetry is not None
    spans = runtime.telemetry.shippers["spans"]
    assert spans.n_shipped == 0
    said = [r.message for r in caplog.records if r.message.startswith("spans are lost")]
    assert len(said) <= 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint is set and the packages are not there: one clear sentence, and no telemetry."""
    said: list[str] = []
    monkeypatch.setattr(telemetry_module, "is_installed", lambda: False)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert make_telemetry(environ, "1", said.append) is None
    assert len(said) == 1
    assert "pip install 'agent-governor[otel]'" in said[0]


def test_what_cannot_be_set_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the SDK raises at the start costs the telemetry, not the proxy."""
    said: list[str] = []

    def refuse(*_: object) -> None:
        raise ValueError("no such certificate")

    monkeypatch.setattr(telemetry_module, "Telemetry", refuse)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert make_telemetry(environ, "1", said.append) is None
    assert "no such certificate" in said[0]


def test_only_the_lazy_half_imports_the_extra() -> None:
    """What every process imports has nothing of OpenTelemetry at its top, nor what has."""
    folder = Path(telemetry_module.__file__).parent
    lazy = {"spans", "points"}
    found: set[str] = set()
    for path in folder.glob("*.py"):
        if path.stem in lazy:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    assert "governor.control.telemetry.settings" in found
    assert not any(name.startswith("opentelemetry") for name in found)
    assert not found & {f"governor.control.telemetry.{name}" for name in lazy}
