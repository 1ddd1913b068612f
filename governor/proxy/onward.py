"""The head that goes on to an upstream: what the caller sent, and what Governor says of it.

*Rule of this file*: one head of bytes from a finished :class:`~governor.proxy.headers.RequestHead`
and the endpoint that it goes to. Nothing is refused here.

*Theory*: on the next hop a request names its host, its caller (``X-Forwarded-For``, ``-Proto``,
``-Host``: one block of lines per connection, unless the caller came through a proxy itself) and
its id. All else is the block that was cut when the head was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from governor.proxy.header_names import X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO

if TYPE_CHECKING:
    from governor.proxy.headers import RequestHead
    from governor.proxy.peer import Peer

_FORWARDED = X_FORWARDED_FOR | X_FORWARDED_PROTO | X_FORWARDED_HOST
_VERSION = b" HTTP/1.1\r\n"
_REQUEST_ID = b"\r\nX-Request-Id: "
_END = b"\r\n\r\n"


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
    authority = head.authority
    block = head.block if keeps_host and authority else head.block_for(upstream_host)
    if head.seen & _FORWARDED:
        says_host = bool(head.seen & X_FORWARDED_HOST)
        says_proto = bool(head.seen & X_FORWARDED_PROTO)
        lines = peer.forwarded_on(authority, head.forwarded_for, says_proto, says_host)
    else:
        lines = peer.forwarded_lines(authority)
    if head.request_id:
        return b"".join((head.method, b" ", head.target, _VERSION, block, lines, _END))
    return b"".join(
        (head.method, b" ", head.target, _VERSION, block, lines, _REQUEST_ID, request_id, _END)
    )
