"""One connection to an endpoint: sends one request at a time, reads its answer.

*Rule of this file*: the wire of the upstream's side. What an answer means for
the request is :mod:`governor.proxy.exchange`'s; what a head means is
:mod:`governor.proxy.response`'s. An answer that is complete in one read leaves
in the same callback, in one write, usually as the very bytes that came.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

import httptools

from governor.errors import UpstreamError
from governor.proxy.framing import HEAD_END, ChunkedReader, FramingError, encode_chunk
from governor.proxy.response import Body, ResponseHead

if TYPE_CHECKING:
    from governor.proxy.exchange import Exchange
    from governor.proxy.pool import EndpointPool

MAX_HEAD_BYTES = 262_144
"""A response head above this is refused: 64 times nginx's default."""

RESYNC_BYTES = 16_384
"""Up to here a body is shown to the parser so that it is ready for the next head; a new parser
(0.5 us) is cheaper than copying more."""

MAX_KNOWN_HEAD_BYTES = 1_024
"""A head up to here is remembered: services that send no ids or dates of their own repeat it to the
byte, and what it means need not be read again. Heads that differ cost one failed comparison."""

_NONE, _COUNTED, _CHUNKED, _UNTIL_CLOSE = Body.NONE, Body.COUNTED, Body.CHUNKED, Body.UNTIL_CLOSE


