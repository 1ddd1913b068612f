"""The fault gate's two sides on the wire: a connection to the service, a caller's connection.

*Rule of this file*: bytes and where messages end; what to do with them is
:mod:`governor.load.gate`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httptools

from governor.load.http1 import FRAMING_HEADERS, ClientConnection

if TYPE_CHECKING:
    from governor.load.gate import Exchange, Gate

MAX_REQUEST_BYTES = 16 << 20


class ServiceConnection(ClientConnection):
    """A connection of the gate to the service."""

    def __init__(self) -> None:
        super().__init__()
        self._exchange: Exchange | None = None
        self._is_headed = False
        self._is_whole = False

    def send(self, request: bytes, exchange: Exchange) -> None:
        """Send one request; its reply goes to the exchange."""
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        self._has_length = self._is_headed = self._is_whole = False
        self._transport.write(request)

    def leave(self) -> None:
        """Close at once, telling nobody."""
        self._exchange = None
        super().leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the reply under way: whole if it has no other end."""
        self._is_lost = True
        self._end(exc is None and self._is_headed and not self._has_length)

    def data_received(self, data: bytes) -> None:
        """Hand on the bytes, and find the reply's end."""
        exchange = self._exchange
        if exchange is None or self._parser is None:
            self._is_lost = True  # bytes that belong to no reply
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_lost = True
            self._transport.abort()
            self._end(False)
            return
        exchange.on_bytes(data)
        if self._is_whole:
            self._end(True)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the reply says where it ends."""
        self._has_length |= name.lower() in FRAMING_HEADERS

    def on_headers_complete(self) -> None:
        """Note that there is a head."""
        self._is_headed = True

    def on_message_complete(self) -> None:
        """Note the reply's end; the bytes that hold it are handed on first."""
        parser = self._parser
        if parser is None or parser.get_status_code() < 200:
            return
        self._is_whole = True
        if not parser.should_keep_alive():
            self._is_lost = True
            self._transport.close()

    def _end(self, is_whole: bool) -> None:
        exchange, self._exchange = self._exchange, None
        self._parser = None
        if exchange is not None:
            exchange.on_end(is_whole, self._is_whole)


class CallerSide(asyncio.Protocol):
    """A caller's connection to the gate: one request at a time."""

    def __init__(self, gate: Gate, on_closed: Callable[[CallerSide], None]) -> None:
        self._gate = gate
        self._on_closed = on_closed
        self._parser = httptools.HttpRequestParser(self)
        self._parts: list[bytes] = []
        self._n_bytes = 0
        self._is_complete = False
        self._transport: asyncio.Transport
        self.exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange; the service is not told."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.caller_left()
        self._on_closed(self)

    def data_received(self, data: bytes) -> None:
        """Collect a request, then hand it in. Pipelining is no habit of agents: refused."""
        if self.exchange is not None:
            self.abort()
            return
        self._parts.append(data)
        self._n_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()
            return
        if self._n_bytes > MAX_REQUEST_BYTES:
            self.abort()
        elif self._is_complete:
            request = b"".join(self._parts)
            self._parts.clear()
            self._n_bytes = 0
            self._is_complete = False
            self._gate.accept(self, request)

    def on_message_complete(self) -> None:
        """Note the request's end."""
        self._is_complete = True

    def write(self, data: bytes) -> None:
        """Hand on bytes of the reply."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def finish(self, *, must_close: bool = False) -> None:
        """Be ready for the next request, or close where that is the reply's end."""
        self.exchange = None
        if must_close and not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Break the connection."""
        if not self._transport.is_closing():
            self._transport.abort()
