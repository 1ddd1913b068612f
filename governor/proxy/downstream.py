"""One caller's connection: reads requests in order, sends their answers in order.

*Rule of this file*: the wire of the caller's side. A head is read only when it
is whole (bounded, timed), first by our own checks of what llhttp lets pass,
then by llhttp, then by :mod:`governor.proxy.headers`; so how the bytes were
cut on the wire cannot matter. One request is in flight per connection; what a
caller pipelines waits in a bounded buffer, then in the kernel's.

**When has a caller left?** At the end of its bytes (FIN) or a reset. HTTP/1.1
allows a caller to close its sending half and still read; but the callers that
make storms are those that close after a time-out, and a closed socket shows
as FIN too. So FIN counts as having left, as in nginx, unless the listener is
told ``half_close``.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from governor.errors import DownstreamError, GovernorError
from governor.proxy import endings
from governor.proxy.exchange import Exchange
from governor.proxy.framing import HEAD_END, ChunkedBody, CountedBody, FramingError
from governor.proxy.peer import Peer
from governor.proxy.request_ids import new_request_id
from governor.proxy.request_line import skip_empty_line, too_large
from governor.proxy.request_reader import RequestReader
from governor.proxy.state import NEW, SENT

if TYPE_CHECKING:
    from governor.proxy.server import ListenerSettings, ProxyServer

MAX_HELD_BYTES = 65_536
"""Body or pipelined requests held for one connection before its reading pauses."""

LINGER_NS = 2_000_000_000
"""After an answer that ends a connection, how long the rest of a request is read and dropped, so
that the answer is not lost to a reset (nginx: lingering_timeout 5s)."""


class Downstream(asyncio.Protocol):
    """The protocol of one caller's connection.

    Attributes
    ----------
    exchange : Exchange or None
        The request in flight.
    stamp_ns : int
        When the caller last sent something, or its last answer ended.
    is_read_paused, is_write_paused : bool
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_is_reading",
        "_reader",
        "exchange",
        "is_draining",
        "is_read_paused",
        "is_write_paused",
        "linger_until_ns",
        "peer",
        "server",
        "settings",
        "stamp_ns",
        "stats",
        "transport",
        "unsent_bytes",
        "write",
        "write_paused_at_ns",
    )

    def __init__(self, server: ProxyServer, settings: ListenerSettings) -> None:
        self.server = server
        self.settings = settings
        self.stats = server.stats
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.stamp_ns = 0
        self.is_draining = False
        self.is_read_paused = False
        self.is_write_paused = False
        self.write_paused_at_ns = 0
        self.unsent_bytes = 0
        self.linger_until_ns = 0
        self._is_reading = False
        self._buffer = b""
        self._body: CountedBody | ChunkedBody | None = None
        self._reader = RequestReader()

    # -- protocol -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or refuse it above the cap."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.stamp_ns = monotonic_ns()
        address = transport.get_extra_info("peername")
        ip, port = (address[0], address[1]) if address else ("", 0)
        self.peer = Peer(ip, port, self.settings.scheme, self.settings.address)
        self.server.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Read requests, or more of one."""
        now_ns = monotonic_ns()
        exchange = self.exchange
        if exchange is not None:
            self.stamp_ns = now_ns
            if exchange.is_request_done:
                self._hold(data)
            else:
                self._read_body(exchange, data)
            return
        if self.linger_until_ns:
            return
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        else:
            self.stamp_ns = now_ns  # a slow head is timed from its first byte
        if self.is_write_paused:
            self._hold(data)
            return
        self._read_requests(data, now_ns)

    def eof_received(self) -> bool:
        """Take the end of the caller's bytes: it has left (see the file's header)."""
        exchange = self.exchange
        if exchange is None:
            return False
        if self.settings.half_close and exchange.is_request_done:
            exchange.keep_alive = False
            return True
        self._left()
        self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the loss of the connection."""
        self.server.lost(self)
        self._left()

    def pause_writing(self) -> None:
        """Stop reading the upstream: the caller does not keep up."""
        self.is_write_paused = True
        self.write_paused_at_ns = monotonic_ns()
        if self.exchange is not None and self.exchange.connection is not None:
            self.exchange.connection.pause_reading()

    def resume_writing(self) -> None:
        """Read the upstream again."""
        self.is_write_paused = False
        exchange = self.exchange
        if exchange is None:
            self._go_on(monotonic_ns())
        elif exchange.connection is not None:
            exchange.stamp_ns = monotonic_ns()
            exchange.connection.resume_reading()

    # -- reading --------------------------------------------------------------

    def _read_requests(self, data: bytes, now_ns: int) -> None:
        """Read as many requests as can be answered at once, hold the rest."""
        self._is_reading = True
        try:
            while data:
                if data[0] <= 32:
                    if data == b"\r":  # an empty line, cut in two
                        self._buffer = data
                        break
                    data = skip_empty_line(data)
                    if not data:
                        break
                end = data.find(HEAD_END) + 4
                limit = self.settings.max_head_bytes
                if end < 4 or end > limit:
                    self._keep_partial(data, limit)
                    break
                if end == len(data):
                    exchange = self._read_head(data, now_ns)
                    data = b""
                else:
                    exchange = self._read_head(data[:end], now_ns)
                    data = data[end:]
                if exchange is None:
                    break
                if exchange.is_request_done:
                    exchange.start(now_ns)
                else:
                    data = self._begin_body(exchange, data, now_ns)
                if self.linger_until_ns or self.transport.is_closing():
                    break
                if data and (self.exchange is not None or self.is_write_paused):
                    self._hold(data)
                    break
        except DownstreamError as error:
            self.refuse(error)
        finally:
            self._is_reading = False

    def _read_head(self, data: bytes, now_ns: int) -> Exchange | None:
        """Return the exchange that a whole head begins; None if it is answered already."""
        head = self._reader.read(data)
        self.stats.n_requests += 1
        request_id = head.request_id or new_request_id()
        route = self.server.router.match(head)
        if route is None:
            raise DownstreamError(
                "No route takes this request.", reason="no_route", status_hint=404
            )
        exchange = self.exchange = Exchange(self, head, route, request_id, now_ns)
        exchange.is_request_done = not (head.content_length or head.is_chunked)
        return exchange

    def _begin_body(self, exchange: Exchange, data: bytes, now_ns: int) -> bytes:
        """Hold what has come of the body, ask the gate; return what lies beyond the request."""
        rest = b""
        length = exchange.head.content_length
        if len(data) == length:  # mostly: all of it, and nothing else
            self.stats.bytes_from_callers += len(data)
            exchange.is_request_done = True
            exchange.send_body(data)
        else:
            self._body = CountedBody(length) if length else ChunkedBody()
            if data:
                rest = self._take_body(exchange, data)
        exchange.start(now_ns)
        if exchange.held_bytes > MAX_HELD_BYTES and exchange.state < SENT:
            self.pause_for_body()
        return rest

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
        try:
            rest = self._take_body(exchange, data)
        except DownstreamError as error:
            endings.refuse(exchange, error)
            return
        if exchange.held_bytes > MAX_HELD_BYTES and exchange.state < SENT:
            self.pause_for_body()
        if rest:
            self._hold(rest)

    def _take_body(self, exchange: Exchange, data: bytes) -> bytes:
        """Give body bytes to the exchange; return what lies beyond the request."""
        self.stats.bytes_from_callers += len(data)
        body = cast("CountedBody | ChunkedBody", self._body)
        try:
            out, rest = body.take(data)
        except FramingError as error:
            raise DownstreamError(
                f"The request's body is not framed as announced: {error}.", reason="bad_chunk"
            ) from None
        if body.is_done:
            self._body = None
            exchange.is_request_done = True
            exchange.stamp_ns = self.stamp_ns
        if out:
            exchange.send_body(out)
        return rest

    def _keep_partial(self, data: bytes, limit: int) -> None:
        """Keep the beginning of a head, unless it cannot become one."""
        if len(data) > limit:
            raise too_large(f"a head of more than {limit} bytes")
        if data.count(b"\n") != data.count(b"\r\n"):
            raise DownstreamError("A line ends without CR.", reason="bad_request")
        if data[0] < 0x21 or data[0] > 0x7E:
            raise DownstreamError("These bytes are not HTTP.", reason="bad_request")
        self._buffer = data

    def _hold(self, data: bytes) -> None:
        """Keep pipelined bytes until the requests before them are answered."""
        self._buffer += data
        if len(self._buffer) > MAX_HELD_BYTES:
            self.pause_for_body()

    def pause_for_body(self) -> None:
        """Stop reading the caller."""
        if not self.is_read_paused and not self.transport.is_closing():
            self.is_read_paused = True
            self.transport.pause_reading()

    def resume_for_body(self) -> None:
        """Read the caller again."""
        if self.is_read_paused:
            self.is_read_paused = False
            self.stamp_ns = monotonic_ns()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def is_reading_requests(self) -> bool:
        """Whether further bytes can begin or continue a request."""
        return not (self.linger_until_ns or self.transport.is_closing())

    @property
    def n_held_bytes(self) -> int:
        """Bytes of pipelined requests, or of a head that is not whole."""
        return len(self._buffer)

    def forget_head(self) -> None:
        """Keep no memory for a head that may not be repeated soon."""
        self._reader.forget()

    # -- answers and ends ---------------------------------------------------

    def forget(self) -> None:
        """A tunnel over this connection has ended."""
        self.exchange = None
        self.server.lost(self)

    def refuse(self, error: GovernorError) -> None:
        """Answer what cannot be read as a request, and end the connection."""
        exchange = self.exchange
        if exchange is not None and exchange.state != NEW:
            endings.refuse(exchange, error)
            return
        self.exchange = None
        endings.answer_no_request(self, error)
        self._linger(monotonic_ns())

    def finished(self, exchange: Exchange, now_ns: int) -> None:
        """The exchange is closed: go on with the next request, or end."""
        if self.exchange is not exchange:
            return
        self.exchange = None
        if not exchange.keep_alive or self.is_draining:
            if exchange.is_request_done and not self._buffer:
                self.close_idle(now_ns)
            else:
                self._linger(now_ns)
            return
        self.stamp_ns = now_ns
        if self.is_read_paused or self._buffer:
            self._go_on(now_ns)

    def _go_on(self, now_ns: int) -> None:
        """Read what was held while the last request was in flight."""
        if self._is_reading or self.is_write_paused or self.transport.is_closing():
            return
        data, self._buffer = self._buffer, b""
        self.stamp_ns = now_ns
        self.resume_for_body()
        if data:
            self._read_requests(data, now_ns)

    def close_idle(self, now_ns: int) -> None:
        """End the connection after what is still to be written, in bounded time."""
        self.transport.close()
        self.linger_until_ns = now_ns + LINGER_NS

    def _linger(self, now_ns: int) -> None:
        """Send the end, drop what still comes for a while, then close."""
        self._buffer = b""
        self.linger_until_ns = now_ns + LINGER_NS
        self.resume_for_body()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def cut_off(self) -> None:
        """End the connection in the middle of an answer: never a clean end for half of one."""
        self.exchange = None
        self.transport.abort()

    def _left(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            endings.leave(exchange, monotonic_ns())

    def detach(self) -> bytes:
        """Part from the transport for a tunnel; return what was read beyond the request."""
        data, self._buffer = self._buffer, b""
        self.is_read_paused = self.is_write_paused = False
        return data

    def end(self) -> None:
        """End the connection and what is in flight on it at once."""
        self._left()
        self.transport.abort()

    def drain(self) -> None:
        """Take no further request; end now if none is in flight."""
        self.is_draining = True
        if self.exchange is None and not self._buffer:
            self.transport.close()
