"""Spans: names and attributes by the conventions, and nothing that a caller could smuggle in."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import StatusCode

from governor.control.telemetry.spans import make_spans
from tests.control.stub import make_record

UNIX_NS = 1_700_000_000_000_000_000


def span_of(**fields: object) -> ReadableSpan:
    """Return the span of one finished request."""
    record = make_record(**({"span": (5, 6, 7), "scheme": "http", "version": "1.1"} | fields))
    (span,) = make_spans([(record, UNIX_NS)], Resource({}), InstrumentationScope("governor"))
    return span


def test_a_span_lasts_as_long_as_its_request() -> None:
    """It ends when the request did and begins its duration before, below its parent."""
    span = span_of(duration_ns=2_000_000)
    assert (span.start_time, span.end_time) == (UNIX_NS - 2_000_000, UNIX_NS)
    assert span.context is not None
    assert span.parent is not None
    assert (span.context.trace_id, span.context.span_id, span.parent.span_id) == (5, 6, 7)
    assert span.parent.is_remote


@pytest.mark.parametrize(
    ("method", "route", "name", "attribute"),
    [
        (b"POST", "api.test/v1", "POST api.test/v1", "POST"),
        (b"BREW-7f3a", "/", "HTTP /", "_OTHER"),
        (b"GET", "", "GET", "GET"),
    ],
)
def test_names_are_few(method: bytes, route: str, name: str, attribute: str) -> None:
    """Method and route name a span, never a path; a method that is made up is no name."""
    span = span_of(method=method, route=route)
    assert span.name == name
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == attribute
    assert ("http.route" in span.attributes) is bool(route)


def test_a_path_has_no_query() -> None:
    """Neither a query value nor a password in a URL reaches a span."""
    span = span_of(target=b"http://user:secret@host/go?key=secret")
    assert span.attributes is not None
    assert span.attributes["url.path"] == "/go"
    assert "secret" not in repr(dict(span.attributes))


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(200, 200, None), (404, 404, None), (429, 429, None), (499, None, None), (502, 502, "502")],
)
def test_only_a_servers_failure_is_an_error(
    status: int, code: int | None, error: str | None
) -> None:
    """5xx marks a span as failed; who left was answered nothing."""
    span = span_of(status=status)
    assert span.attributes is not None
    assert span.attributes.get("http.response.status_code") == code
    assert span.attributes.get("error.type") == error
    assert (span.status.status_code is StatusCode.ERROR) is (error is not None)