class UpstreamConnection(asyncio.Protocol):
    """The protocol of one upstream connection.

    Attributes
    ----------
    exchange : Exchange or None
        Whose answer is being read; None while idle.
    idle_since_ns : int
    n_sent : int
        Requests sent on it so far.
    has_answered : bool
        Whether a byte of the current answer has come.
    """

    __slots__ = (
        "_as_chunks",
        "_body",
        "_buffer",
        "_chunks",
        "_head",
        "_known_head",
        "_left_bytes",
        "_parser",
        "_poll",
        "exchange",
        "has_answered",
        "idle_since_ns",
        "is_read_paused",
        "is_write_paused",
        "n_sent",
        "pool",
        "transport",
    )

    def __init__(self, pool: EndpointPool) -> None:
        self.pool = pool
        self._head = ResponseHead()
        self._parser: httptools.HttpResponseParser | None = None
        self._poll: select.poll | None = None
        self._buffer = b""
        self._known_head = b""
        self._body: Body | None = None
        self._left_bytes = 0
        self._chunks: ChunkedReader | None = None
        self._as_chunks = False
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.idle_since_ns = 0
        self.n_sent = 0
        self.has_answered = False
        self.is_read_paused = False
        self.is_write_paused = False

    # -- use ----------------------------------------------------------------

    def send(self, exchange: Exchange, data: bytes) -> None:
        """Begin an exchange with the bytes of its request that are there."""
        self.exchange = exchange
        self.n_sent += 1
        self.has_answered = False
        self._body = None
        self.transport.write(data)

    def is_quiet(self) -> bool:
        """Ask the kernel whether an idle connection is still without end or stray bytes.

        One system call: worth it before a request that may not be sent twice.
        """
        if self._poll is None:
            self._poll = select.poll()
            fd = self.transport.get_extra_info("socket").fileno()
            self._poll.register(fd, select.POLLIN | select.POLLRDHUP)
        return not self._poll.poll(0)

    def pause_reading(self) -> None:
        """Stop reading the answer: the caller does not keep up."""
        if not self.is_read_paused and not self.transport.is_closing():
            self.is_read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read the answer again."""
        if self.is_read_paused:
            self.is_read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def release(self, now_ns: int) -> None:
        """Part from the exchange after a complete answer and go back to the pool."""
        self.exchange = None
        self._body = None
        self.idle_since_ns = now_ns
        if self.is_read_paused:
            self.resume_reading()
        pool = self.pool
        if len(pool.idle) < pool.max_idle:
            pool.idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Part from the exchange and end the connection."""
        self.exchange = None
        self.transport.abort()

    abort = close

    # -- protocol -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """Read an answer, or more of it."""
        exchange = self.exchange
        if exchange is None:
            self.pool.lost(self)
            self.transport.abort()  # bytes that nobody asked for
            return
        now_ns = monotonic_ns()
        exchange.stamp_ns = now_ns
        self.has_answered = True
        try:
            if self._body is not None:
                self._read_body(exchange, data, now_ns)
                return
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._read_heads(exchange, data, now_ns)
        except (UpstreamError, FramingError, httptools.HttpParserError) as error:
            self._refuse(exchange, error)

    def eof_received(self) -> bool:
        """Take the end of the upstream's bytes: the end of the connection."""
        self._end(is_clean=True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the loss of the connection, whatever the reason."""
        self.pool.lost(self)
        self._end(is_clean=False)

    def pause_writing(self) -> None:
        """Stop reading the caller: the upstream does not keep up."""
        self.is_write_paused = True
        if self.exchange is not None:
            self.exchange.pause_caller()

    def resume_writing(self) -> None:
        """Read the caller again."""
        self.is_write_paused = False
        if self.exchange is not None:
            self.exchange.resume_caller()

    # -- reading ------------------------------------------------------------

    def _read_heads(self, exchange: Exchange, data: bytes, now_ns: int) -> None:
        """Read a head and what follows it; heads of interim answers come before the final one."""
        parsed = self._head
        while True:
            end = data.find(HEAD_END) + 4
            if end < 4 or end > MAX_HEAD_BYTES:
                self._keep_partial(data)
                return
            head = data if end == len(data) else data[:end]
            is_known = head == self._known_head and not exchange.is_head
            if is_known:
                break  # as the one before: ``parsed`` says it still
            self._parse(head, exchange.is_head)
            status = parsed.status
            if status >= 200:
                break
            if status == 101:
                exchange.switch(self, head, data[end:], now_ns)
                return
            exchange.relay_interim(parsed.encode(head, 1))
            data = data[end:]
            if not data:
                return
        out = exchange.encode_head(parsed, head)
        if not out:
            exchange = cast("Exchange", self.exchange)  # waited out: another reads the rest
        n_rest = len(data) - end
        if parsed.body is _COUNTED and n_rest == parsed.length_bytes:
            rest = data[end:]
            if not is_known:
                self._resynchronise(rest)
            exchange.finish(data if out is head else out + rest, now_ns)
            return
        self._begin_body(exchange, parsed.body, out, data[end:], now_ns)

    def _parse(self, head: bytes, is_head_request: bool) -> None:
        """Read a head that differs from the one before on this connection."""
        parsed = self._head
        parsed.clear()
        self._known_head = b""
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(parsed)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        parsed.settle(head, is_head_request)
        if parsed.has_rare_hops:
            self._parser = None  # llhttp takes Proxy-Connection for Connection: it may be closed
        if not is_head_request and parsed.status >= 200 and len(head) <= MAX_KNOWN_HEAD_BYTES:
            self._known_head = head

    def _resynchronise(self, body: bytes) -> None:
        """Make the parser ready for the next head: it waits for a body that it need not see."""
        if len(body) <= RESYNC_BYTES and self._parser is not None:
            self._parser.feed_data(body)
        else:
            self._parser = None

    def _keep_partial(self, data: bytes) -> None:
        """Keep the beginning of a head, unless it cannot become one."""
        if len(data) > MAX_HEAD_BYTES:
            raise UpstreamError("a response head above the bound", reason="bad_response")
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise UpstreamError("the answer is not HTTP/1.x", reason="bad_response")
        if data.count(b"\n") != data.count(b"\r\n"):
            raise UpstreamError("a line of the head ends without CR", reason="bad_response")
        self._buffer = data

    def _begin_body(
        self, exchange: Exchange, body: Body, out: bytes, rest: bytes, now_ns: int
    ) -> None:
        """Send a head on whose body is not all there (or there is none)."""
        if body is _NONE:
            if exchange.is_head:
                self._parser = None
            if rest:
                self._head.is_reusable = False
            exchange.finish(out, now_ns)
            return
        self._parser = None
        self._body = body
        if body is _COUNTED:
            self._left_bytes = self._head.length_bytes
        else:
            self._as_chunks = bool(exchange.minor)
            if body is _CHUNKED:
                self._chunks = ChunkedReader()
        exchange.begin_stream(out, now_ns)
        if rest and self.exchange is exchange:
            self._read_body(exchange, rest, now_ns)

    def _read_body(self, exchange: Exchange, data: bytes, now_ns: int) -> None:
        body = self._body
        if body is _COUNTED:
            left = self._left_bytes - len(data)
            if left > 0:
                self._left_bytes = left
                exchange.relay(data)
                return
            if left < 0:
                data = data[:left]
                self._head.is_reusable = False
            exchange.finish(data, now_ns)
        elif body is _CHUNKED:
            reader = cast(ChunkedReader, self._chunks)
            pieces, used = reader.feed(data)
            out = encode_chunk(pieces) if self._as_chunks else b"".join(pieces)
            if not reader.is_done:
                if out:
                    exchange.relay(out)
                return
            if used < len(data):
                self._head.is_reusable = False
            exchange.finish(out + reader.encode_end() if self._as_chunks else out, now_ns)
        else:
            exchange.relay(encode_chunk([data]) if self._as_chunks else data)

    @property
    def n_left_bytes(self) -> int:
        """Bytes of a counted answer still to come; -1 where that is not told."""
        return self._left_bytes if self._body is _COUNTED else -1

    @property
    def is_reusable(self) -> bool:
        """Whether the answer read last leaves the connection fit for another request."""
        return self._head.is_reusable

    @property
    def is_event_stream(self) -> bool:
        """Whether the answer being read is a stream of events, which may pause as it likes."""
        return self._head.is_event_stream

    # -- ends ---------------------------------------------------------------

    def _refuse(self, exchange: Exchange, error: Exception) -> None:
        """End an exchange whose answer cannot be read."""
        self.pool.stats.n_upstream_broken += 1
        self.close()
        exchange.upstream_broke(
            UpstreamError(
                f"The upstream's answer cannot be forwarded: {error}.", reason="bad_response"
            )
        )

    def _end(self, is_clean: bool) -> None:
        exchange = self.exchange
        if exchange is None:
            self.pool.lost(self)
            return
        self.exchange = None
        self.transport.abort()
        if self._body is _UNTIL_CLOSE and is_clean:
            exchange.finish(b"0\r\n\r\n" if self._as_chunks else b"", monotonic_ns())
            return
        self.pool.stats.n_upstream_broken += 1
        if self._body is None and not self.has_answered and exchange.send_again(self.n_sent > 1):
            return
        exchange.upstream_broke(
            UpstreamError("The upstream closed the connection.", reason="upstream_closed")
        )
