"""An upstream's 429 or 503 at the rim: waited out, given a slot, or relayed as it came.

*Rule of this file*: what becomes of a refusal whose head is there; cold, for
other answers never come here. What is to be done is the gate's to say
(:mod:`governor.core.refused`).

In this order: a refusal that the route lets be waited out is read to its end
and thrown away, and the request goes back to the line; in a storm the refusal
goes on with its caller's own time to come back in place of the upstream's; else
it goes on byte for byte. An upstream that says itself ``x-should-retry: false``
is not contradicted. Whatever fails here, the caller gets the refusal.

Where no retry can help, ``X-Should-Retry: false`` is added and nothing else is
changed: what the upstream asked for still holds for who does not know that word.

What is written into a head is made of integers only.
"""

from __future__ import annotations

import re
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from governor.core.lease import make_lease
from governor.proxy import marks
from governor.proxy.endings import MAX_DISCARD_BYTES, apply_all
from governor.proxy.framing import HEAD_END
from governor.proxy.state import SENT, WAITING

if TYPE_CHECKING:
    from governor.proxy.exchange import Exchange
    from governor.proxy.response import ResponseHead
    from governor.proxy.server import ProxyServer
    from governor.proxy.upstream import UpstreamConnection

STATUSES = frozenset((429, 503))
"""What says that a request was not processed for want of capacity."""

MAX_KEPT_BYTES = 65_536
"""A body above this is not kept for another try."""

DISCARD_NS = 5_000_000_000
"""And for how long."""

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

