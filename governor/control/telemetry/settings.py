"""What the standard environment variables ask for.

*Rule of this file*: text in, values and words of warning out; nothing of
OpenTelemetry is imported. A variable may have been set for a whole cluster, so
what cannot be done is said and otherwise ignored: it is no reason not to proxy.

What only the exporters need (endpoint, headers, certificates, compression,
time-outs) is read by OpenTelemetry's own exporters under the same names.

*Source*: OpenTelemetry specification, "Environment Variable Specification" and
"OpenTelemetry Protocol Exporter".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from governor.control.telemetry.sampling import Sampler, make_sampler

DELAY_S = 5.0
"""OTEL_BSP_SCHEDULE_DELAY's default."""

QUEUE_SPANS = 2_048
"""OTEL_BSP_MAX_QUEUE_SIZE's default; about 2 MB."""

BATCH_SPANS = 512
"""OTEL_BSP_MAX_EXPORT_BATCH_SIZE's default."""

METRICS_S = 60.0
"""OTEL_METRIC_EXPORT_INTERVAL's default."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


class Settings(NamedTuple):
    """What is to be sent, how often, and what is to be said about it."""

    sampler: Sampler | None
    """Which requests become spans; None: no spans are sent."""
    has_metrics: bool
    delay_s: float
    queue_spans: int
    batch_spans: int
    metrics_s: float
    warnings: tuple[str, ...]


def read_settings(environ: Mapping[str, str]) -> Settings | None:
    """Return what the environment asks for; None if it asks for nothing.

    Examples
    --------
    >>> read_settings({}) is None
    True
    >>> asked = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    >>> asked.sampler is not None, asked.has_metrics, asked.warnings
    (True, True, ())
    """
    told = {name: value.strip() for name, value in environ.items() if value.strip()}
    if told.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    warnings: list[str] = []
    has_traces = _is_asked(told, "TRACES", warnings)
    has_metrics = _is_asked(told, "METRICS", warnings)
    if not (has_traces or has_metrics or warnings):
        return None
    sampler = None
    if has_traces:
        name = told.get("OTEL_TRACES_SAMPLER", "parentbased_always_on")
        sampler, warning = make_sampler(name, told.get("OTEL_TRACES_SAMPLER_ARG", ""))
        warnings += [warning] * bool(warning)
    queue_spans = int(_number(told, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SPANS, warnings))
    batch_spans = int(_number(told, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SPANS, warnings))
    return Settings(
        sampler,
        has_metrics,
        _number(told, "OTEL_BSP_SCHEDULE_DELAY", DELAY_S * 1e3, warnings) / 1e3,
        queue_spans,
        min(batch_spans, queue_spans),
        _number(told, "OTEL_METRIC_EXPORT_INTERVAL", METRICS_S * 1e3, warnings) / 1e3,
        tuple(warnings),
    )


def _is_asked(told: Mapping[str, str], signal: str, warnings: list[str]) -> bool:
    """Whether one signal is to be sent: an exporter is named, or an endpoint without one."""
    exporter = told.get(f"OTEL_{signal}_EXPORTER", "").lower()
    own_endpoint = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    if exporter == "none" or not (exporter or _ENDPOINT in told or own_endpoint in told):
        return False
    if exporter not in ("", "otlp"):
        warnings.append(f"OTEL_{signal}_EXPORTER={exporter}: only otlp and none are known here")
        return False
    own_protocol = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    name = own_protocol if own_protocol in told else _PROTOCOL
    protocol = told.get(name, "http/protobuf").lower()
    if protocol != "http/protobuf":
        warnings.append(
            f"{name}={protocol}: only http/protobuf is spoken here (port 4318 of a collector); "
            f"set {own_protocol}=http/protobuf and the endpoint that goes with it"
        )
        return False
    return True


def _number(told: Mapping[str, str], name: str, otherwise: float, warnings: list[str]) -> float:
    """Return a number above 0; what is none is said, and the default is used."""
    text = told.get(name)
    if text is None:
        return otherwise
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
        return int(text)
    warnings.append(f"{name}={text}: must be a whole number above 0; {otherwise:.0f} is used")
    return otherwise
