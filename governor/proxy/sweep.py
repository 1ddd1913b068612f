"""One walk over all connections, four times a second, instead of a timer per request.

*Rule of this file*: what has taken too long, judged by monotonic stamps that
the callbacks leave behind. A time-out may act late by one step of the walk,
never early.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from governor.errors import DownstreamError, UpstreamTimeout
from governor.proxy import endings
from governor.proxy.state import SENT, STREAMING
from policies.decision import Outcome

if TYPE_CHECKING:
    from governor.proxy.downstream import Downstream
    from governor.proxy.exchange import Exchange

SWEEP_INTERVAL_S = 0.25
"""Time-outs are seconds; a quarter of one is exact enough and costs 0.1 % of a core per 1,000
connections."""

HEAD_KEPT_NS = 10_000_000_000
"""A caller's last head is kept for so long: reading its next one is cheaper then, and a connection
that idles costs no memory for it."""

_TCP_CLOSE, _TCP_CLOSE_WAIT = 7, 8
"""States of a connection whose peer has ended its bytes (Linux: include/net/tcp_states.h)."""


def has_ended(transport: asyncio.Transport) -> bool:
    """Return whether the peer has closed, though its bytes have not been read up to the end.

    Known on Linux only; elsewhere False until the bytes are read.
    """
    pseudo = transport.get_extra_info("socket")
    tcp_info = getattr(socket, "TCP_INFO", None)
    if pseudo is None or tcp_info is None:
        return False
    try:
        with socket.socket(fileno=os.dup(pseudo.fileno())) as probe:
            return probe.getsockopt(socket.IPPROTO_TCP, tcp_info, 1)[0] in (
                _TCP_CLOSE,
                _TCP_CLOSE_WAIT,
            )
    except OSError:
        return False


def sweep_connection(connection: Downstream, now_ns: int) -> None:
    """Act on whatever has taken too long on a caller's connection."""
    settings = connection.settings
    if connection.is_write_paused or connection.linger_until_ns:
        _watch_unsent(connection, now_ns)
        if (
            connection.is_write_paused
            and now_ns - connection.write_paused_at_ns > settings.write_timeout_ns
        ) or 0 < connection.linger_until_ns < now_ns:
            connection.transport.abort()
            return
        if connection.linger_until_ns:
            return
    idle_ns = now_ns - connection.stamp_ns
    exchange = connection.exchange
    if exchange is not None:
        _sweep_exchange(exchange, connection, idle_ns, now_ns)
    elif connection.n_held_bytes:
        if idle_ns > settings.head_timeout_ns:
            connection.refuse(
                DownstreamError(
                    "The request's head did not come within head_timeout.",
                    reason="head_timeout",
                    status_hint=408,
                )
            )
    elif idle_ns > settings.idle_timeout_ns:
        connection.close_idle(now_ns)
    elif idle_ns > HEAD_KEPT_NS:
        connection.forget_head()


def _watch_unsent(connection: Downstream, now_ns: int) -> None:
    """Give a caller that reads, however slowly, its time anew."""
    unsent_bytes = connection.transport.get_write_buffer_size()
    if unsent_bytes and unsent_bytes != connection.unsent_bytes:
        connection.write_paused_at_ns = now_ns
        if connection.linger_until_ns:
            connection.linger_until_ns = now_ns + connection.settings.write_timeout_ns
    connection.unsent_bytes = unsent_bytes


def _sweep_exchange(exchange: Exchange, downstream: Downstream, idle_ns: int, now_ns: int) -> None:
    """End an exchange one of whose sides is too slow."""
    if downstream.is_read_paused and has_ended(downstream.transport):
        # Unread bytes lie before the end, so no callback tells of it.
        downstream.transport.abort()
        return
    state = exchange.state
    if (
        not exchange.is_request_done
        and not downstream.is_read_paused
        and idle_ns > downstream.settings.body_timeout_ns
    ):
        endings.refuse(
            exchange,
            DownstreamError(
                "The request's body did not come within body_timeout.",
                reason="body_timeout",
                status_hint=408,
            ),
        )
        return
    if state < SENT:
        return
    pool = exchange.pool
    quiet_ns = now_ns - exchange.stamp_ns
    if state == SENT:
        is_stalled = exchange.is_request_done or downstream.is_read_paused
        if is_stalled and quiet_ns > pool.first_byte_timeout_ns:
            endings.fail(
                exchange,
                UpstreamTimeout("The upstream did not answer within first_byte_timeout."),
                Outcome.FAILED,
            )
        return
    if state == STREAMING and quiet_ns > pool.idle_timeout_ns and not downstream.is_write_paused:
        connection = exchange.connection
        if connection is not None and not connection.is_event_stream:
            endings.fail(
                exchange,
                UpstreamTimeout("The upstream stopped in the middle of its answer."),
                Outcome.FAILED,
            )
