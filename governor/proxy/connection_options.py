"""What a ``Connection`` header asks for.

*Rule of this file*: one value in, one frozen fact out; the common values are
read once and kept (bounded).

*Source*: RFC 9110 section 7.6.1.
"""

from __future__ import annotations

from typing import NamedTuple

from governor.proxy.header_names import ESSENTIAL, is_token

_MAX_KNOWN = 512
_MAX_KNOWN_BYTES = 256


class ConnectionOptions(NamedTuple):
    """The options of one ``Connection`` header."""

    has_close: bool
    has_keep_alive: bool
    has_upgrade: bool
    named: frozenset[bytes]
    """Lower-case names of the further fields that end here; never an essential one."""
    is_plain: bool
    """It says nothing beyond keeping the connection or closing it."""


NO_OPTIONS = ConnectionOptions(False, False, False, frozenset(), True)

_known: dict[bytes, ConnectionOptions] = {}


def read_connection(value: bytes) -> ConnectionOptions:
    """Return the options in ``value``, the fields of all ``Connection`` lines joined by commas.

    Examples
    --------
    >>> read_connection(b"keep-alive, X-Trace").named
    frozenset({b'x-trace'})
    >>> read_connection(b"close, Host, Authorization").named
    frozenset()
    """
    options = _known.get(value)
    if options is None:
        options = _parse(value)
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        if len(value) <= _MAX_KNOWN_BYTES:
            _known[value] = options
    return options


_STANDARD = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))


def _parse(value: bytes) -> ConnectionOptions:
    tokens = {token.strip(b" \t").lower() for token in value.split(b",")}
    named = {token for token in tokens if is_token(token)} - _STANDARD - ESSENTIAL
    return ConnectionOptions(
        b"close" in tokens,
        b"keep-alive" in tokens,
        b"upgrade" in tokens,
        frozenset(named),
        not (named or b"upgrade" in tokens or b"te" in tokens),
    )
