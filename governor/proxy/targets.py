"""Request targets and authorities: what the caller asks for, and of which host.

*Rule of this file*: pure readers; paths are never decoded, joined or tidied.

*Source*: RFC 9112 section 3.2, RFC 3986 section 3.2.2. Stricter than both: a
host is letters, digits, ``.``, ``-``, ``_``, ``~``, or an address in brackets; no user
information; no fragment.
"""

from __future__ import annotations

import re

from governor.errors import DownstreamError

_AUTHORITY = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)")

_MAX_KNOWN = 1_024
_MAX_KNOWN_BYTES = 128
_hosts: dict[bytes, bytes] = {}


def read_authority(authority: bytes) -> bytes:
    """Return the lower-case host of ``host[:port]``; known values cost one look-up.

    Raises
    ------
    DownstreamError
        With reason ``bad_host``.

    Examples
    --------
    >>> read_authority(b"API.example:8080"), read_authority(b"[::1]:80")
    (b'api.example', b'[::1]')
    """
    host = _hosts.get(authority)
    if host is not None:
        return host
    match = _AUTHORITY.fullmatch(authority.strip(b" \t"))
    if match is None:
        raise DownstreamError(
            "Host must be a host name or address with an optional port.", reason="bad_host"
        )
    host = match[1].lower()
    if len(_hosts) >= _MAX_KNOWN:
        _hosts.clear()
    if len(authority) <= _MAX_KNOWN_BYTES:
        _hosts[authority] = host
    return host


def split_absolute(target: bytes, method: bytes) -> tuple[bytes, bytes]:
    """Return authority and origin form of an absolute target.

    Raises
    ------
    DownstreamError
        With reason ``bad_target``: anything that is not a path or an http(s) URL
        without fragment.

    Examples
    --------
    >>> split_absolute(b"http://tools:81/a?b=1", b"GET")
    (b'tools:81', b'/a?b=1')
    >>> split_absolute(b"http://tools", b"OPTIONS")
    (b'tools', b'*')
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise DownstreamError(
            "The request target must be a path, or an http URL, without a fragment.",
            reason="bad_target",
        )
    authority, rest = match[1], match[2]
    if not rest:
        rest = b"*" if method == b"OPTIONS" else b"/"
    elif rest[:1] == b"?":
        rest = b"/" + rest
    return authority, rest
