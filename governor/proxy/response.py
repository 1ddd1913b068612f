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

MAX_HEADERS = 256
"""Fields in one response head; Node's and Go's servers stop at 2,000 and 1 MB; real ones at 50."""

MAX_STATUS_LINES = 512
"""Distinct status lines remembered; a lookup is cheaper than reading the line again."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")


class Body(IntEnum):
    """How the end of a body is told."""

    NONE = 0
    COUNTED = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


# What a field means to a hop. 0: nothing, pass it on.
_LENGTH, _CODING, _CONNECTION, _HOP, _UPGRADE, _TYPE = range(1, 7)

_MEANING = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"keep-alive": _HOP,
    b"proxy-connection": _HOP,
    b"te": _HOP,
    b"upgrade": _UPGRADE,
    b"content-type": _TYPE,
    b"date": 0,
    b"server": 0,
    b"etag": 0,
    b"vary": 0,
    b"cache-control": 0,
    b"last-modified": 0,
    b"accept-ranges": 0,
    b"set-cookie": 0,
    b"content-encoding": 0,
    b"x-request-id": 0,
    b"location": 0,
}


def _spellings(meaning: dict[bytes, int]) -> dict[bytes, int]:
    """Add the two usual spellings, so that most names need no ``lower()``."""
    return meaning | {name.title(): code for name, code in meaning.items()}


_FIELDS = _spellings(_MEANING)
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
        Of a counted body.
    is_reusable : bool
        Whether the upstream keeps the connection open after this response.
    is_event_stream : bool
    upgrade : bytes
        Value of ``Upgrade``; empty if there is none.
    """

    __slots__ = (
        "_connection",
        "_drop",
        "_has_coding",
        "_idx",
        "_names",
        "body",
        "is_event_stream",
        "is_reusable",
        "length_bytes",
        "minor",
        "status",
        "upgrade",
    )

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self.status = 0
        self.minor = 1
        self.clear()

    def clear(self) -> None:
        """Forget the head read before."""
        self._idx = 0
        self._drop: list[int] = []
        self._connection: list[bytes] = []
        self._has_coding = 0
        self.length_bytes = -1
        self.is_event_stream = False
        self.upgrade = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field (called by the parser, in order)."""
        self._idx += 1
        code = _FIELDS.get(name)
        if code is None:
            code = _MEANING.get(name.lower(), 0)
        if code:
            self._take(code, value)

    def _take(self, code: int, value: bytes) -> None:
        if code == _LENGTH:
            self.length_bytes = int(value)
        elif code == _TYPE:
            self.is_event_stream = value[:17].lower() == b"text/event-stream"
        elif code == _CODING:
            if value.strip(b" \t").lower() != b"chunked" or self._has_coding:
                raise UpstreamError("a transfer coding other than chunked", reason="bad_response")
            self._has_coding = self._idx
        else:
            self._drop.append(self._idx)
            if code == _CONNECTION:
                self._connection += [x.strip(b" \t").lower() for x in value.split(b",")]
            elif code == _UPGRADE:
                self.upgrade = value

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
        self.status, self.minor = read if read is not None else read_status_line(line)
        if self._idx > MAX_HEADERS:
            raise UpstreamError("more header fields than can be passed on", reason="bad_response")
        status = self.status
        tokens = self._connection
        if self.minor:
            self.is_reusable = b"close" not in tokens if tokens else True
        else:
            self.is_reusable = b"keep-alive" in tokens
            if self._has_coding:
                raise UpstreamError("a transfer coding from HTTP/1.0", reason="bad_response")
        if is_bodiless or status == 204 or status == 304 or status < 200:
            self.body = Body.NONE
            if self._has_coding:
                self._drop.append(self._has_coding)
        elif self._has_coding:
            self.body = Body.CHUNKED
        elif self.length_bytes >= 0:
            self.body = Body.COUNTED
        else:
            self.body = Body.UNTIL_CLOSE
            self.is_reusable = False

    def encode(self, head: bytes, caller_minor: int, extra: bytes = b"") -> bytes:
        """Return the head for the caller.

        Parameters
        ----------
        head : bytes
        caller_minor : int
            0 for an HTTP/1.0 caller: it gets no coding.
        extra : bytes
            Field lines to add, each with its line end.
        """
        if caller_minor and self.minor and not self._drop and not extra:
            if self.body is not Body.UNTIL_CLOSE:
                return head
        lines = head[:-4].split(b"\r\n")
        if not self.minor:
            lines[0] = b"HTTP/1.1" + lines[0][8:]
        drop = set(self._drop)
        if self._connection:
            drop |= self._named(lines)
        if self.status == 204 and self.length_bytes >= 0:
            drop |= {idx for idx, line in enumerate(lines) if _name(line) == b"content-length"}
        if self.body is Body.CHUNKED and not caller_minor:
            drop.add(self._has_coding)
        kept = [line for idx, line in enumerate(lines) if idx not in drop]
        if self.body is Body.UNTIL_CLOSE and caller_minor:
            kept.append(b"Transfer-Encoding: chunked")
        return b"\r\n".join(kept) + b"\r\n" + extra + b"\r\n"

    def _named(self, lines: list[bytes]) -> set[int]:
        """Indices of the fields that ``Connection`` names, never those that frame the message."""
        named = set(self._connection) - {b"close", b"keep-alive", b"upgrade", b""}
        named -= {b"content-length", b"transfer-encoding"}
        if not named:
            return set()
        return {idx for idx, line in enumerate(lines) if idx and _name(line) in named}


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()
