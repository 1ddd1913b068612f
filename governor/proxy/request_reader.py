"""Reads a caller's heads, one whole head at a time.

*Rule of this file*: bytes in, a checked head or a refusal out; no connection.
The order is the contract: our own reading of the request line, llhttp over
the whole head, then :meth:`governor.proxy.headers.RequestHead.finish`.

A head that is the same to the byte as the one before on its connection means
the same, and is not read again: callers that poll repeat theirs. One that differs
in some values only is read as far as it differs (:mod:`governor.proxy.alike`).
"""

from __future__ import annotations

import httptools

from governor.errors import DownstreamError
from governor.proxy.alike import MAX_KNOWN_HEAD_BYTES, LastHead
from governor.proxy.header_names import DROPPED
from governor.proxy.headers import RequestHead
from governor.proxy.request_line import (
    is_unescaped,
    read_request_line,
    refused_method,
    too_large,
)

MAX_HEADERS = 256
"""Fields in one request head; then 431. Apache stops at 100, Envoy at 100; SDKs send 25."""

MAX_UNLIKE, N_SKIPPED = 4, 16
"""Where so many heads in a row were unlike the one before (a proxy in front mixes callers), so many
are read without comparing: to compare in vain costs half of a whole reading more."""


class RequestReader:
    """The parser of one caller's connection and the head it read last."""

    __slots__ = ("_fields", "_last", "_n_to_skip", "_n_unlike", "_parser")

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._last: LastHead | None = None
        self._n_unlike = 0
        self._n_to_skip = 0
        self._parser: httptools.HttpRequestParser | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field (called by the parser, in order)."""
        self._fields.append((name, value))

    def read(self, data: bytes) -> RequestHead:
        """Return what a whole head, request line to empty line, says.

        Raises
        ------
        DownstreamError
            It must not be forwarded; what follows it cannot be trusted to be a request.
        """
        last = self._last
        if last is not None:
            if data == last.data:
                return last.again()
            head = last.vary(data)
            if head is not None:
                self._n_unlike = 0
                return head
            self._last = None
            self._n_unlike += 1
            if self._n_unlike >= MAX_UNLIKE:
                self._n_to_skip = N_SKIPPED
        head = self._read_whole(data)
        if self._n_to_skip:
            self._n_to_skip -= 1
        elif len(data) <= MAX_KNOWN_HEAD_BYTES:
            self._last = LastHead(data, head)
        return head

    def forget(self) -> None:
        """Keep nothing of the head read last, nor a parser: the connection idles."""
        self._last = self._parser = None
        self._fields = []

    def _read_whole(self, data: bytes) -> RequestHead:
        method, target, version = read_request_line(data)
        head = RequestHead()
        self._fields = head.headers
        self._feed(data, method, target)
        if len(head.headers) > MAX_HEADERS:
            raise too_large(f"more than {MAX_HEADERS} header fields")
        head.finish(method, target, version, data)
        if head.is_chunked or head.content_length or head.seen & DROPPED or not head.keep_alive:
            # It waits for a body that it will not see, or for nothing more: llhttp takes
            # Proxy-Connection for Connection.
            self._parser = None
        return head

    def _feed(self, data: bytes, method: bytes, target: bytes) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            try:
                parser.feed_data(data)
            except httptools.HttpParserInvalidURLError:
                if not is_unescaped(target):
                    raise
                parser = self._parser = httptools.HttpRequestParser(self)
                parser.feed_data(b"%b / HTTP/%b" % (method, data[data.index(b"\r\n") - 3 :]))
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserInvalidMethodError:
            raise refused_method(method) from None
        except httptools.HttpParserError as error:
            raise DownstreamError(
                f"The request's head cannot be read: {error}.", reason="bad_request"
            ) from None