_TIMES = frozenset((b"retry-after", b"retry-after-ms", b"x-amz-retry-after"))
_SHOULD_RETRY = re.compile(rb"\r\nx-should-retry[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


def keep(exchange: Exchange) -> None:
    """Keep a request's body for another try; called when it is about to be sent."""
    is_small = exchange.n_in_bytes <= MAX_KEPT_BYTES
    exchange.kept = list(exchange.held) if is_small and not exchange.head.expect_continue else None


def keep_more(exchange: Exchange, data: bytes) -> None:
    """Keep a part of a body that comes after its head was sent."""
    kept = exchange.kept
    if kept is None or exchange.n_in_bytes > MAX_KEPT_BYTES:
        exchange.kept = None
    else:
        kept.append(data)


def encode(exchange: Exchange, parsed: ResponseHead, head: bytes) -> bytes:
    """Return a refusal's head as the caller gets it; nothing if it is waited out."""
    now_ns = exchange.stamp_ns
    try:
        exchange.gate.refused.note(now_ns)
        if exchange.kept is not None and _absorb(exchange, now_ns):
            return b""
    except Exception as error:
        _survive(exchange, error)
    out = exchange.encode_head(parsed, head, is_weighed=True)
    return out if exchange.is_carrier else marks.mark(exchange, give_slot(exchange, out))


def give_slot(exchange: Exchange, data: bytes) -> bytes:
    """Return a refusal, or its beginning, with the caller's own time to come back if it is due."""
    if exchange.downstream is None:
        return data
    try:
        said = _SHOULD_RETRY.search(data, 0, data.index(HEAD_END) + 2)
        if said is not None and said[1].strip(b" \t").lower() == b"false":
            return data
        now_ns = monotonic_ns()
        lease = exchange.lease
        if lease is None:  # it shares the call of another
            arrival = exchange.server.build_arrival(
                exchange.head, exchange.downstream.peer, exchange.route
            )
            lease = make_lease(arrival, exchange.arrived_at_ns, 0, exchange)
        decision = exchange.gate.refused.answer(
            now_ns, lease, exchange.status, exchange.retry_after_ns
        )
        if decision is None:
            return data
        out = write_slot(data, decision.retry_after_ns)
    except Exception as error:
        _survive(exchange, error)
        return data
    exchange.decision = decision
    exchange.retry_after_ns = decision.retry_after_ns or exchange.retry_after_ns
    return out


def write_slot(data: bytes, wait_ns: int) -> bytes:
    """Return an answer whose head tells its caller to come back after ``wait_ns``.

    0 tells it that a retry cannot help; an upstream's own word on that stays.

    Examples
    --------
    >>> write_slot(b"HTTP/1.1 429 x\\r\\nRetry-After: 1\\r\\nA: b\\r\\n\\r\\nbody", 1_500_000_000)
    b'HTTP/1.1 429 x\\r\\nA: b\\r\\nRetry-After: 2\\r\\nRetry-After-Ms: 1500\\r\\n\\r\\nbody'
    >>> write_slot(b"HTTP/1.1 429 x\\r\\nRetry-After: 1\\r\\n\\r\\n", 0)
    b'HTTP/1.1 429 x\\r\\nRetry-After: 1\\r\\nX-Should-Retry: false\\r\\n\\r\\n'
    """
    end = data.index(HEAD_END)
    if not wait_ns:
        if _SHOULD_RETRY.search(data, 0, end + 2) is not None:
            return data
        return b"%b\r\nX-Should-Retry: false%b" % (data[:end], data[end:])
    lines = data[:end].split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    kept = [line for line, name in zip(lines, names, strict=True) if name not in _TIMES]
    millis = -(-wait_ns // _NS_PER_MS)
    kept.append(b"Retry-After: %d" % -(-wait_ns // _NS_PER_S))
    kept.append(b"Retry-After-Ms: %d" % millis)
    if b"x-amz-retry-after" in names:
        kept.append(b"x-amz-retry-after: %d" % millis)
    return b"\r\n".join(kept) + data[end:]


def _absorb(exchange: Exchange, now_ns: int) -> bool:
    """Let the request wait for another try, if it may; its refusal is read and thrown away."""
    lease = exchange.lease
    connection = exchange.connection
    is_whole = exchange.is_request_done and exchange.state == SENT
    if lease is None or connection is None or exchange.downstream is None or not is_whole:
        return False
    taken = exchange.gate.refused.absorb(
        now_ns, lease, exchange.retry_after_ns, exchange.route.absorb_ns
    )
    if taken is None:
        return False
    decision, decisions = taken
    lease.owner = None
    connection.exchange = cast("Exchange", Discard(connection, exchange, now_ns))
    exchange.connection = None
    exchange.state = WAITING
    exchange.lease, exchange.decision = decision.lease, decision
    exchange.held = exchange.kept or []
    exchange.held_bytes = exchange.n_in_bytes
    exchange.kept = None
    exchange.waits_since_ns = exchange.stamp_ns = now_ns
    exchange.status = exchange.retry_after_ns = 0
    exchange.is_replayed = False
    apply_all(decisions)
    return True


def _survive(exchange: Exchange, error: Exception) -> None:
    exchange.stats.n_faults += 1  # the caller gets what the upstream said
    exchange.server.report_fault(error)


class Discard:
    """Reads an absorbed answer to its end, so that its connection can be used again.

    It stands where the exchange stood: see :class:`governor.proxy.exchange.Exchange`.
    """

    __slots__ = ("_connection", "_n_bytes", "_server", "_until_ns", "is_head", "minor", "stamp_ns")

    is_head: bool

    def __init__(self, connection: UpstreamConnection, exchange: Exchange, now_ns: int) -> None:
        self._connection = connection
        self._server: ProxyServer = exchange.server
        self._until_ns = now_ns + DISCARD_NS
        self._n_bytes = 0
        self.is_head = exchange.is_head
        self.minor = 1
        self.stamp_ns = now_ns
        self._server.watched.add(self)

    def begin_stream(self, data: bytes, now_ns: int) -> None:
        """Take the head of an answer whose body is still to come."""

    def relay(self, data: bytes) -> None:
        """Throw a part of the body away; too much of it costs the connection."""
        self._n_bytes += len(data)
        if self._n_bytes > MAX_DISCARD_BYTES:
            self.end()

    def finish(self, data: bytes, now_ns: int) -> None:
        """Give the connection back."""
        self._server.watched.discard(self)
        connection = self._connection
        if connection.exchange is cast("Exchange", self):
            if connection.is_reusable:
                connection.release(now_ns)
            else:
                connection.close()

    def upstream_broke(self, error: Exception) -> None:
        """The connection is gone; nobody waits for this answer."""
        self._server.watched.discard(self)

    def send_again(self, is_stale: bool) -> bool:
        """Nothing is sent again from here."""
        return False

    def pause_caller(self) -> None:
        """Nobody sends."""

    def resume_caller(self) -> None:
        """Nobody sends."""

    def sweep(self, now_ns: int) -> None:
        """End an answer that does not end."""
        if now_ns > self._until_ns:
            self.end()

    def end(self) -> None:
        """Give the connection up."""
        self._server.watched.discard(self)
        self._connection.close()
