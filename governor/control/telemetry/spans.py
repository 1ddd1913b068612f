"""From a finished request's record to a server span.

*Rule of this file*: what a span may hold. The same as a line of the access log:
never a body, a query string, a header value or a credential; the ids of the
trace are all that is read of a header. ``server.address`` is therefore the
listener's own, not the Host that a caller claims.

Attributes have the names of OpenTelemetry's HTTP conventions where there is
one, else ``governor.*``. ``http.route`` and the span's name hold the route's
name from the configuration: few values, whatever callers send. What the gate
did is an event each, with its reason, the delay and the readings behind it.

*Regime*: runs in the thread that ships spans.
*Source*: OpenTelemetry semantic conventions for HTTP spans, stable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from governor.control.access_log import cut_path
from governor.proxy.stats import RequestRecord

if TYPE_CHECKING:
    from governor.core.decision_log import Intervention

STATUS_LEFT = 499
"""The caller left: it was answered nothing."""

METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
"""Any other is ``_OTHER``: names that callers make up are no labels."""

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_FAILED = Status(StatusCode.ERROR)
_UNSET = Status(StatusCode.UNSET)


def make_span(
    record: RequestRecord, unix_ns: int, resource: Resource, scope: InstrumentationScope
) -> ReadableSpan:
    """Return the span of a finished request.

    Parameters
    ----------
    record : RequestRecord
        With ``span`` set.
    unix_ns : int
        Unix time of ``record.ended_at_ns``.
    """
    assert record.span is not None
    trace_id, span_id, parent_id = record.span
    parent = SpanContext(trace_id, parent_id, True, _SAMPLED) if parent_id else None
    method = record.method.decode("ascii", "replace")
    method = method if method in METHODS else "_OTHER"
    verb = method if method in METHODS else "HTTP"
    offset_ns = unix_ns - record.ended_at_ns
    start_ns = unix_ns - record.duration_ns
    return ReadableSpan(
        f"{verb} {record.route}" if record.route else verb,
        context=SpanContext(trace_id, span_id, False, _SAMPLED),
        parent=parent,
        resource=resource,
        attributes=describe(record, method),
        events=list(_events(record, start_ns, offset_ns)),
        kind=SpanKind.SERVER,
        status=_FAILED if record.status >= 500 else _UNSET,
        start_time=start_ns,
        end_time=unix_ns,
        instrumentation_scope=scope,
    )


def describe(record: RequestRecord, method: str) -> dict[str, str | int | float]:
    """Return a span's attributes; what is not known is left out."""
    status = record.status
    fields: dict[str, str | int | float] = {
        "http.request.method": method,
        "http.route": record.route,
        "url.path": cut_path(record.target).decode("ascii", "backslashreplace"),
        "url.scheme": record.scheme,
        "server.address": record.local[0],
        "server.port": record.local[1],
        "network.protocol.version": record.version,
        "http.response.status_code": 0 if status == STATUS_LEFT else status,
        "error.type": str(status) if status >= 500 else "",
        "governor.upstream": record.upstream,
        "governor.decision": record.decision,
        "governor.reason": record.reason,
        "governor.outcome": record.outcome,
        "governor.request_id": record.request_id.decode("ascii", "backslashreplace"),
        "governor.waited_s": record.waited_ns / 1e9,
        "governor.first_byte_s": record.first_byte_ns / 1e9,
    }
    return {name: value for name, value in fields.items() if value}


def _events(record: RequestRecord, start_ns: int, offset_ns: int) -> Iterator[Event]:
    if record.waits_for:
        yield Event("governor.wait", {"governor.reason": record.waits_for}, start_ns)
    for entry in record.interventions:
        yield Event(f"governor.{entry.action}", describe_event(entry), entry.at_ns + offset_ns)


def describe_event(entry: Intervention) -> dict[str, Any]:
    """Return what was done to a request, why, and on what readings."""
    fields: dict[str, Any] = {
        "governor.reason": entry.reason,
        "governor.waited_s": entry.waited_ns / 1e9,
        "governor.attempt": entry.attempt,
        "governor.in_flight": entry.in_flight,
        "governor.limit": entry.limit,
        "governor.line_length": entry.line_length,
        "governor.capacity_hz": entry.capacity_hz,
        "governor.organic_hz": entry.organic_hz,
        "governor.retry_ratio": entry.retry_ratio,
        "governor.synchrony_nats": entry.synchrony_nats,
    }
    if entry.retry_after_ns:
        fields["governor.retry_after_s"] = entry.retry_after_ns / 1e9
    if entry.status:
        fields["http.response.status_code"] = entry.status
    return fields


def make_spans(
    items: Sequence[tuple[RequestRecord, int]], resource: Resource, scope: InstrumentationScope
) -> list[ReadableSpan]:
    """Return the spans of a batch of (record, Unix time of its end)."""
    return [make_span(record, unix_ns, resource, scope) for record, unix_ns in items]
