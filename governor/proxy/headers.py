r"""The head of one request: collected, checked, and written for the upstream.

*Rule of this file*: bytes and integers only; no connection, no clock, no gate.
A head is refused here or forwarded whole: whatever two readers could
understand differently is refused (RFC 9112 section 11.2), everything else goes
on byte for byte in name, value, order and multiplicity, save the hop-by-hop
fields and ``X-Forwarded-For``.

*Theory*: one loop over the fields with one dictionary look-up each
(:mod:`governor.proxy.header_names`); a bit set of the codes met says whether
anything rare is there at all. Fields are ``(name, value)`` pairs, so that the
block for the upstream is ``b"\r\n".join(map(b": ".join, fields))``, no
bytecode per field. llhttp has refused control characters, white space before
the colon and obs-fold already; CR, LF and NUL are counted once more over the
finished block, for they are what would make a second request of one.

*Considered and rejected*: forwarding the received bytes and cutting out what
must go (cheaper for long heads; but then the upstream parses bytes that we
parsed in another way).
"""

from __future__ import annotations

import re
from itertools import count
from secrets import token_hex

from governor.errors import DownstreamError
from governor.proxy.connection_options import NO_OPTIONS, ConnectionOptions, read_connection
from governor.proxy.header_names import (
    CONNECTION,
    CONTENT_LENGTH,
    DROPPED,
    EXPECT,
    HOST,
    REQUEST_NAMES,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    X_REQUEST_ID,
)
from governor.proxy.peer import Peer
from governor.proxy.targets import read_authority, split_absolute

