"""One kept-alive HTTP/1.1 connection of a caller: a request, then its reply or its loss.

*Rule of this file*: transport only. Time-outs, retries and counting belong to
whoever owns the connection; leaving means :meth:`CallerConnection.leave`, which
closes the socket under the request, as SDKs do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar, cast

import httptools

KEPT_HEADERS = frozenset(
    {
        *(b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-amz-retry-after"),
        b"mcp-session-id",
    }
)
FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
NO_HEADERS: dict[str, str] = {}

OnReply = Callable[[int, dict[str, str]], None]
"""(status, kept headers); status 0 when the connection was lost under the request."""

OnFirstByte = Callable[[], None]


class ClientConnection(asyncio.Protocol):
    """A client connection that has at most one request under way, and is kept between them.

    Attributes
    ----------
    idle_since_s : float
        Set by its owner.
    """

    __slots__ = ("_has_length", "_is_lost", "_parser", "_transport", "idle_since_s")

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None
        self._is_lost = False
        self._has_length = False
        self.idle_since_s = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return not self._is_lost and not self._transport.is_closing()

    def leave(self) -> None:
        """Close at once; a reply under way is never reported."""
        self._is_lost = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)


Kept = TypeVar("Kept", bound=ClientConnection)


def take_idle(idle: list[Kept], now_s: float, max_idle_s: float) -> Kept | None:
    """Return the latest of some idle connections that is still good; close what is not."""
    while idle:
        connection = idle.pop()
        if connection.is_usable and now_s - connection.idle_since_s <= max_idle_s:
            return connection
        connection.leave()
    return None


class CallerConnection(ClientConnection):
    """A connection that reports each reply's status and the headers that retry laws read.

    Attributes
    ----------
    first_byte_s : float
        Monotonic instant of the first byte of the reply under way; -1 before it.
    """

    __slots__ = ("_headers", "_on_first_byte", "_on_reply", "_open_status", "first_byte_s")

    def __init__(self) -> None:
        super().__init__()
        self._on_reply: OnReply | None = None
        self._on_first_byte: OnFirstByte | None = None
        self._headers = NO_HEADERS
        self._open_status = 0
        self.first_byte_s = -1.0

    def send(
        self, request: bytes, on_reply: OnReply, on_first_byte: OnFirstByte | None = None
    ) -> None:
        """Write a request; ``on_reply`` is called once, unless the caller leaves first."""
        self._on_reply = on_reply
        self._on_first_byte = on_first_byte
        self._headers = NO_HEADERS
        self._has_length = False
        self._open_status = 0
        self.first_byte_s = -1.0
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    def leave(self) -> None:
        """Close at once; a reply under way is never reported."""
        self._on_reply = None
        super().leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the request under way: done if its reply ends with the connection, else lost."""
        self._is_lost = True
        self._finish(0 if exc is not None else self._open_status)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._parser is None:
            return
        if self.first_byte_s < 0.0 and self._on_reply is not None:
            self.first_byte_s = time.monotonic()
            if self._on_first_byte is not None:
                self._on_first_byte()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._open_status = 0
            self._is_lost = True
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what retry laws and openings read, and whether the reply says where it ends."""
        lower = name.lower()
        if lower in KEPT_HEADERS:
            if self._headers is NO_HEADERS:
                self._headers = {}
            self._headers[lower.decode()] = value.decode("latin-1")
        elif lower in FRAMING_HEADERS:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Note a reply that will end with its connection."""
        if not self._has_length and self._parser is not None:
            self._open_status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        """Report the reply."""
        parser = self._parser
        if parser is None:
            return
        status = parser.get_status_code()
        if status < 200:  # 100 Continue and the like: the reply itself follows
            return
        if not parser.should_keep_alive():
            self._is_lost = True
            self._transport.close()
        self._finish(status)

    def _finish(self, status: int) -> None:
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is not None:
            on_reply(status, self._headers)
