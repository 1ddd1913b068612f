"""Requests that would share a call, where sharing is only observed: counted, never joined.

*Rule of this file*: as :mod:`governor.proxy.coalesce` says who is identical and until
when one may join; that an answer may turn out not to be shareable is not looked at,
so what is counted is at most a little too much. Memory: one entry for each call in
flight of a route that says ``coalesce``, and those that ended within a sweep, at most
``MAX_WATCHED``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from governor.core.lease import make_lease
from governor.proxy.coalesce import key_of
from governor.proxy.state import DONE, SENT
from policies.decision import Reason

if TYPE_CHECKING:
    from governor.proxy.downstream import Downstream
    from governor.proxy.exchange import Exchange

MAX_WATCHED = 4_096
"""Calls remembered; the data plane is bounded by its connections, this table by itself."""


def watch(exchange: Exchange, now_ns: int) -> bool:
    """Count a request that could have shared a call; return False, for it makes its own."""
    try:
        key = key_of(exchange)
        if key is None:
            return False
        watched = exchange.server.unshared
        first = watched.get(key)
        if first is not None and first.state <= SENT:
            peer = cast("Downstream", exchange.downstream).peer
            arrival = exchange.server.build_arrival(exchange.head, peer, exchange.route)
            exchange.gate.saw(now_ns, make_lease(arrival, now_ns, 0, exchange), Reason.COALESCED)
        elif first is not None or len(watched) < MAX_WATCHED:
            watched[key] = exchange
    except Exception as error:
        exchange.stats.n_faults += 1
        exchange.server.report_fault(error)
    return False


def forget_done(watched: dict[object, Exchange]) -> None:
    """Drop the calls that have ended (called by the sweep)."""
    for key in [key for key, exchange in watched.items() if exchange.state == DONE]:
        del watched[key]
