r"""The head of one request: collected, checked, and cut for the upstream.

*Rule of this file*: bytes and integers only; no connection, no clock, no gate.
A head is refused here or forwarded whole: whatever two readers could
understand differently is refused (RFC 9112 section 11.2), everything else goes
on byte for byte in name, value, order and multiplicity, save the hop-by-hop
fields and ``X-Forwarded-For``. What Governor itself says to the upstream is
:mod:`governor.proxy.onward`'s.

*Theory*: one loop over the fields with one dictionary look-up each
(:mod:`governor.proxy.header_names`); a bit set of the codes met says whether
anything rare is there at all. The block of lines for the upstream is cut from
the received head where at most the ``Connection`` line must go (most callers),
and joined from ``(name, value)`` pairs where more must.

What llhttp refuses is not checked again: control characters in values, white
space before a colon, obs-fold, bare CR and LF; ``tests/proxy/test_head_refusals.py``
holds llhttp to it. Found by test to pass it, and refused here: repeated Host,
any host that is none, transfer codings other than ``chunked``, other
versions, fragments, CONNECT.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from governor.errors import DownstreamError
from governor.proxy.blocks import cut_block, cut_block_at, join_fields, replace_line
from governor.proxy.connection_options import NO_OPTIONS, ConnectionOptions, read_connection
from governor.proxy.header_names import (
    CONNECTION,
    CONTENT_LENGTH,
    DROPPED,
    EXPECT,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    X_FORWARDED_FOR,
    X_REQUEST_ID,
    code_of,
    known_names,
    learn_name,
)
from governor.proxy.targets import read_authority, split_absolute

if TYPE_CHECKING:
    from governor.proxy.alike import Kin

MAX_LENGTH_DIGITS = 18
"""Content-Length stays below 2**63 for every reader behind us."""

MAX_REQUEST_ID_BYTES = 128
"""Of a caller's request id, what Governor repeats in answers and logs."""

_RARE = (
    TRANSFER_ENCODING
    | CONNECTION
    | UPGRADE
    | TE
    | EXPECT
    | X_FORWARDED_FOR
    | X_REQUEST_ID
    | DROPPED
)
_UNREPEATABLE = {
    HOST: ("repeated_host", "Host"),
    CONTENT_LENGTH: ("repeated_content_length", "Content-Length"),
    TRANSFER_ENCODING: ("bad_transfer_encoding", "Transfer-Encoding"),
}
_TE_TRAILERS = re.compile(rb"(?:^|,)[ \t]*trailers[ \t]*(?:,|$)", re.IGNORECASE)


