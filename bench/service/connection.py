"""One connection to a service: requests in turn, each answered whole or as a stream of events.

*Rule of this file*: HTTP only. What a request costs and when it is answered
belongs to the service behind it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools
import orjson

BODY = b'{"id":"call","choices":[{"message":{"role":"assistant","content":"ok"}}]}'
EVENT = b'data: {"choices":[{"delta":{"content":"word word"}}]}\n\n'
LAST_EVENT = b"data: [DONE]\n\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
)
REASONS = {200: b"OK", 429: b"Too Many Requests", 502: b"Bad Gateway", 504: b"Gateway Timeout"}
PASSED_ON = frozenset({b"traceparent", b"authorization"})
"""What a service hands on to the services that it calls, as instrumented ones do."""


@dataclass
class Request:
    """What a service reads of a request. ``bench_id`` -1: not from a numbered plan."""

    path: bytes = b""
    bench_id: int = -1
    demand_s: float | None = None
    passed_on: tuple[tuple[bytes, bytes], ...] = ()


class Behind(Protocol):
    """A service: takes requests in, and answers questions about itself."""

    def accept(self, owner: Connection, request: Request) -> None:
        """Take a request in; answer it by ``owner`` at its time."""

    def ask(self, question: str) -> Any:
        """Return what is asked for by ``GET /-/question``."""


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, service: Behind) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    @property
    def is_open(self) -> bool:
        """Whether the peer is still connected."""
        return not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Begin a request."""
        self._request = Request(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the benchmark's own headers and those that are handed on."""
        lower = name.lower()
        if lower == b"x-bench-id":
            self._request.bench_id = int(value)
        elif lower == b"x-bench-demand-s":
            self._request.demand_s = float(value)
        elif lower in PASSED_ON:
            self._request.passed_on += ((name, value),)

    def on_message_complete(self) -> None:
        """Hand the request to the service, or answer a question about it."""
        request = self._request
        if request.path.startswith(b"/-/"):
            body = orjson.dumps(self._service.ask(request.path[3:].decode()))
            self.answer(200, body=body)
        else:
            self._service.accept(self, request)

    def answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = BODY
    ) -> bool:
        """Write a whole reply; return whether the peer was still connected."""
        if self._transport.is_closing():
            return False
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
            % (status, REASONS.get(status, b"Unavailable"), extra.encode(), len(body), body)
        )
        return True

    def stream_begin(self) -> None:
        """Write the head of a stream and its first event."""
        if not self._transport.is_closing():
            self._transport.write(STREAM_HEAD + chunk(EVENT))

    def stream_event(self) -> None:
        """Write one more event."""
        if not self._transport.is_closing():
            self._transport.write(chunk(EVENT))

    def stream_end(self) -> bool:
        """Write the last event; return whether the peer was still connected."""
        if self._transport.is_closing():
            return False
        self._transport.write(chunk(LAST_EVENT) + b"0\r\n\r\n")
        return True


def chunk(data: bytes) -> bytes:
    r"""Return one chunk of a chunked body.

    >>> chunk(b"abc")
    b'3\r\nabc\r\n'
    """
    return b"%x\r\n%s\r\n" % (len(data), data)
