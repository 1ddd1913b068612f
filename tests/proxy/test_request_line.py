"""The first line of a request."""

from __future__ import annotations

import pytest

from governor.errors import DownstreamError
from governor.proxy.request_line import read_request_line


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET HTTP/1.1", 400),
        (b"GET /", 400),
        (b"", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / XHTTP/1.1", 400),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/3.0", 505),
    ],
)
def test_anything_but_three_parts_and_two_spaces_is_refused(line: bytes, status: int) -> None:
    """Another version of HTTP is told so; the rest is no request."""
    with pytest.raises(DownstreamError) as refusal:
        read_request_line(line + b"\r\nHost: t\r\n\r\n")
    assert refusal.value.status_hint == status
