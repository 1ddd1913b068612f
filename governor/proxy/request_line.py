"""The first line of a request, read before llhttp reads it again.

*Rule of this file*: bytes in, three parts or a refusal out. Found by test to
pass llhttp (9.3, strict) and refused here: several spaces in the request line,
HTTP/0.9, HTTP/2.0, RTSP and ICE, bare LF or several empty lines before it.

*Source*: RFC 9112 sections 2.2 and 3.
"""

from __future__ import annotations

import re

from governor.errors import DownstreamError

_CONTROL = re.compile(rb"[\x00-\x20\x7f]")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_LINE_ENDS = {b" HTTP/1.1": "1.1", b" HTTP/1.0": "1.0"}


def read_request_line(head: bytes) -> tuple[bytes, bytes, str]:
    """Return method, target and version of a whole head.

    Raises
    ------
    DownstreamError
        The line is not METHOD SP TARGET SP HTTP/1.0 or 1.1, with one space each.

    Examples
    --------
    >>> read_request_line(b"GET /a HTTP/1.1" + bytes((13, 10)))
    (b'GET', b'/a', '1.1')
    """
    end = head.index(b"\r\n")
    version = _LINE_ENDS.get(head[end - 9 : end])
    if version is None:
        raise _refused_line(head[:end])
    method, _, target = head[: end - 9].partition(b" ")
    if b" " in target or not target:
        raise _refused_line(head[:end])
    return method, target, version


def skip_empty_line(data: bytes) -> bytes:
    """Drop one empty line before a request line (RFC 9112 section 2.2); refuse all else there."""
    if data[:2] == b"\r\n":
        return data[2:]
    raise DownstreamError("A request begins with its method.", reason="bad_request")


def is_unescaped(target: bytes) -> bool:
    """Return whether llhttp refuses a target for nothing but bytes above 0x7f.

    curl and browsers' older kin send a typed "ü" as it is; nginx and Apache pass it on, and so do
    we: it frames nothing, and a request that worked must go on working.
    """
    return not target.isascii() and not _CONTROL.search(target)


def _refused_line(line: bytes) -> DownstreamError:
    """Say what is wrong with a request line that is not METHOD SP TARGET SP HTTP/1.x."""
    version = line.rpartition(b" ")[2]
    if _VERSION.fullmatch(version) and version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return DownstreamError(
            "HTTP/1.1 and HTTP/1.0 are spoken here.",
            reason="unsupported_version",
            status_hint=505,
        )
    return DownstreamError(
        "The request line must be METHOD SP TARGET SP HTTP/1.1.", reason="bad_request_line"
    )


def refused_method(method: bytes) -> DownstreamError:
    """Return what to answer for a method that llhttp does not know."""
    if method.isalpha() and method.isupper():
        return DownstreamError(
            "This method is not known here.", reason="method_not_supported", status_hint=501
        )
    return DownstreamError("The method is not a plain token.", reason="bad_request_line")


def too_large(what: str) -> DownstreamError:
    """Return what to answer for a head above a bound."""
    return DownstreamError(f"The request has {what}.", reason="head_too_large", status_hint=431)
