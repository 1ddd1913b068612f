"""A request head that two readers could understand differently is refused, by us or by llhttp."""

from __future__ import annotations

import httptools
import pytest

from governor.errors import DownstreamError
from governor.proxy.headers import RequestHead
from tests.proxy.heads import parse, request


def _refused(raw: bytes) -> DownstreamError:
    with pytest.raises(DownstreamError) as caught:
        parse(raw)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "reason", "status"),
    [
        (request(host=b""), "missing_host", 400),
        (request(b"Host: api.example"), "repeated_host", 400),
        (request(b"host: other"), "repeated_host", 400),
        (request(host=b"Host: "), "bad_host", 400),
        (request(host=b"Host: a b"), "bad_host", 400),
        (request(host=b"Host: a,b"), "bad_host", 400),
        (request(host=b"Host: user@a"), "bad_host", 400),
        (request(host=b"Host: a/b"), "bad_host", 400),
        (request(host=b"Host: a:http"), "bad_host", 400),
        (request(host=b"Host: a:123456"), "bad_host", 400),
        (request(host=b"Host: [::1"), "bad_host", 400),
        (request(target=b"http://u:p@a/"), "bad_host", 400),
        (request(target=b"/a#b"), "bad_target", 400),
        (request(target=b"http://a/#b"), "bad_target", 400),
        (request(target=b"*"), "bad_target", 400),
        (request(target=b"ftp://a/b"), "bad_target", 400),
        (
            request(b"Transfer-Encoding: gzip, chunked", method=b"POST"),
            "bad_transfer_encoding",
            400,
        ),
        (request(b"Transfer-Encoding: \x0bchunked", method=b"POST"), "", 400),
        (
            request(b"Transfer-Encoding: chunked", method=b"POST", version=b"1.0"),
            "bad_transfer_encoding",
            400,
        ),
        (request(version=b"2.0"), "unsupported_version", 505),
        (request(method=b"CONNECT", target=b"a:80"), "method_not_supported", 501),
        (
            request(b"Content-Length: 1234567890123456789", method=b"POST"),
            "bad_content_length",
            400,
        ),
    ],
)
def test_refused(raw: bytes, reason: str, status: int) -> None:
    """What two readers could understand differently is not forwarded."""
    if not reason:
        with pytest.raises(httptools.HttpParserError):
            parse(raw)
        return
    error = _refused(raw)
    assert (error.reason, error.status_hint) == (reason, status)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([(b"Content-Length", b"3"), (b"content-length", b"3")], "repeated_content_length"),
        ([(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")], "length_and_transfer"),
        ([(b"Content-Length", b"3, 3")], "bad_content_length"),
        ([(b"Content-Length", b"+3")], "bad_content_length"),
        ([(b"Content-Length", b"-3")], "bad_content_length"),
        ([(b"Content-Length", b"0x3")], "bad_content_length"),
        ([(b"Content-Length", b"1_0")], "bad_content_length"),
        ([(b"Content-Length", b"")], "bad_content_length"),
        ([(b"Content-Length", "\u0663".encode())], "bad_content_length"),
        ([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"x")], "bad_transfer"),
        ([(b"Transfer-Encoding", b"chunked, chunked")], "bad_transfer_encoding"),
        ([(b"Transfer-Encoding", b"xchunked")], "bad_transfer_encoding"),
        ([(b"Transfer-Encoding", b"")], "bad_transfer_encoding"),
        ([(b"Bad Name", b"x")], "bad_header_name"),
        ([(b"", b"x")], "bad_header_name"),
        ([(b"A\r\nB", b"x")], "bad_header_name"),
        ([(b"A:", b"x")], "bad_header_name"),
    ],
)
def test_refused_even_where_the_parser_would_have(
    fields: list[tuple[bytes, bytes]], reason: str
) -> None:
    """Framing and names do not rest on llhttp alone."""
    head = RequestHead()
    for name, value in [(b"Host", b"a"), *fields]:
        head.add(name, value)
    with pytest.raises(DownstreamError) as caught:
        head.finish(b"POST", b"/")
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    "line",
    [
        b"A: b\x00c",
        b"A: b\x01c",
        b"A: b\x7fc",
        b"A: b\rc",
        b"A: b\nc",
        b"A : b",
        b" A: b",
        b"A: b\r\n folded",
        b"A",
        b": b",
        b"A\x80: b",
        b"A: b\n",
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Content-Length: 3, 3",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ],
)
def test_what_the_parser_refuses(line: bytes) -> None:
    """The rest of the strictness is llhttp's, and this holds it to it."""
    with pytest.raises(httptools.HttpParserError):
        parse(request(line, method=b"POST"))
