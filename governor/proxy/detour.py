"""Requests that go elsewhere: to another endpoint, or to the fallback upstream.

*Rule of this file*: only before the first byte of an answer, and only what may be.
A request that was not sent may always go elsewhere; one that was sent only if it
is idempotent (RFC 9110 section 9.2.2) and all its bytes are still held. Where to is
the gate's to say; it tries each endpoint at most once for one request.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from governor.core.lease import Asked, Decision
from governor.errors import GovernorError, UpstreamError
from governor.proxy import endings
from governor.proxy.framing import HEAD_END
from governor.proxy.state import CONNECTING, NEW, WAITING
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict

if TYPE_CHECKING:
    from governor.proxy.exchange import Exchange

OWN_BOUND = "upstream_connections_exhausted"
"""A connection that was not opened because of a bound of ours says nothing of its endpoint."""


def go_elsewhere(exchange: Exchange, error: GovernorError) -> bool:
    """Take a request whose connection could not be opened elsewhere; return whether it goes."""
    is_ours = error.reason == OWN_BOUND
    verdict = Verdict.UNTOLD if is_ours else Verdict.UNREACHED
    return _reroute(exchange, verdict, (error, Outcome.UNSENT))


def send_again(exchange: Exchange, data: bytes, is_stale: bool) -> bool:
    """Send a request again whose connection ended without an answer; return whether it is.

    A kept connection may have been closed before the request reached it: it goes once more to
    the same endpoint, on a new connection. Otherwise the endpoint has failed it.

    Parameters
    ----------
    data : bytes
        All of an idempotent request, as it was sent.
    """
    if exchange.downstream is None:
        return False
    exchange.connection = None
    exchange.held = [data[data.index(HEAD_END) + 4 :]]  # each endpoint gets a head of its own
    if is_stale and not exchange.is_replayed:
        exchange.is_replayed = True
        exchange.stats.n_retried_on_dead += 1
        exchange.state = CONNECTING
        exchange.pool.connect(exchange)
        return True
    error = UpstreamError("The upstream closed the connection.", reason="upstream_closed")
    return _reroute(exchange, Verdict.FAILED, (error, Outcome.FAILED))


def divert(exchange: Exchange, decision: Decision, now_ns: int) -> None:
    """Ask the gate of the fallback upstream: the request's own has let it go."""
    decision.lease.owner = exchange.lease = None  # the gate has closed it
    gate = exchange.gate.fallback
    assert gate is not None
    exchange.gate = gate
    exchange.pools = tuple(exchange.route.pools_by_name[gate.name])
    exchange.detour = decision.reason.value
    exchange.state = NEW
    exchange.start(now_ns, may_join=False)


def moved(exchange: Exchange, decision: Decision, now_ns: int) -> None:
    """Go where a gate in another process says, which was asked."""
    if decision.action is Action.DIVERT:
        divert(exchange, decision, now_ns)
    elif decision.action is Action.ANSWER:
        endings.send_away(exchange, decision, now_ns)
    else:
        exchange.decision = decision
        exchange.detour = Reason.REROUTED.value
        if decision.action is Action.ADMIT:
            exchange.dispatch(decision.lease.endpoint_idx, now_ns)


def stay(exchange: Exchange) -> None:
    """Fail a call as it would have failed at once, had it been known that it cannot move."""
    if exchange.state != WAITING or exchange.failure is None:
        return
    error, outcome = exchange.failure
    exchange.state = CONNECTING  # it waits for nobody: its lease is open, and to be closed
    endings.fail(exchange, error, outcome)


def _reroute(exchange: Exchange, verdict: Verdict, failure: tuple[GovernorError, Outcome]) -> bool:
    lease = exchange.lease
    if lease is None or exchange.downstream is None:
        return False
    now_ns = monotonic_ns()
    try:
        decision, followers = exchange.gate.reroute(now_ns, lease, verdict)
    except Exception as error:
        exchange.stats.n_faults += 1
        exchange.server.report_fault(error)
        return False
    if decision is None:
        return False
    exchange.stamp_ns = exchange.waits_since_ns = now_ns
    exchange.state = WAITING
    if type(decision) is Asked:
        exchange.failure = failure
    elif decision.action is Action.DIVERT:
        divert(exchange, decision, now_ns)
    else:
        exchange.decision = decision
        exchange.detour = decision.reason.value
        if decision.action is Action.ADMIT:
            exchange.dispatch(lease.endpoint_idx, now_ns)
    endings.apply_all(followers)
    return True
