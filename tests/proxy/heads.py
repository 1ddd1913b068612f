"""Heads through the real parser, as the data plane reads them."""

from __future__ import annotations

import contextlib
import re

import httptools

from governor.proxy.headers import RequestHead
from governor.proxy.onward import build_request_head
from governor.proxy.peer import Peer

PEER = Peer("192.0.2.7", 40_000)

OURS = [
    b"X-Forwarded-For: 192.0.2.7",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Host: api.example",
    b"X-Request-Id: id-1",
]
"""What Governor says of a plain request of ``PEER``."""


class _Fields:
    def __init__(self, head: RequestHead) -> None:
        self.on_header = head.add


def parse(raw: bytes, *, is_whole: bool = True) -> RequestHead:
    """Read one head as it stands on the wire."""
    head = RequestHead()
    parser = httptools.HttpRequestParser(_Fields(head))
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(raw)
    line = raw[: raw.index(b"\r\n")]
    method, target, version = line.split(b" ")
    head.finish(method, target, version[5:].decode(), raw if is_whole else b"")
    return head


def request(
    *fields: bytes,
    method: bytes = b"GET",
    target: bytes = b"/",
    version: bytes = b"1.1",
    host: bytes = b"Host: api.example",
) -> bytes:
    """Return the bytes of a head; ``host`` comes first unless it is empty."""
    lines = [b"%b %b HTTP/%b" % (method, target, version), *([host] if host else []), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def head_of(*fields: bytes, **kwargs: bytes) -> RequestHead:
    """Return the finished head of ``request``."""
    return parse(request(*fields, **kwargs))


def forwarded(raw: bytes, *, peer: Peer = PEER, keeps_host: bool = True) -> list[bytes]:
    """Return the lines that go to the upstream, request line first."""
    head = parse(raw)
    data = build_request_head(head, peer, b"id-1", b"endpoint:81", keeps_host)
    assert data.endswith(b"\r\n\r\n")
    assert data.count(b"\r\n\r\n") == 1
    if all(re.fullmatch(rb"[^:]+: \S.*", line) for line in raw.split(b"\r\n")[1:-2]):
        joined = parse(raw, is_whole=False)
        assert build_request_head(joined, peer, b"id-1", b"endpoint:81", keeps_host) == data
    return data[:-4].split(b"\r\n")
