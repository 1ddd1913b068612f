"""OpenTelemetry of one process: made from the environment, fed by the data plane's hook.

*Rule of this file*: what runs on the loop (sampling, putting into queues) and
what does not (everything of OpenTelemetry's). The extra packages are imported
here and only when the environment asks for them.

*Cost*: without the variables none: the hooks are not set. With them, a request
that is not sampled costs a look at its traceparent, one that is its record.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from governor.control.telemetry.sampling import Sampler
from governor.control.telemetry.settings import Settings, read_settings
from governor.control.telemetry.shipping import Shipper

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

    from governor.proxy.stats import RequestRecord, SampleHook

CLOSE_S = 2.0
"""For what is left when the process ends: a collector nearby takes milliseconds."""

SWITCH_S = 0.0005
"""How long a thread that encodes may keep the loop from going on; Python's default is 5 ms, which
a request would wait again and again while a batch is encoded."""

MISSING = (
    "OpenTelemetry is asked for (OTEL_EXPORTER_OTLP_ENDPOINT or the like is set) but not "
    "installed: pip install 'agent-governor[otel]', or set OTEL_SDK_DISABLED=true. "
    "Governor runs without it."
)

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

Collect = Callable[[], Iterable["Family"]]


class Telemetry:
    """Sends spans and metrics; make it with :func:`make_telemetry`.

    Parameters
    ----------
    settings : Settings
    version : str
        Of Governor.
    report : callable
        Told in words what the operator should know.

    Attributes
    ----------
    sample : callable or None
        The data plane's hook, see :data:`governor.proxy.stats.SampleHook`; None if no spans
        are sent.
    """

    def __init__(self, settings: Settings, version: str, report: Callable[[str], None]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        # failures are told once, when they begin, not with each batch
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        resource = Resource.create()  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(
                Resource({"service.name": "governor", "service.version": version})
            )
        self.sample: SampleHook | None = None
        self._resource = resource
        self._scope = InstrumentationScope("governor", version)
        self._settings = settings
        self._started_unix_ns = time.time_ns()
        self._collect: Collect | None = None
        self._switch_s = SWITCH_S
        self._timer: asyncio.TimerHandle | None = None
        self._exporters: list[Any] = []
        self.shippers: dict[str, Shipper] = {}
        if settings.sampler is not None:
            self.shippers["spans"] = Shipper(
                "spans",
                self._make_ship_spans(),
                report,
                capacity=settings.queue_spans,
                batch=settings.batch_spans,
                delay_s=settings.delay_s,
            )
            self.sample = _sample_while_there_is_room(settings.sampler, self.shippers["spans"])
        if settings.has_metrics:
            self.shippers["metrics"] = Shipper(
                "metrics",
                self._make_ship_metrics(),
                report,
                capacity=2,
                batch=1,
                delay_s=settings.metrics_s,
                keeps_newest=True,
            )

    def start(self, collect: Collect) -> None:
        """Start the threads, and the timer that reads the metrics.

        Parameters
        ----------
        collect : callable
            Returns all families; called on the loop, as for a scrape.
        """
        self._collect = collect
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        for shipper in self.shippers.values():
            shipper.start()
        if "metrics" in self.shippers:
            self._set_timer()

    def observe(self, record: RequestRecord) -> None:
        """Queue a sampled request's record: a hook of the data plane."""
        if record.span is not None:
            self.shippers["spans"].put((record, time.time_ns()))

    async def close(self) -> None:
        """Send what is left, for at most ``CLOSE_S``; idempotent."""
        if self._collect is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._read_metrics()
        self._collect = None
        shippers = self.shippers.values()
        await asyncio.gather(*(asyncio.to_thread(x.close, CLOSE_S) for x in shippers))
        for exporter in self._exporters:
            exporter.shutdown()
        sys.setswitchinterval(self._switch_s)

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.metrics_s, self._on_timer)

    def _on_timer(self) -> None:
        self._set_timer()
        self._read_metrics()

    def _read_metrics(self) -> None:
        assert self._collect is not None
        self.shippers["metrics"].put((list(self._collect()), time.time_ns()))

    # -- in the threads ---------------------------------------------------------

    def _make_ship_spans(self) -> Callable[[Sequence[Any]], bool]:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult

        from governor.control.telemetry.spans import make_spans

        exporter = OTLPSpanExporter()
        self._exporters.append(exporter)

        def ship(items: Sequence[Any]) -> bool:
            spans = make_spans(items, self._resource, self._scope)
            return exporter.export(spans) is SpanExportResult.SUCCESS

        return ship

    def _make_ship_metrics(self) -> Callable[[Sequence[Any]], bool]:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import MetricExportResult

        from governor.control.telemetry.points import make_metrics

        exporter = OTLPMetricExporter()
        self._exporters.append(exporter)

        def ship(items: Sequence[Any]) -> bool:
            families, unix_ns = items[-1]
            data = make_metrics(
                families, self._started_unix_ns, unix_ns, self._resource, self._scope
            )
            return exporter.export(data) is MetricExportResult.SUCCESS

        return ship


def _sample_while_there_is_room(sampler: Sampler, shipper: Shipper) -> SampleHook:
    """Return the sampler; what could not be queued is dropped before its record is made."""

    def sample(traceparent: bytes) -> tuple[int, int, int] | None:
        ids = sampler(traceparent)
        return ids if ids is not None and shipper.has_room() else None

    return sample


def is_installed() -> bool:
    """Whether the extra packages are there; nothing of them is imported but their parents."""
    try:
        return all(find_spec(name) is not None for name in _PACKAGES)
    except ModuleNotFoundError:
        return False


def make_telemetry(
    environ: Mapping[str, str], version: str, report: Callable[[str], None]
) -> Telemetry | None:
    """Return what the environment asks for; None for nothing.

    What cannot be done is reported, and is no reason not to run.
    """
    settings = read_settings(environ)
    if settings is None:
        return None
    for warning in settings.warnings:
        report(warning)
    if settings.sampler is None and not settings.has_metrics:
        return None
    if not is_installed():
        report(MISSING)
        return None
    try:
        return Telemetry(settings, version, report)
    except Exception as error:  # a malformed endpoint or header, a certificate that is not there
        report(f"OpenTelemetry cannot be set up, Governor runs without it: {error!r}")
        return None
