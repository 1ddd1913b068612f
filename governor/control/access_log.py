"""One JSON line per request, without ever waiting for a disk on a request's path.

*Rule of this file*: what may be logged, and when it is written. Never a body,
a query string, a header value or a credential: a line holds the shape and the
fate of a request.

Keys are stable: ``time`` (UTC, RFC 3339), ``request_id``, ``method``, ``path``
(no query), ``status`` (499: the caller left), ``decision``, ``reason``,
``outcome``, ``upstream``, ``route``, ``duration_ms``, ``wait_ms``,
``first_byte_ms``, ``bytes_in``, ``bytes_out``. Keys whose value is empty are
left out, but for ``status`` and ``duration_ms``.

*Theory*: lines gather in memory and are written by a thread of the loop's
executor at most every ``FLUSH_S``; the loop never touches the file. When the
disk is slower than the traffic, the buffer fills to its bound and further
lines are dropped and counted: the log suffers, requests do not.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO

import orjson

from governor.config.model import AccessLogMode
from governor.proxy.stats import RequestRecord

FLUSH_S = 0.25
"""A line is on its way to the file within a quarter of a second."""

BUFFER_BYTES = 4 << 20
"""About 15,000 lines; at 5,000 requests/s three seconds of a stuck disk."""

PIECE_BYTES = 4_096
"""What a pipe takes without mixing it with what others write (PIPE_BUF on Linux)."""

PATH_CHARS = 512
"""A longer path is cut: the log is no place for a caller's megabyte."""


class AccessLogWriter:
    """Buffered JSON lines.

    Parameters
    ----------
    mode : "off", "touched" or "all"
        ``touched``: delayed, answered by Governor, or failed.
    path : str
        File to append to; ``-`` is standard error.
    buffer_bytes : int
        Bound on lines not yet written.
    is_shared : bool
        Other processes append to the same file: lines must not mix.

    Attributes
    ----------
    n_written, n_dropped, n_faults : int
        Lines handed to the file, lines lost to a full buffer, failed writes.
    """

    def __init__(
        self,
        mode: AccessLogMode,
        path: str = "-",
        buffer_bytes: int = BUFFER_BYTES,
        is_shared: bool = False,
    ) -> None:
        self.mode = mode
        self.path = path
        self.n_written = 0
        self.n_dropped = 0
        self.n_faults = 0
        self.is_shared = is_shared
        self._buffer_bytes = buffer_bytes
        self._lines: list[bytes] = []
        self._n_bytes = 0
        self._file: IO[bytes] | None = None
        self._flush: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = mode == "off"

    def open(self) -> None:
        """Open the file now, so that a wrong path is an error at the start.

        Raises
        ------
        OSError
            If the file cannot be appended to.
        """
        if self.mode == "off" or self._file is not None:
            return
        if self.path == "-":
            self._file = os.fdopen(os.dup(sys.stderr.fileno()), "ab", buffering=0)
        else:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115

    def observe(self, record: RequestRecord) -> None:
        """Take note of one finished request: a hook of the data plane."""
        if self._is_closed or (self.mode == "touched" and not record.is_touched):
            return
        line = encode_line(record, time.time_ns())
        if self._n_bytes + len(line) > self._buffer_bytes:
            self.n_dropped += 1
            return
        self._lines.append(line)
        self._n_bytes += len(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._start_flush)

    async def close(self) -> None:
        """Write what is left and close the file; idempotent."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flush is not None:
            await asyncio.wait([self._flush])
        if self._lines:
            self._start_flush()
            if self._flush is not None:
                await asyncio.wait([self._flush])
        if self._file is not None:
            self._file.close()
            self._file = None

    def _start_flush(self) -> None:
        self._timer = None
        if self._flush is not None:
            return  # the disk is slow: what gathers meanwhile goes next
        lines, self._lines = self._lines, []
        loop = asyncio.get_running_loop()
        self._flush = loop.run_in_executor(None, self._write, lines)
        self._flush.add_done_callback(self._end_flush)

    def _end_flush(self, flush: asyncio.Future[None]) -> None:
        self._flush = None
        if not flush.cancelled() and flush.exception() is not None:
            self.n_faults += 1
        self._n_bytes = sum(map(len, self._lines))
        if self._lines and not self._is_closed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._start_flush)

    def _write(self, lines: list[bytes]) -> None:
        """Runs in a thread of the executor."""
        self.open()
        assert self._file is not None
        for piece in cut_pieces(lines) if self.is_shared else (b"".join(lines),):
            data = memoryview(piece)
            while data:
                data = data[self._file.write(data) or 0 :]
        self.n_written += len(lines)


def cut_pieces(lines: list[bytes], most_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield lines in pieces that a pipe takes whole; a longer line is a piece of its own.

    Examples
    --------
    >>> list(cut_pieces([b"a\\n", b"bb\\n", b"ccccccc\\n", b"d\\n"], 6))
    [b'a\\nbb\\n', b'ccccccc\\n', b'd\\n']
    """
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > most_bytes:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece


@lru_cache(maxsize=2)
def format_second(unix_s: int) -> str:
    """Return a Unix second as RFC 3339 without fraction and zone; thousands of lines share it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def cut_path(target: bytes) -> bytes:
    """Return a request target's path: no query, and no authority, which may hold a password.

    Examples
    --------
    >>> cut_path(b"/v1/x?key=secret"), cut_path(b"http://u:p@host/y?z"), cut_path(b"*")
    (b'/v1/x', b'/y', b'*')
    """
    path = target.partition(b"?")[0]
    if b"://" in path and not path.startswith(b"/"):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path[:PATH_CHARS]


def encode_line(record: RequestRecord, now_ns: int) -> bytes:
    """Return the JSON line of one finished request; ``now_ns`` is Unix time."""
    path = cut_path(record.target).decode("ascii", "backslashreplace")
    unix_s, rest_ns = divmod(now_ns, 1_000_000_000)
    fields: dict[str, str | int | float] = {
        "time": f"{format_second(unix_s)}.{rest_ns // 1_000_000:03d}Z",
        "request_id": record.request_id.decode("ascii", "backslashreplace"),
        "method": record.method.decode("ascii", "backslashreplace"),
        "path": path,
        "decision": record.decision,
        "reason": record.reason,
        "outcome": record.outcome,
        "upstream": record.upstream,
        "route": record.route,
        "wait_ms": record.waited_ns // 10_000 / 100,
        "first_byte_ms": record.first_byte_ns // 10_000 / 100,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
    }
    kept = {name: value for name, value in fields.items() if value}
    kept["status"] = record.status
    kept["duration_ms"] = record.duration_ns // 10_000 / 100
    return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)
