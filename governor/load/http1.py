"""One kept-alive HTTP/1.1 connection of a caller: a request, then its reply or its loss.

*Rule of this file*: transport only. Time-outs, retries and counting belong to
whoever owns the connection; leaving means :meth:`CallerConnection.leave`, which
closes the socket under the request, as SDKs do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

KEPT_HEADERS = frozenset(
    {b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-amz-retry-after"}
)
NO_HEADERS: dict[str, str] = {}

OnReply = Callable[[int, dict[str, str]], None]
"""(status, kept headers); status 0 when the connection was lost under the request."""


class CallerConnection(asyncio.Protocol):
    """A client connection that has at most one request under way."""

    __slots__ = ("_headers", "_is_lost", "_on_reply", "_parser", "_transport", "idle_since_s")

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None
        self._on_reply: OnReply | None = None
        self._headers = NO_HEADERS
        self._is_lost = False
        self.idle_since_s = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return not self._is_lost and not self._transport.is_closing()

    def send(self, request: bytes, on_reply: OnReply) -> None:
        """Write a request; ``on_reply`` is called once, unless the caller leaves first."""
        self._on_reply = on_reply
        self._headers = NO_HEADERS
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    def leave(self) -> None:
        """Close the connection; a reply under way is never reported."""
        self._on_reply = None
        self._is_lost = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the request under way as lost."""
        self._is_lost = True
        self._finish(0)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_lost = True
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what retry laws read."""
        lower = name.lower()
        if lower in KEPT_HEADERS:
            if self._headers is NO_HEADERS:
                self._headers = {}
            self._headers[lower.decode()] = value.decode()

    def on_message_complete(self) -> None:
        """Report the reply."""
        parser = self._parser
        if parser is None:
            return
        if not parser.should_keep_alive():
            self._is_lost = True
            self._transport.close()
        self._finish(parser.get_status_code())

    def _finish(self, status: int) -> None:
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is not None:
            on_reply(status, self._headers)
