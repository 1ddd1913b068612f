"""Who is at the other end of a downstream connection.

*Rule of this file*: facts of the connection, not of one request; what can be
written once per connection is written here once.
"""

from __future__ import annotations


class Peer:
    """The caller's side of one connection.

    Parameters
    ----------
    ip : str
        Address without port; the empty string if there is none.
    port : int
    scheme : str
        ``http`` or ``https``, as the caller spoke to us.
    local : tuple of (str, int)
        Address and port of the listener that took the connection.

    Attributes
    ----------
    key : int
        See ``make_key``; 0 until it was called.
    """

    __slots__ = ("_authority", "_lines", "ip", "key", "local", "port", "scheme")

    def __init__(
        self, ip: str, port: int = 0, scheme: str = "http", local: tuple[str, int] = ("", 0)
    ) -> None:
        self.ip = (ip or "unknown").encode("ascii", "replace")
        self.port = port
        self.local = local
        self.scheme = scheme.encode("ascii")
        self._authority: bytes | None = None
        self._lines = b""
        self.key = 0

    def make_key(self, salt: bytes) -> int:
        """Return the keyed hash of the address: the tenant of callers without credentials."""
        self.key = hash(salt + self.ip) or 1
        return self.key

    def forwarded_lines(self, authority: bytes) -> bytes:
        """Return the ``X-Forwarded-*`` lines, each led by CRLF, for a caller that sent none."""
        if authority != self._authority:
            self._authority = authority
            self._lines = b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b%b" % (
                self.ip,
                self.scheme,
                b"\r\nX-Forwarded-Host: " + authority if authority else b"",
            )
        return self._lines

    def forwarded_on(
        self, authority: bytes, chain: bytes, says_proto: bool, says_host: bool
    ) -> bytes:
        """Return the lines that continue what a proxy in front said; its scheme and host stay."""
        lines = b"\r\nX-Forwarded-For: " + (chain + b", " + self.ip if chain else self.ip)
        if not says_proto:
            lines += b"\r\nX-Forwarded-Proto: " + self.scheme
        if not says_host and authority:
            lines += b"\r\nX-Forwarded-Host: " + authority
        return lines