Field = tuple[bytes, bytes]

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
_names = REQUEST_NAMES


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
    fields : list of (name, value)
        What goes on to the upstream.
    found : dict
        Code -> index in ``headers`` of the first field of that name.
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
    """

    __slots__ = (
        "authority",
        "block",
        "content_length",
        "expect_continue",
        "fields",
        "forwarded_for",
        "found",
        "headers",
        "host",
        "is_chunked",
        "keep_alive",
        "method",
        "path",
        "request_id",
        "seen",
        "target",
        "upgrade",
        "version",
    )

    authority: bytes
    block: bytes
    fields: list[Field]
    host: bytes
    method: bytes
    path: bytes
    target: bytes
    version: str

    def __init__(self) -> None:
        self.headers: list[Field] = []
        self.found: dict[int, int] = {}
        self.seen = 0
        self.content_length: int | None = None
        self.is_chunked = False
        self.keep_alive = True
        self.expect_continue = False
        self.upgrade = b""
        self.request_id = b""
        self.forwarded_for = b""

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field (httptools ``on_header``)."""
        self.headers.append((name, value))

    def finish(self, method: bytes, target: bytes, version: str = "1.1") -> None:
        """Check the whole head and settle its framing, hop and host.

        Raises
        ------
        DownstreamError
            With a stable ``reason`` and the status to answer; the connection must
            then be closed, for what follows cannot be trusted to be a request.
        """
        self.method = method
        self.target = target
        headers = self.headers
        found = self.found
        names = _names
        seen = idx = 0
        again: list[tuple[int, int]] | None = None
        for name, _ in headers:
            code = names[name]
            if code:
                if code in found:
                    again = again or []
                    again.append((code, idx))
                else:
                    found[code] = idx
                seen |= code
            idx += 1  # noqa: SIM113 - enumerate() costs a tuple per field
        self.seen = seen
        is_old = version == "1.0"
        if version != "1.1" and not is_old:
            raise DownstreamError(
                "HTTP/1.1 and HTTP/1.0 are spoken here.",
                reason="unsupported_version",
                status_hint=505,
            )
        self.version = version
        self.fields = headers
        if seen & CONTENT_LENGTH:
            self._read_length(headers[found[CONTENT_LENGTH]][1])
        if seen & _RARE or again or is_old:
            self._finish_rare(again or [], is_old)
        self._finish_target(is_old)
        self._join()

    # -- the parts of finish ------------------------------------------------

    def _read_length(self, value: bytes) -> None:
        digits = value.strip(b" \t")
        if not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
            raise DownstreamError(
                "Content-Length must be one plain decimal number.", reason="bad_content_length"
            )
        self.content_length = int(digits)

    def _finish_target(self, is_old: bool) -> None:
        target = self.target
        first = target[:1]
        if self.method == b"CONNECT":
            raise DownstreamError(
                "CONNECT is for forward proxies; this is a reverse proxy.",
                reason="method_not_supported",
                status_hint=501,
            )
        if self.seen & HOST:
            self.authority = self.headers[self.found[HOST]][1]
            self.host = read_authority(self.authority)
        elif is_old:
            self.authority = self.host = b""
        else:
            raise DownstreamError("HTTP/1.1 requires a Host header.", reason="missing_host")
        if b"#" in target or not (first == b"/" or (target == b"*" and self.method == b"OPTIONS")):
            self._finish_absolute(target)
        elif b"?" in target:
            self.path = target[: target.index(b"?")]
        else:
            self.path = target

    def _finish_absolute(self, target: bytes) -> None:
        """Turn an absolute target into origin form: its authority wins (RFC 9112 3.2.2)."""
        authority, self.target = split_absolute(target, self.method)
        self.path = self.target.partition(b"?")[0]
        self.authority = authority
        self.host = read_authority(authority)
        if self.fields is self.headers:
            self.fields = self.headers.copy()
        for idx, (name, _) in enumerate(self.fields):
            if _names[name] == HOST:
                self.fields[idx] = (name, authority)
                return
        self.fields.insert(0, (b"Host", authority))

    def _finish_rare(self, again: list[tuple[int, int]], is_old: bool) -> None:
        headers = self.headers
        seen = self.seen
        for code, _ in again:
            if code in _UNREPEATABLE:
                reason, name = _UNREPEATABLE[code]
                raise DownstreamError(f"{name} may be sent once only.", reason=reason)
        if seen & TRANSFER_ENCODING:
            self._read_coding(is_old)
        options = NO_OPTIONS
        if seen & CONNECTION:
            options = read_connection(self._joined(CONNECTION, again))
        self.keep_alive = (
            options.has_keep_alive and not options.has_close if is_old else (not options.has_close)
        )
        if seen & UPGRADE and options.has_upgrade and not is_old and not self._has_body:
            wanted = self._joined(UPGRADE, again)
            if not _offers_h2c(wanted):
                self.upgrade = wanted
        if seen & EXPECT:
            value = headers[self.found[EXPECT]][1].strip(b" \t").lower()
            self.expect_continue = value == b"100-continue" and not is_old and self._has_body
        if seen & X_FORWARDED_FOR:
            self.forwarded_for = self._joined(X_FORWARDED_FOR, again)
        if seen & X_REQUEST_ID:
            self.request_id = headers[self.found[X_REQUEST_ID]][1][:MAX_REQUEST_ID_BYTES]
        self._drop(options, is_old)

    def _read_coding(self, is_old: bool) -> None:
        if self.seen & CONTENT_LENGTH:
            raise DownstreamError(
                "Content-Length and Transfer-Encoding exclude each other.",
                reason="length_and_transfer_encoding",
            )
        value = self.headers[self.found[TRANSFER_ENCODING]][1]
        if is_old or value.strip(b" \t").lower() != b"chunked":
            raise DownstreamError(
                "The only Transfer-Encoding taken is chunked, in HTTP/1.1.",
                reason="bad_transfer_encoding",
            )
        self.is_chunked = True

    def _drop(self, options: ConnectionOptions, is_old: bool) -> None:
        """Keep what goes on; rewrite in place what is said anew on the next connection."""
        has_trailers = bool(
            self.seen & TE
            and _TE_TRAILERS.search(b",".join(v for n, v in self.headers if _names[n] == TE))
        )
        ours = [b"Upgrade"] if self.upgrade else []
        if has_trailers:
            ours.append(b"TE")
        gone = DROPPED | X_FORWARDED_FOR | CONNECTION | TE | (EXPECT if is_old else 0)
        if not self.upgrade:
            gone |= UPGRADE
        if not self.request_id:
            gone |= X_REQUEST_ID
        named = options.named
        kept: list[Field] = []
        for field in self.headers:
            code = _names[field[0]]
            if code == CONNECTION and ours:
                kept.append((field[0], b", ".join(ours)))
                ours = []
            elif code == TE and has_trailers:
                kept.append((field[0], b"trailers"))
                has_trailers = False
            elif code == TRANSFER_ENCODING:
                kept.append((field[0], b"chunked"))
            elif not (code & gone or (named and field[0].lower() in named)):
                kept.append(field)
        if ours:
            kept.append((b"Connection", b", ".join(ours)))
        self.fields = kept

    def _join(self) -> None:
        fields = self.fields
        block = b"\r\n".join(map(b": ".join, fields))
        n_breaks = len(fields) - 1
        if fields and (
            block.count(b"\n") != n_breaks or block.count(b"\r") != n_breaks or b"\0" in block
        ):
            raise DownstreamError(
                "A header value holds a line break or NUL.", reason="bad_header_value"
            )
        self.block = block

    def _joined(self, code: int, again: list[tuple[int, int]]) -> bytes:
        """Return all values of one name as one list."""
        headers = self.headers
        value = headers[self.found[code]][1]
        for other, idx in again:
            if other == code:
                value += b", " + headers[idx][1]
        return value

    @property
    def _has_body(self) -> bool:
        return self.is_chunked or bool(self.content_length)

    # -- for routes ---------------------------------------------------------

    def get(self, lower_name: bytes) -> bytes | None:
        """Return the first value of a header, or None. Not for the hot path."""
        for name, value in self.headers:
            if len(name) == len(lower_name) and name.lower() == lower_name:
                return value
        return None


