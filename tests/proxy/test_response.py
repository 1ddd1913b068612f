"""Heads of answers: what passes as it came, what is rewritten."""

from __future__ import annotations

import httptools
import pytest

from governor.errors import UpstreamError
from governor.proxy.response import Body, ResponseHead, read_status_line


def read(head: bytes, is_head: bool = False) -> ResponseHead:
    """Read one head as a connection does."""
    parsed = ResponseHead()
    httptools.HttpResponseParser(parsed).feed_data(head)
    parsed.settle(head, is_head)
    return parsed


def test_a_head_with_nothing_to_remove_passes_as_the_same_object() -> None:
    """Nothing is copied where nothing changes."""
    head = b"HTTP/1.1 200 OK\r\nx: 1\r\nContent-Length: 3\r\n\r\n"
    assert read(head).encode(head, 1) is head


@pytest.mark.parametrize(
    ("head", "minor", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 1,
         b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: Close\r\n\r\n", 1,
         b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nConnection: close, x\r\nX: 1\r\nConnection: y\r\nY: 2\r\nZ: 3\r\n"
         b"Content-Length: 0\r\n\r\n", 1, b"HTTP/1.1 200 OK\r\nZ: 3\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 0\r\n\r\n", 1,
         b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.0 404 Nope\r\nContent-Length: 0\r\n\r\n", 1,
         b"HTTP/1.1 404 Nope\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n", 0,
         b"HTTP/1.1 200 OK\r\nTrailer: T\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", 1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", 1, b"HTTP/1.1 204 No\r\n\r\n"),
    ],
)  # fmt: skip
def test_what_ends_at_this_hop_is_removed(head: bytes, minor: int, expected: bytes) -> None:
    """Fields of one hop go; framing is said anew where it must be; all else stays in place."""
    assert read(head).encode(head, minor) == expected


@pytest.mark.parametrize(
    ("head", "body", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Body.COUNTED, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\n\r\n", Body.CHUNKED, True),
        (b"HTTP/1.1 200 OK\r\n\r\n", Body.UNTIL_CLOSE, False),
        (b"HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", Body.NONE, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\n",
         Body.COUNTED, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", Body.COUNTED, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n",
         Body.COUNTED, True),
    ],
)  # fmt: skip
def test_where_a_body_ends(head: bytes, body: Body, is_reusable: bool) -> None:
    """RFC 9112 section 6.3, and whether the connection may be used again."""
    parsed = read(head)
    assert (parsed.body, parsed.is_reusable) == (body, is_reusable)


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 099 X", b"HTTP/1.2 200 X", b"HTTP/1.1 200X", b"HTTP/1.1 200 a\0b",
     b"HTTP/1.1  200 X"],
)  # fmt: skip
def test_a_bad_status_line_is_the_upstreams_fault(line: bytes) -> None:
    """None of them is passed on."""
    with pytest.raises(UpstreamError):
        read_status_line(line)
