"""A small OTLP/HTTP collector on loopback: keeps what it is sent, decoded."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 10.0
"""Longest wait for something that must arrive; never a sleep."""


class OtlpCollector:
    """Takes spans at ``/v1/traces`` and metrics at ``/v1/metrics``.

    Attributes
    ----------
    spans : dict of str to Span
        By their ``governor.request_id``.
    metrics : dict of str to Metric
        The latest of each name.
    resource : dict
        Of the latest spans.
    headers : list of dict
        Of each request.
    """

    def __init__(self) -> None:
        self.spans: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.resource: dict[str, Any] = {}
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._arrived = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/traces", self._take_spans)
        app.router.add_post("/v1/metrics", self._take_metrics)
        self._runner = web.AppRunner(app)

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def span(self, request_id: str) -> Any:
        """Wait for the span of a request."""
        async with asyncio.timeout(PATIENCE_S):
            while request_id not in self.spans:
                self._arrived.clear()
                await self._arrived.wait()
        return self.spans[request_id]

    async def metric(self, name: str) -> Any:
        """Wait for a metric."""
        async with asyncio.timeout(PATIENCE_S):
            while name not in self.metrics:
                self._arrived.clear()
                await self._arrived.wait()
        return self.metrics[name]

    async def _take_spans(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        told = ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in told.resource_spans:
            self.resource = values(of_resource.resource)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    self.spans[values(span)["governor.request_id"]] = span
        self._arrived.set()
        return web.Response()

    async def _take_metrics(self, request: web.Request) -> web.Response:
        told = ExportMetricsServiceRequest.FromString(await request.read())
        for of_resource in told.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                self.metrics |= {metric.name: metric for metric in of_scope.metrics}
        self._arrived.set()
        return web.Response()


def values(owner: Any) -> dict[str, Any]:
    """Return the attributes of a span, an event, a point or a resource as plain values."""
    return {x.key: getattr(x.value, x.value.WhichOneof("value")) for x in owner.attributes}
