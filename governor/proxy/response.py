"""A response's head: what the upstream said, and what the caller gets of it.

*Rule of this file*: bytes in, bytes out; no connection. A head that has
nothing to remove goes out as it came in, not copied, not rebuilt: most do.

llhttp refuses what could split a response: bare CR and LF, folded lines, white
space before a colon, control characters in values, two lengths, a length
beside a coding. Found by test to pass it, and refused here: a status below
100, control characters in the reason, other protocols than HTTP/1.x, empty
lines in front, any transfer coding but exactly ``chunked``.

*Source*: RFC 9112 sections 4 and 6.3, RFC 9110 section 7.6.1 (hop-by-hop fields).
"""

from __future__ import annotations

import re
from enum import IntEnum

from governor.errors import UpstreamError
from governor.proxy.header_names import MAX_SPELLING_BYTES, MAX_SPELLINGS
from governor.proxy.quota import is_quota

MAX_STATUS_LINES = 512
"""Distinct status lines remembered; a lookup is cheaper than reading the line again."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")


class Body(IntEnum):
    """How the end of a body is told."""

    NONE = 0
    COUNTED = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


# What a field means to a hop. 0: nothing, it passes on. Connection, hop and upgrade are bits.
_LENGTH, _CODING, _TYPE = 1, 2, 3
_CONNECTION, _HOP, _UPGRADE = 8, 16, 32
_LIMITS = 4

_MEANING = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"content-type": _TYPE,
    b"connection": _CONNECTION,
    b"keep-alive": _HOP,
    b"proxy-connection": _HOP,
    b"te": _HOP,
    b"upgrade": _UPGRADE,
    b"retry-after": _LIMITS,
    b"retry-after-ms": _LIMITS,
    b"x-amz-retry-after": _LIMITS,
}
_GONE_WITH_426 = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te"))
_GONE = _GONE_WITH_426 | {b"upgrade"}
_ESSENTIAL = frozenset((b"content-length", b"transfer-encoding", b"content-type", b"date", b""))
"""Never removed because ``Connection`` names them."""

_PLAIN = frozenset((b"keep-alive", b"close"))
_COUNTED, _CHUNKED = Body.COUNTED, Body.CHUNKED

_fields: dict[bytes, int] = dict(_MEANING)
"""Code by spelling, so that each spelling is put in lower case once."""


def _learn(name: bytes) -> int:
    lower = name.lower()
    code = _MEANING.get(lower, _LIMITS if is_quota(lower) else 0)
    if len(_fields) >= MAX_SPELLINGS:
        _fields.clear()
    if len(name) <= MAX_SPELLING_BYTES:
        _fields[name] = code
    return code


_status_lines: dict[bytes, tuple[int, int]] = {}


def read_status_line(line: bytes) -> tuple[int, int]:
    """Return status and minor version of a status line.

    Raises
    ------
    UpstreamError
        It is none of HTTP/1.0 or HTTP/1.1.

    Examples
    --------
    >>> read_status_line(b"HTTP/1.1 404 Not Found")
    (404, 1)
    """
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise UpstreamError("the upstream's answer has no status line", reason="bad_response")
    read = (int(match[2]), int(match[1]))
    if len(_status_lines) < MAX_STATUS_LINES and len(line) < 64:
        _status_lines[line] = read
    return read


class ResponseHead:
    """Collects one head at a time for its connection (the parser calls :meth:`on_header`).

    Attributes
    ----------
    status, minor : int
    body : Body
    length_bytes : int
        Of a counted body; -1 if there is none.
    is_reusable : bool
        Whether the upstream keeps the connection open after this response.
    tells_limits : bool
        Whether it is a refusal (429, 503), or a field tells of the upstream's quota or when
        to come back (:mod:`governor.proxy.quota` reads them where that is due).
    """

    __slots__ = (
        "_connection",
        "_has_coding",
        "_plain",
        "_seen",
        "_spelling",
        "_type",
        "body",
        "is_reusable",
        "length_bytes",
        "minor",
        "status",
        "tells_limits",
    )

    def __init__(self) -> None:
        self.status = 0
        self.minor = 1
        self.body = Body.NONE
        self.is_reusable = False
        self.clear()

    def clear(self) -> None:
        """Forget the head read before."""
        self._seen = 0
        self._connection = b""
        self._spelling = b""
        self._has_coding = False
        self._type = b""
        self._plain = b""
        self.tells_limits = False
        self.length_bytes = -1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field (called by the parser, in order)."""
        code = _fields.get(name)
        if code is None:
            code = _learn(name)
        if not code:
            return
        if code == _LENGTH:
            self.length_bytes = int(value)
        elif code == _TYPE:
            self._type = value
        elif code == _LIMITS:
            self.tells_limits = True
        elif code == _CODING:
            if value.strip(b" \t").lower() != b"chunked" or self._has_coding:
                raise UpstreamError("a transfer coding other than chunked", reason="bad_response")
            self._has_coding = True
        else:
            if code == _CONNECTION:
                code |= _HOP if self._seen & _CONNECTION else 0
                self._connection += b"," + value.lower() if self._connection else value.lower()
                self._spelling = name
            self._seen |= code

    def settle(self, head: bytes, is_bodiless: bool) -> None:
        """Decide how the body ends. Call when the parser has read the head.

        Parameters
        ----------
        head : bytes
            All of it, from the status line to the empty line.
        is_bodiless : bool
            The request was a HEAD.
        """
        line = head[: head.index(b"\r\n")]
        read = _status_lines.get(line)
        self.status, self.minor = status, minor = read or read_status_line(line)
        if not minor:
            self.is_reusable = b"keep-alive" in self._connection
            if self._has_coding:
                raise UpstreamError("a transfer coding from HTTP/1.0", reason="bad_response")
        elif self._connection:
            self.is_reusable = b"close" not in self._connection
        else:
            self.is_reusable = True
        if status == 429 or status == 503:
            self.tells_limits = True
        if is_bodiless or status == 204 or status == 304 or status < 200:
            self.body = Body.NONE
        elif self._has_coding:
            self.body = Body.CHUNKED
        elif self.length_bytes >= 0:
            self.body = Body.COUNTED
        else:
            self.body = Body.UNTIL_CLOSE
            self.is_reusable = False

    def encode(self, head: bytes, caller_minor: int, extra: bytes = b"") -> bytes:
        """Return the head for the caller; as it came where nothing must change.

        Parameters
        ----------
        head : bytes
        caller_minor : int
            0 for an HTTP/1.0 caller: it gets no coding.
        extra : bytes
            Field lines to add, each with its line end.
        """
        if extra or not caller_minor:
            return self._rewrite(head, caller_minor, extra)
        if not self._plain:
            self._plain = self._encode_plain(head)
        return self._plain

    def _encode_plain(self, head: bytes) -> bytes:
        """Return the head for a caller of HTTP/1.1 whose connection goes on: nearly all."""
        body = self.body
        if self.minor and (body is _COUNTED or body is _CHUNKED):
            seen = self._seen
            if not seen:
                return head
            if seen == _CONNECTION and self._connection in _PLAIN:
                begin = head.index(b"\r\n%b:" % self._spelling)
                return head[:begin] + head[head.index(b"\r\n", begin + 2) :]
        return self._rewrite(head, 1, b"")

    def _rewrite(self, head: bytes, caller_minor: int, extra: bytes) -> bytes:
        lines = head[:-4].split(b"\r\n")
        status_line = lines.pop(0)
        if not self.minor:
            status_line = b"HTTP/1.1" + status_line[8:]
        gone = _GONE_WITH_426 if self.status == 426 else _GONE
        if self._connection:
            gone = gone | {x.strip(b" \t") for x in self._connection.split(b",")} - _ESSENTIAL
        if self.body is Body.NONE or (self.body is Body.CHUNKED and not caller_minor):
            gone = gone | {b"transfer-encoding"}
        if self.status == 204 or self.status < 200:
            gone = gone | {b"content-length"}  # RFC 9110 section 8.6
        kept = [status_line]
        kept += [x for x in lines if x.partition(b":")[0].lower() not in gone]
        if self.body is Body.UNTIL_CLOSE and caller_minor:
            kept.append(b"Transfer-Encoding: chunked")
        return b"\r\n".join(kept) + b"\r\n" + extra + b"\r\n"

    @property
    def has_rare_hops(self) -> bool:
        """Whether there is any hop-by-hop field beside ``Connection`` and ``Upgrade``."""
        return bool(self._seen & _HOP)

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is server-sent events, which may pause as they like."""
        return self._type[:17].lower() == b"text/event-stream"
