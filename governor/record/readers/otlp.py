"""OpenTelemetry spans as OTLP JSON: one document, or one a line as the collector's file exporter.

*Rule of this file*: reading only; attributes other than ``service.name`` are not looked at.
Client spans are the calls; where a document has none, its server spans are. A trace is a
tree and its caller, a service the tenant.

*Source*: opentelemetry-proto, trace.proto and the JSON mapping of OTLP 1.x (64-bit numbers
may be strings; ids are hex).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from governor.record.readers.base import BadLine, Problems, Row, lines_of, number, rows_of

_SERVER, _CLIENT = 2, 3
_KINDS = {"SPAN_KIND_SERVER": _SERVER, "SPAN_KIND_CLIENT": _CLIENT}
_ERROR = (2, "STATUS_CODE_ERROR")

Found = tuple[dict[str, Any], str]
"""A span and its service."""


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file, read twice: first for which spans are calls."""
    unseen = Problems(problems.name)
    is_any_client = any(_kind(span) == _CLIENT for _, (span, _) in _spans_of(path, unseen))
    wanted = _CLIENT if is_any_client else _SERVER
    spans = ((x, found) for x, found in _spans_of(path, problems) if _kind(found[0]) == wanted)
    return rows_of(spans, problems, _read_span)


def _spans_of(path: Path, problems: Problems) -> Iterator[tuple[int, Found]]:
    for line, document in _documents(path, problems):
        for found in _spans(document):
            yield line, found


def _documents(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    """Yield the documents of a file: one a line, or one in all where its first line is none."""
    lines: Iterable[tuple[int, str]] = lines_of(path, problems)
    first = next(iter(lines), None)
    if first is None:
        return
    lines = chain([first], lines)
    try:
        orjson.loads(first[1])
    except orjson.JSONDecodeError:
        lines = list(lines)
        try:
            yield 1, orjson.loads("\n".join(text for _, text in lines))
            return
        except orjson.JSONDecodeError:
            pass
    for line, text in lines:
        try:
            yield line, orjson.loads(text)
        except orjson.JSONDecodeError:
            problems.add(line, BadLine("line", "must be a JSON object with resourceSpans"))


def _spans(document: Any) -> Iterator[Found]:
    if not isinstance(document, dict):
        return
    for resource in document.get("resourceSpans") or ():
        service = ""
        for attribute in (resource.get("resource") or {}).get("attributes") or ():
            if attribute.get("key") == "service.name":
                service = str((attribute.get("value") or {}).get("stringValue", ""))
        for scope in resource.get("scopeSpans") or ():
            for span in scope.get("spans") or ():
                yield span, service


def _kind(span: dict[str, Any]) -> int:
    kind = span.get("kind", 0)
    return kind if isinstance(kind, int) else _KINDS.get(str(kind), 0)


def _read_span(found: Found) -> Row:
    span, service = found
    begin_s = number(span.get("startTimeUnixNano"), "startTimeUnixNano") / 1e9
    end_s = number(span.get("endTimeUnixNano"), "endTimeUnixNano") / 1e9
    if end_s < begin_s:
        raise BadLine("endTimeUnixNano", "must not be before startTimeUnixNano")
    trace = str(span.get("traceId", ""))
    is_error = (span.get("status") or {}).get("code") in _ERROR
    return Row(
        begin_s,
        end_s - begin_s,
        flow=trace,
        tree=trace,
        tenant=service,
        kind=str(span.get("name", "")),
        status=500 if is_error else 200,
    )