class RequestHead:
    """One request's head: ``add`` each field, then ``finish``, then read.

    Attributes
    ----------
    method, target, path : bytes
        As sent; an absolute target is in origin form after ``finish``. ``path``
        is the target without its query.
    version : str
        ``"1.1"`` or ``"1.0"``.
    headers : list of (name, value)
        As received, all of them.
    values : dict
        Code (see :mod:`governor.proxy.header_names`) -> first value of that name.
    authority, host : bytes
        The caller's Host as sent; the same in lower case and without its port, for
        routes. Empty for HTTP/1.0 without one.
    content_length : int or None
    is_chunked, keep_alive, expect_continue : bool
    upgrade : bytes
        What the caller wants to switch to; empty for nothing. llhttp may say
        "upgrade" where this does not (``h2c``, or with a body): then the
        request goes on as an ordinary one.
    request_id : bytes
        The caller's own, shortened; empty if it sent none.
    block : bytes
        The lines that go on to the upstream, without the last line's end.
    is_plain : bool
        Nothing in it is rare: what frames it is at most its length, no field that is read
        comes twice, and at most the Connection line is for this hop.
    kin : Kin or None
        What it shares with others of its connection (:mod:`governor.proxy.alike`).
    """

    __slots__ = (
        "authority",
        "block",
        "content_length",
        "expect_continue",
        "forwarded_for",
        "headers",
        "host",
        "is_chunked",
        "is_plain",
        "keep_alive",
        "kin",
        "method",
        "path",
        "request_id",
        "seen",
        "target",
        "upgrade",
        "values",
        "version",
    )

    authority: bytes
    block: bytes
    host: bytes
    method: bytes
    path: bytes
    target: bytes
    version: str

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.values: dict[int, bytes] = {}
        self.seen = 0
        self.content_length: int | None = None
        self.is_chunked = False
        self.keep_alive = True
        self.expect_continue = False
        self.upgrade = b""
        self.request_id = b""
        self.forwarded_for = b""
        self.is_plain = False
        self.kin: Kin | None = None

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field (httptools ``on_header``)."""
        self.headers.append((name, value))

    def finish(
        self, method: bytes, target: bytes, version: str = "1.1", received: bytes = b""
    ) -> None:
        """Check the whole head and settle its framing, its hop and its host.

        Parameters
        ----------
        method, target : bytes
        version : str
            As httptools gives it.
        received : bytes
            The head as it came, request line to empty line, if it lies in one
            piece: saves joining the fields again.

        Raises
        ------
        DownstreamError
            With a stable ``reason`` and the status to answer; the connection must
            then be closed, for what follows cannot be trusted to be a request.
        """
        self.method = method
        self.target = target
        self.version = version
        values = self.values
        names = known_names
        seen = 0
        again: list[tuple[int, bytes]] = []
        for field in self.headers:
            try:
                code = names[field[0]]
            except KeyError:
                code = learn_name(field[0])
            if code:
                if code in values:
                    again.append((code, field[1]))
                else:
                    values[code] = field[1]
                seen |= code
        self.seen = seen
        is_old = version != "1.1"
        if is_old and version != "1.0":
            raise DownstreamError(
                "HTTP/1.1 and HTTP/1.0 are spoken here.",
                reason="unsupported_version",
                status_hint=505,
            )
        if seen & CONTENT_LENGTH:
            digits = values[CONTENT_LENGTH].rstrip(b" \t")
            if not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
                raise DownstreamError(
                    "Content-Length must be one plain decimal number.", reason="bad_content_length"
                )
            self.content_length = int(digits)
        if not (seen & _RARE or again or is_old):
            self.is_plain = True
            self.block = self._cut(received)
        elif (
            seen & _RARE == CONNECTION
            and not (again or is_old)
            and (options := read_connection(values[CONNECTION])).is_plain
        ):
            self.is_plain = True
            self.keep_alive = not options.has_close
            self.block = self._cut_connection(received)
        else:
            self._finish_rare(again, is_old)
        self._finish_target(is_old)

    # -- the parts of finish ------------------------------------------------

    def _cut(self, received: bytes) -> bytes:
        if received[:1] <= b"\r":  # nothing given, or empty lines in front
            return join_fields(self.headers)
        return cut_block(received)

    def _cut_connection(self, received: bytes) -> bytes:
        """Leave out the only Connection line."""
        if received[:1] <= b"\r":
            return join_fields([x for x in self.headers if code_of(x[0]) != CONNECTION])
        begin = received.find(b"\r\nConnection:")
        if begin < 0:
            begin = received.index(b"\r\n%b:" % self._spelling(CONNECTION))
        return cut_block_at(received, begin)

    def _spelling(self, code: int) -> bytes:
        for name, _ in self.headers:
            if code_of(name) == code:
                return name
        return b""

    def _finish_target(self, is_old: bool) -> None:
        target = self.target
        if self.seen & HOST:
            authority = self.authority = self.values[HOST]
            self.host = read_authority(authority)
        elif is_old:
            self.authority = self.host = b""
        else:
            raise DownstreamError("HTTP/1.1 requires a Host header.", reason="missing_host")
        if self.method == b"CONNECT":
            raise DownstreamError(
                "CONNECT is for forward proxies; this is a reverse proxy.",
                reason="method_not_supported",
                status_hint=501,
            )
        if b"#" in target or not target.startswith(b"/"):
            self._finish_absolute(target)
        elif b"?" in target:
            self.path = target[: target.index(b"?")]
        else:
            self.path = target

    def _finish_absolute(self, target: bytes) -> None:
        """Turn an absolute target into origin form: its authority wins (RFC 9112 3.2.2)."""
        self.is_plain = False
        if target == b"*" and self.method == b"OPTIONS":
            self.path = target
            return
        authority, self.target = split_absolute(target, self.method)
        self.path = self.target.partition(b"?")[0]
        self.authority = authority
        self.host = read_authority(authority)
        self.block = self.block_for(authority)

    def _finish_rare(self, again: list[tuple[int, bytes]], is_old: bool) -> None:
        seen = self.seen
        for code, _ in again:
            if code in _UNREPEATABLE:
                reason, name = _UNREPEATABLE[code]
                raise DownstreamError(f"{name} may be sent once only.", reason=reason)
        if seen & TRANSFER_ENCODING:
            self._read_coding(is_old)
        options = NO_OPTIONS
        if seen & CONNECTION:
            options = read_connection(self._all(CONNECTION, again))
        self.keep_alive = not options.has_close and (options.has_keep_alive or not is_old)
        has_body = self.is_chunked or bool(self.content_length)
        if seen & UPGRADE and options.has_upgrade and not is_old and not has_body:
            wanted = self._all(UPGRADE, again)
            if b"h2c" not in wanted.lower():  # would tunnel past routes and gate
                self.upgrade = wanted
        if seen & EXPECT and has_body and not is_old:
            self.expect_continue = self.values[EXPECT].strip(b" \t").lower() == b"100-continue"
        if seen & X_FORWARDED_FOR:
            self.forwarded_for = self._all(X_FORWARDED_FOR, again)
        if seen & X_REQUEST_ID:
            self.request_id = self.values[X_REQUEST_ID][:MAX_REQUEST_ID_BYTES].strip(b" \t")
        has_trailers = bool(seen & TE and _TE_TRAILERS.search(self._all(TE, again)))
        self.block = join_fields(self._keep(options, has_trailers, is_old))

    def _read_coding(self, is_old: bool) -> None:
        if self.seen & CONTENT_LENGTH:
            raise DownstreamError(
                "Content-Length and Transfer-Encoding exclude each other.",
                reason="length_and_transfer_encoding",
            )
        if is_old or self.values[TRANSFER_ENCODING].strip(b" \t").lower() != b"chunked":
            raise DownstreamError(
                "The only Transfer-Encoding taken is chunked, in HTTP/1.1.",
                reason="bad_transfer_encoding",
            )
        self.is_chunked = True

    def _keep(
        self, options: ConnectionOptions, has_trailers: bool, is_old: bool
    ) -> list[tuple[bytes, bytes]]:
        """Return the fields that go on; what is said anew on the next hop is rewritten in place."""
        anew: dict[int, bytes] = {TRANSFER_ENCODING: b"chunked"}
        if has_trailers:
            anew[TE] = b"trailers"
        ours = [b"Upgrade"] * bool(self.upgrade) + [b"TE"] * has_trailers
        if ours:
            anew[CONNECTION] = b", ".join(ours)
        gone = DROPPED | X_FORWARDED_FOR | CONNECTION | TE | (EXPECT if is_old else 0)
        gone |= (0 if self.upgrade else UPGRADE) | (0 if self.request_id else X_REQUEST_ID)
        named = options.named
        kept: list[tuple[bytes, bytes]] = []
        for field in self.headers:
            code = code_of(field[0])
            if code in anew:
                kept.append((field[0], anew.pop(code)))
            elif not (code & gone or (named and field[0].lower() in named)):
                kept.append(field)
        if CONNECTION in anew:
            kept.append((b"Connection", anew[CONNECTION]))
        return kept

    def _all(self, code: int, again: list[tuple[int, bytes]]) -> bytes:
        """Return all values of one name as one list."""
        return b", ".join((self.values[code], *(value for c, value in again if c == code)))

    # -- for routes and upstreams ---------------------------------------------------------

    def block_for(self, host: bytes) -> bytes:
        """Return the block with ``host`` as its Host, in the place where Host stood."""
        name = self._spelling(HOST) if self.seen & HOST else b"Host"
        return replace_line(self.block, name, host)

    def get(self, lower_name: bytes) -> bytes | None:
        """Return the first value of a header, or None. Not for the hot path."""
        for name, value in self.headers:
            if len(name) == len(lower_name) and name.lower() == lower_name:
                return value
        return None