def _offers_h2c(value: bytes) -> bool:
    """HTTP/2 in clear text would tunnel requests past routes and gate: not offered."""
    return any(part.strip(b" \t").lower() == b"h2c" for part in value.split(b","))


def build_request_head(
    head: RequestHead, peer: Peer, request_id: bytes, upstream_host: bytes, keeps_host: bool = True
) -> bytes:
    """Return the head that goes to the upstream, up to and with the empty line.

    Parameters
    ----------
    head : RequestHead
        Finished.
    peer : Peer
        Who called; adds ``X-Forwarded-For``, ``-Proto`` and ``-Host``.
    request_id : bytes
        Sent as ``X-Request-Id`` unless the caller sent its own.
    upstream_host : bytes
        The endpoint's own authority: sent as Host where the route rewrites it, and
        for an HTTP/1.0 caller that sent none.
    keeps_host : bool
        Send the caller's own Host.
    """
    block = head.block
    if not (keeps_host and head.authority):
        block = _rewrite_host(head.fields, upstream_host)
    if head.seen & _FORWARDED:
        lines = _forward_beyond(head, peer)
    else:
        lines = peer.forwarded_lines(head.authority)
    if head.request_id:
        end = b"\r\n\r\n"
        return b"".join((head.method, b" ", head.target, _VERSION, block, lines, end))
    return b"".join(
        (head.method, b" ", head.target, _VERSION, block, lines, _REQUEST_ID, request_id, _END)
    )


_VERSION = b" HTTP/1.1\r\n"
_REQUEST_ID = b"\r\nX-Request-Id: "
_END = b"\r\n\r\n"
_FORWARDED = X_FORWARDED_FOR | X_FORWARDED_PROTO | X_FORWARDED_HOST


def _rewrite_host(fields: list[Field], host: bytes) -> bytes:
    fields = fields.copy()
    for idx, (name, _) in enumerate(fields):
        if _names[name] == HOST:
            fields[idx] = (name, host)
            break
    else:
        fields.insert(0, (b"Host", host))
    return b"\r\n".join(map(b": ".join, fields))


def _forward_beyond(head: RequestHead, peer: Peer) -> bytes:
    """Append to what a proxy in front of us has said already; its words on scheme and host stay."""
    chain = head.forwarded_for + b", " + peer.ip if head.forwarded_for else peer.ip
    lines = b"\r\nX-Forwarded-For: " + chain
    if not head.seen & X_FORWARDED_PROTO:
        lines += b"\r\nX-Forwarded-Proto: " + peer.scheme
    if not head.seen & X_FORWARDED_HOST and head.authority:
        lines += b"\r\nX-Forwarded-Host: " + head.authority
    return lines


_ID_PREFIX = token_hex(5).encode()
_next_id = count(1).__next__


def new_request_id() -> bytes:
    """Return an id that no other request of this process has, nor likely of another."""
    return b"%b%010x" % (_ID_PREFIX, _next_id())
