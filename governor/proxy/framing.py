"""Where a message's body ends: counted, chunked, or at close.

*Rule of this file*: bytes in, bytes out; no connection, no parser object.

llhttp reads the heads on both sides; bodies are framed here, for three
reasons: httptools cannot stop a parser at the end of a message, so a pipelined
head behind a chunked body would pass unseen by our own checks; it cannot be
told that the answer to a HEAD has no body; and a counted body needs no parser
at all, the received buffer goes out as it came.

*Source*: RFC 9112 sections 6 and 7. Stricter than it where known attacks live:
no white space around a chunk size, no bare LF, no bare CR in an extension.
"""

from __future__ import annotations

import re

CRLF = b"\r\n"
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

MAX_CHUNK_LINE_BYTES = 4_096
"""A chunk size with its extension. Node's bound on extensions is 16 KiB for a whole message."""

MAX_TRAILER_BYTES = 16_384
"""All trailer fields of one message together: a quarter of a head."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*\r\n")

FORBIDDEN_TRAILERS = frozenset(
    (
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Fields that frame, route or authenticate a message; they are dropped from
trailers (RFC 9110 section 6.5.1)."""


class FramingError(Exception):
    """A body that is not framed as its head promised."""


# What the reader expects next.
_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedReader:
    """Takes chunked coding off a byte stream, however it is cut.

    Examples
    --------
    >>> reader = ChunkedReader()
    >>> reader.feed(b"3\\r\\nab")
    ([b'ab'], 5)
    >>> reader.feed(b"c\\r\\n0\\r\\nX: 1\\r\\n\\r\\nGET /")
    ([b'c'], 14)
    >>> reader.is_done, reader.trailers
    (True, [b'X: 1\\r\\n'])
    """

    __slots__ = ("_expect", "_left_bytes", "_line", "_trailer_bytes", "is_done", "trailers")

    def __init__(self) -> None:
        self._expect = _SIZE
        self._left_bytes = 0
        self._line = b""
        self._trailer_bytes = 0
        self.is_done = False
        self.trailers: list[bytes] = []

    def feed(self, data: bytes, start: int = 0) -> tuple[list[bytes], int]:
        """Return the body bytes found, and the index in ``data`` after the last byte used.

        Raises
        ------
        FramingError
            The stream is not chunked coding, or a line is longer than its bound.
        """
        pieces: list[bytes] = []
        pos = start
        end = len(data)
        while pos < end and not self.is_done:
            if self._expect == _DATA:
                stop = pos + self._left_bytes
                if stop > end:
                    pieces.append(data[pos:])
                    self._left_bytes = stop - end
                    return pieces, end
                pieces.append(data[pos:stop])
                pos = stop
                self._expect = _DATA_END
                continue
            feed = data.find(b"\n", pos)
            if feed < 0:
                self._keep_line(data[pos:])
                return pieces, end
            line = data[pos : feed + 1]
            if self._line:
                line = self._line + line
                self._line = b""
            pos = feed + 1
            self._take_line(line)
        return pieces, pos

    def _keep_line(self, part: bytes) -> None:
        """Keep the beginning of a line whose end has not come, unless it cannot become one."""
        line = self._line + part
        cr = line.find(b"\r")
        if 0 <= cr < len(line) - 1:
            raise FramingError("a bare CR in chunked coding")
        if self._expect == _DATA_END and line != b"\r":
            raise FramingError("a chunk longer than its size")
        if self._expect == _SIZE and not _could_be_size(line):
            raise FramingError("a chunk size that is no hexadecimal number")
        if len(line) > MAX_CHUNK_LINE_BYTES:
            raise FramingError("a line of chunked coding longer than its bound")
        self._line = line

    def _take_line(self, line: bytes) -> None:
        expect = self._expect
        if expect == _DATA_END:
            if line != CRLF:
                raise FramingError("a chunk longer than its size")
            self._expect = _SIZE
        elif expect == _SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None or len(line) > MAX_CHUNK_LINE_BYTES:
                raise FramingError("a chunk size that is no hexadecimal number")
            self._left_bytes = int(match[1], 16)
            self._expect = _DATA if self._left_bytes else _TRAILERS
        elif line == CRLF:
            self._expect = _DONE
            self.is_done = True
        else:
            self._take_trailer(line)

    def _take_trailer(self, line: bytes) -> None:
        match = _TRAILER_LINE.fullmatch(line)
        self._trailer_bytes += len(line)
        if match is None:
            raise FramingError("a trailer that is no field line")
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            raise FramingError("trailers longer than their bound")
        if match[1].lower() not in FORBIDDEN_TRAILERS:
            self.trailers.append(line)

    def encode_end(self) -> bytes:
        """Return the last chunk with the trailers that may be passed on."""
        if not self.trailers:
            return LAST_CHUNK
        return b"0\r\n" + b"".join(self.trailers) + CRLF


class CountedBody:
    """A request's body of known length, passed on as it comes.

    Examples
    --------
    >>> body = CountedBody(3)
    >>> body.take(b"ab"), body.is_done, body.take(b"cGET"), body.is_done
    ((b'ab', b''), False, (b'c', b'GET'), True)
    """

    __slots__ = ("_left_bytes", "is_done")

    def __init__(self, length_bytes: int) -> None:
        self._left_bytes = length_bytes
        self.is_done = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what to pass on, and what lies beyond the body."""
        left = self._left_bytes - len(data)
        if left > 0:
            self._left_bytes = left
            return data, b""
        self.is_done = True
        if left == 0:
            return data, b""
        return data[:left], data[left:]


class ChunkedBody:
    """A request's chunked body, checked and chunked anew: one chunk for what comes at once."""

    __slots__ = ("_reader", "is_done")

    def __init__(self) -> None:
        self._reader = ChunkedReader()
        self.is_done = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what to pass on, and what lies beyond the body.

        Raises
        ------
        FramingError
        """
        reader = self._reader
        pieces, used = reader.feed(data)
        out = encode_chunk(pieces)
        if reader.is_done:
            self.is_done = True
            out += reader.encode_end()
        return out, data[used:]


def _could_be_size(line: bytes) -> bool:
    size = line.rstrip(b"\r").partition(b";")[0]
    return len(size) <= 15 and not size.strip(b"0123456789abcdefABCDEF")


def encode_chunk(pieces: list[bytes]) -> bytes:
    """Return one chunk that holds all pieces; nothing for no bytes (an empty chunk ends a body).

    Examples
    --------
    >>> encode_chunk([b"ab", b"c"]), encode_chunk([])
    (b'3\\r\\nabc\\r\\n', b'')
    """
    if len(pieces) == 1:
        data = pieces[0]
        return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    data = b"".join(pieces)
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
