"""The head of one response: collected, checked, and written for the caller.

*Rule of this file*: as in :mod:`governor.proxy.headers`; a fault found here is
the upstream's.

*Source*: RFC 9112 section 6.3 for where the body ends; RFC 9110 section 7.6.1
for what goes no further.
"""

from __future__ import annotations

from enum import IntEnum

from governor.errors import UpstreamError
from governor.proxy.connection_options import NO_OPTIONS, ConnectionOptions, read_connection
from governor.proxy.header_names import (
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DROPPED,
    RESPONSE_NAMES,
    RETRY_AFTER,
    TRANSFER_ENCODING,
    UPGRADE,
)

Field = tuple[bytes, bytes]

_RARE = TRANSFER_ENCODING | CONNECTION | UPGRADE | DROPPED
_names = RESPONSE_NAMES
_MAX_LENGTH_DIGITS = 18


class Framing(IntEnum):
    """Where a body ends."""

    NONE = 0
    """There is none: HEAD, 1xx, 204, 304, or a length of 0."""
    LENGTH = 1
    """After ``content_length`` bytes."""
    CHUNKED = 2
    UNTIL_CLOSE = 3


class ResponseHead:
    """One response's head: ``add`` each field, then ``finish``, then read.

    Attributes
    ----------
    status : int
    reason : bytes
        The phrase as sent, maybe empty.
    headers, fields : list of (name, value)
        As received, and what goes on to the caller (without its framing where
        that must be said anew).
    framing : Framing
        Of the upstream's message.
    content_length : int or None
        Also where there is no body (HEAD, 304).
    keep_alive : bool
        Whether the upstream connection may be used again after this response.
    upgrade : bytes
        With 101: what was switched to.
    """

    __slots__ = (
        "block",
        "content_length",
        "fields",
        "found",
        "framing",
        "headers",
        "keep_alive",
        "reason",
        "seen",
        "status",
        "upgrade",
    )

    block: bytes
    fields: list[Field]
    reason: bytes
    status: int

    def __init__(self) -> None:
        self.headers: list[Field] = []
        self.found: dict[int, int] = {}
        self.seen = 0
        self.content_length: int | None = None
        self.framing = Framing.NONE
        self.keep_alive = True
        self.upgrade = b""

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field (httptools ``on_header``)."""
        self.headers.append((name, value))

    def finish(
        self, status: int, reason: bytes = b"", version: str = "1.1", is_head: bool = False
    ) -> None:
        """Check the whole head and settle where its body ends.

        Raises
        ------
        UpstreamError
            With a stable ``reason``; the upstream connection must then be closed.
        """
        self.status = status
        self.reason = reason
        headers = self.headers
        found = self.found
        names = _names
        seen = idx = 0
        for name, _ in headers:
            code = names[name]
            if code:
                if code in found and code & (CONTENT_LENGTH | TRANSFER_ENCODING):
                    raise UpstreamError(
                        "The service framed its answer twice.", reason="upstream_bad_framing"
                    )
                found.setdefault(code, idx)
                seen |= code
            idx += 1  # noqa: SIM113 - enumerate() costs a tuple per field
        self.seen = seen
        self.fields = headers
        is_old = version == "1.0"
        if seen & CONTENT_LENGTH:
            self._read_length()
        has_no_body = is_head or status < 200 or status == 204 or status == 304
        if seen & _RARE or is_old or (has_no_body and status < 205 and not is_head):
            self._finish_rare(is_old, is_head)
        if has_no_body or self.content_length == 0:
            self.framing = Framing.NONE
        elif seen & TRANSFER_ENCODING:
            self.framing = Framing.CHUNKED
        elif self.content_length is not None:
            self.framing = Framing.LENGTH
        else:
            self.framing = Framing.UNTIL_CLOSE
            self.keep_alive = False
        self._join()

    def _read_length(self) -> None:
        digits = self.headers[self.found[CONTENT_LENGTH]][1].strip(b" \t")
        if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
            raise UpstreamError(
                "The service sent a Content-Length that is no number.",
                reason="upstream_bad_framing",
            )
        self.content_length = int(digits)

    def _finish_rare(self, is_old: bool, is_head: bool) -> None:
        seen = self.seen
        if seen & TRANSFER_ENCODING:
            value = self.headers[self.found[TRANSFER_ENCODING]][1].strip(b" \t").lower()
            if is_old or seen & CONTENT_LENGTH or value != b"chunked":
                raise UpstreamError(
                    "The service framed its answer in a way that cannot be trusted.",
                    reason="upstream_bad_framing",
                )
        options = NO_OPTIONS
        if seen & CONNECTION:
            options = read_connection(
                b",".join(value for name, value in self.headers if _names[name] == CONNECTION)
            )
        self.keep_alive = not options.has_close and (options.has_keep_alive or not is_old)
        if self.status == 101 and seen & UPGRADE:
            self.upgrade = self.headers[self.found[UPGRADE]][1]
        gone = DROPPED | CONNECTION | TRANSFER_ENCODING
        if not (self.upgrade or self.status == 426):
            gone |= UPGRADE
        if (self.status < 200 or self.status == 204) and not is_head:
            gone |= CONTENT_LENGTH  # RFC 9110 section 8.6: never with 1xx and 204
        self._keep(gone, options)

    def _keep(self, gone: int, options: ConnectionOptions) -> None:
        named = options.named
        self.fields = [
            field
            for field in self.headers
            if not (_names[field[0]] & gone or (named and field[0].lower() in named))
        ]

    def _join(self) -> None:
        fields = self.fields
        block = b"\r\n".join(map(b": ".join, fields))
        n_breaks = max(0, len(fields) - 1)
        if block.count(b"\n") != n_breaks or block.count(b"\r") != n_breaks or b"\0" in block:
            raise UpstreamError(
                "The service sent a header value with a line break or NUL.",
                reason="upstream_bad_header",
            )
        self.block = block

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is server-sent events: it may idle and must not be gathered."""
        if not self.seen & CONTENT_TYPE:
            return False
        value = self.headers[self.found[CONTENT_TYPE]][1]
        return value[:17].lower() == b"text/event-stream"

    @property
    def retry_after(self) -> bytes:
        """The upstream's own ``Retry-After``; empty if it gave none."""
        return self.headers[self.found[RETRY_AFTER]][1] if self.seen & RETRY_AFTER else b""


