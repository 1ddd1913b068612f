"""Header fields that tell a caller what Governor did: id, decision, reason, delay.

*Rule of this file*: what is written is integers, words of closed lists and the request's
own id. By default only on requests that Governor acted on: all others pass as they came,
byte for byte.

*Cost*: one comparison for a request that was not touched; see ``docs/recording.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from governor.proxy.framing import HEAD_END
from policies.decision import Reason

if TYPE_CHECKING:
    from governor.proxy.exchange import Exchange

OFF, TOUCHED, ALL = range(3)
"""Which responses are marked."""

LEVELS = {"off": OFF, "touched": TOUCHED, "all": ALL}

_UNTOUCHED = (Reason.UNTOUCHED, Reason.EXEMPT, Reason.HELD_BACK, Reason.OBSERVED)
"""Governor did nothing about these."""

_NS_PER_MS = 1_000_000


def fields(exchange: Exchange) -> bytes:
    """Return the field lines of a response, each with its line end; nothing if it has none."""
    decision = exchange.decision
    level = exchange.server.marks
    if decision is None or not level or exchange.is_carrier:
        return b""
    if level == TOUCHED and decision.reason in _UNTOUCHED:
        return b""
    return (
        b"x-governor-request-id: %b\r\nx-governor-decision: %b\r\n"
        b"x-governor-delay-ms: %d\r\nx-governor-reason: %b\r\n"
        % (
            exchange.request_id,
            decision.action.name.lower().encode("ascii"),
            exchange.waited_ns // _NS_PER_MS,
            (exchange.detour or decision.reason.value).encode("ascii"),
        )
    )


def mark(exchange: Exchange, data: bytes) -> bytes:
    """Return a response, or its beginning, with its field lines at the end of the head."""
    extra = fields(exchange)
    if not extra:
        return data
    end = data.index(HEAD_END) + 2
    return b"".join((data[:end], extra, data[end:]))