def build_response_head(
    head: ResponseHead,
    framing: Framing,
    keep_alive: bool,
    is_old_caller: bool = False,
    extra: bytes = b"",
) -> bytes:
    """Return the head that goes to the caller, up to and with the empty line.

    Parameters
    ----------
    head : ResponseHead
        Finished.
    framing : Framing
        How the body goes to the caller: ``LENGTH`` and ``NONE`` as it came;
        ``CHUNKED`` for a body of unknown length to HTTP/1.1; ``UNTIL_CLOSE`` to
        HTTP/1.0.
    keep_alive : bool
        Whether the downstream connection goes on after this response.
    is_old_caller : bool
        HTTP/1.0: keep-alive must be said.
    extra : bytes
        Further lines, each led by CRLF.
    """
    lines = _CHUNKED if framing == Framing.CHUNKED else b""
    if head.upgrade:
        lines += b"\r\nConnection: Upgrade"
    elif not keep_alive or framing == Framing.UNTIL_CLOSE:
        if head.status >= 200:
            lines += b"\r\nConnection: close"
    elif is_old_caller:
        lines += b"\r\nConnection: keep-alive"
    block = head.block
    return b"".join(
        (
            _status_line(head.status, head.reason),
            b"\r\n" if block else b"",
            block,
            lines,
            extra,
            b"\r\n\r\n",
        )
    )


_CHUNKED = b"\r\nTransfer-Encoding: chunked"
_OK = b"HTTP/1.1 200 OK"


def _status_line(status: int, reason: bytes) -> bytes:
    if status == 200 and reason == b"OK":
        return _OK
    return b"HTTP/1.1 %d %b" % (status, reason)
