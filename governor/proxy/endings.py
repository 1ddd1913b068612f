"""How an exchange ends when it does not end well: failures, leavers, switches.

*Rule of this file*: the cold half of :mod:`governor.proxy.exchange`. Every
function leaves the exchange closed, or abandoned with a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic_ns, time
from typing import TYPE_CHECKING, cast

from governor.core.lease import Decision
from governor.core.quotas import read_quotas_left
from governor.errors import Fault, GovernorError, UpstreamError
from governor.proxy import marks, replies
from governor.proxy.framing import HEAD_END
from governor.proxy.header_names import TRACEPARENT
from governor.proxy.quota import SAMPLE_NS, read_quotas, read_retry_after_ns
from governor.proxy.quota_headers import write_quotas
from governor.proxy.request_ids import new_request_id
from governor.proxy.state import CONNECTING, DONE, JOINED, SENT, STREAMING, WAITING
from governor.proxy.stats import RequestRecord
from governor.proxy.tunnel import Tunnel
from policies.decision import Action, Outcome, Reason

if TYPE_CHECKING:
    from governor.proxy.carrier import Carrier
    from governor.proxy.downstream import Downstream
    from governor.proxy.exchange import Exchange
    from governor.proxy.upstream import UpstreamConnection

_ADMIT = Action.ADMIT

STATUS_LEFT = 499
"""In logs and counts: the caller left before its answer (nginx's word)."""

MAX_DISCARD_BYTES = 1 << 20
"""Of an answer that nobody gets, what is read to keep the connection."""


def outcome_of(status: int) -> Outcome:
    """Return how a lease ended whose caller got a complete answer."""
    if status < 500:
        if status == 429:
            return Outcome.REFUSED
        return Outcome.FAILED if status == 408 else Outcome.COMPLETED
    return Outcome.REFUSED if status == 503 else Outcome.FAILED


def read_limits(exchange: Exchange, head: bytes) -> None:
    """Keep when an answer asks its caller to come back; tell the gate what is left of a quota.

    The first of every answer that sends its caller away, the second of a sample.
    """
    now_ns = exchange.stamp_ns
    pool = exchange.pool
    status = exchange.status
    is_failure = status >= 500 or status in (408, 409, 429)
    is_due = now_ns >= pool.quota_due_ns
    if not (is_failure or is_due):
        return
    try:
        wall_s = time()
        if is_failure:
            exchange.retry_after_ns = read_retry_after_ns(head, wall_s)
        if is_due:
            pool.quota_due_ns = now_ns + SAMPLE_NS
            lease = exchange.lease
            tenant = lease.arrival.tenant if lease is not None else 0
            for quota in read_quotas(head, wall_s):
                exchange.gate.observe_quota(now_ns, tenant, *quota)
    except Exception as error:
        exchange.stats.n_faults += 1  # a hint must not cost the answer
        exchange.server.report_fault(error)


def send_away(exchange: Exchange, decision: Decision, now_ns: int) -> None:
    """Answer a request that the gate will not admit, with its own time to come back."""
    decision.lease.owner = exchange.lease = None  # the gate has closed it
    exchange.decision = decision
    exchange.own_reason = reason = decision.reason.value
    if exchange.downstream is not None:
        meaning = replies.REASONS[reason]
        status = decision.status or 503
        retry_after_ns = decision.retry_after_ns or replies.NO_RETRY
        tenant = decision.lease.arrival.tenant
        text, fault = meaning.text, meaning.fault
        answer(exchange, status, reason, fault, text, retry_after_ns, tenant)
    exchange.close(now_ns, Outcome.UNSENT, exchange.status)


def answer(
    exchange: Exchange,
    status: int,
    reason: str,
    fault: Fault,
    message: str,
    retry_after_ns: int = 0,
    tenant: int = 0,
) -> None:
    """Answer a request in Governor's own name. The exchange is still to be closed."""
    downstream = exchange.downstream
    if downstream is None:
        return
    exchange.status = status
    if exchange.is_carrier:
        cast("Carrier", exchange).flight.answer(status, reason, fault, message, retry_after_ns)
        return
    exchange.keep_alive = exchange.keep_alive and exchange.is_request_done
    exchange.stats.count_own_answer(reason)
    data = replies.build(
        status,
        reason,
        fault,
        message,
        exchange.request_id,
        replies.dialect_of(exchange.head),
        retry_after_ns,
        exchange.keep_alive and not downstream.is_draining,
        _quota_lines(exchange, status, retry_after_ns, tenant),
    )
    data = marks.mark(exchange, data)
    if exchange.is_head:
        data = data[: data.index(HEAD_END) + 4]
    exchange.n_out_bytes += len(data)
    downstream.write(data)


def _quota_lines(
    exchange: Exchange, status: int, retry_after_ns: int, tenant: int
) -> Sequence[str]:
    """Return what a refusal tells of the quotas that its caller is under."""
    server = exchange.server
    if not server.tells_quota or status not in (429, 503):
        return ()
    try:
        if exchange.lease is not None:
            tenant = exchange.lease.arrival.tenant
        return write_quotas(read_quotas_left(exchange.gate, tenant, monotonic_ns()), retry_after_ns)
    except Exception as error:
        exchange.stats.n_faults += 1  # a hint must not cost the answer
        server.report_fault(error)
        return ()


def answer_no_request(downstream: Downstream, error: GovernorError) -> None:
    """Answer what could not be read as a request; its connection must end."""
    downstream.stats.count_own_answer(error.reason)
    downstream.write(
        replies.build(
            error.status_hint,
            error.reason,
            error.fault,
            error.message,
            new_request_id(),
            replies.dialect_of(b"/"),
            0,
            False,
        )
    )


def fail(exchange: Exchange, error: GovernorError, outcome: Outcome) -> None:
    """Answer for the upstream, or cut the caller's connection if its answer has begun."""
    if exchange.state == DONE:
        return
    now_ns = monotonic_ns()
    if exchange.state == WAITING:
        _tell_gate(exchange, now_ns)
        exchange.lease = None  # the gate has closed it
    is_streaming = exchange.state == STREAMING
    exchange.state = DONE
    connection, exchange.connection = exchange.connection, None
    if connection is not None:
        connection.close()
    downstream = exchange.downstream
    exchange.own_reason = error.reason
    if downstream is None:
        exchange.close(now_ns, Outcome.ORPHANED, 0)
        return
    if is_streaming:
        # Never a clean end for half an answer.
        downstream.cut_off()
    else:
        exchange.keep_alive = exchange.keep_alive and exchange.is_request_done
        answer(exchange, error.status_hint, error.reason, error.fault, error.message)
    exchange.close(now_ns, outcome, exchange.status)


def refuse(exchange: Exchange, error: GovernorError) -> None:
    """End an exchange whose request turned out to be bad or too slow, after it had begun."""
    exchange.keep_alive = False
    fail(exchange, error, Outcome.CANCELLED if exchange.state >= SENT else Outcome.UNSENT)


def leave(exchange: Exchange, now_ns: int) -> None:
    """The caller is gone: out of the line, or abandoned, or cancelled."""
    state = exchange.state
    if state == DONE:
        return
    exchange.downstream = None
    stats = exchange.stats
    if not exchange.is_carrier:  # its members count themselves
        stats.n_left += 1
    _tell_gate(exchange, now_ns)
    if state == WAITING:
        exchange.lease = None  # the gate has closed it
        exchange.status = STATUS_LEFT
        exchange.close(now_ns, Outcome.UNSENT, 0)
        return
    if state == CONNECTING:
        exchange.status = STATUS_LEFT
        exchange.close(now_ns, Outcome.UNSENT, 0)
        return
    if state == JOINED:
        if exchange.connection is not None:
            exchange.connection.close()
        exchange.connection = None
        exchange.status = STATUS_LEFT
        exchange.close(now_ns, Outcome.COALESCED, 0)
        return
    is_kept = state == SENT and exchange.is_request_done and exchange.route.on_leave != "cancel"
    if is_kept:
        exchange.left_at_ns = now_ns
        exchange.server.abandoned.add(exchange)
        return
    _cancel(exchange, now_ns, Outcome.CANCELLED)


def _tell_gate(exchange: Exchange, now_ns: int) -> None:
    if exchange.lease is None:
        return
    try:
        decisions = exchange.gate.leave(now_ns, exchange.lease)
    except Exception as error:
        exchange.stats.n_faults += 1
        exchange.server.report_fault(error)
        return
    apply_all(decisions)


def apply_all(decisions: Iterable[Decision]) -> None:
    """Tell each decision to the exchange that waits for it; a fault of one is not another's."""
    for decision in decisions:
        exchange: Exchange = decision.lease.owner
        try:
            exchange.apply(decision)
        except Exception as error:
            exchange.stats.n_faults += 1
            exchange.server.report_fault(error)


def _cancel(exchange: Exchange, now_ns: int, outcome: Outcome) -> None:
    connection, exchange.connection = exchange.connection, None
    if connection is not None:
        connection.close()
    status = exchange.status
    exchange.status = STATUS_LEFT
    exchange.close(now_ns, outcome, status)


def expire(exchange: Exchange, now_ns: int) -> None:
    """The bound on abandoned work has passed."""
    exchange.downstream = None
    _cancel(exchange, now_ns, Outcome.ORPHANED)


def weigh_discarding(exchange: Exchange, now_ns: int) -> None:
    """An answer to abandoned work has begun: read the rest if it is short, else cut it off."""
    connection = exchange.connection
    if connection is not None and 0 <= connection.n_left_bytes <= MAX_DISCARD_BYTES:
        exchange.state = STREAMING
        return
    _cancel(exchange, now_ns, Outcome.ORPHANED)


def switch(
    exchange: Exchange, connection: UpstreamConnection, head: bytes, rest: bytes, now_ns: int
) -> None:
    """Splice both connections after a 101; the lease stays open until the tunnel closes."""
    downstream = exchange.downstream
    if downstream is None or not exchange.head.upgrade or not exchange.minor:
        connection.close()
        exchange.connection = None
        if downstream is None:
            exchange.close(now_ns, Outcome.ORPHANED, 101)
            return
        error = UpstreamError("The upstream switched protocols unasked.", reason="bad_response")
        fail(exchange, error, Outcome.FAILED)
        return
    exchange.status = 101
    exchange.begin_stream(head, now_ns)
    exchange.connection = None
    connection.exchange = None
    early = downstream.detach()
    exchange.stats.n_tunnels += 1
    tunnel = Tunnel(
        downstream.transport,
        connection.transport,
        lambda: _end_tunnel(exchange, connection, tunnel),
    )
    exchange.server.tunnels.add(tunnel)
    tunnel.splice(from_caller=early, from_upstream=rest)


def _end_tunnel(exchange: Exchange, connection: UpstreamConnection, tunnel: Tunnel) -> None:
    exchange.server.tunnels.discard(tunnel)
    exchange.stats.n_tunnels -= 1
    downstream = exchange.downstream
    exchange.downstream = None
    connection.pool.lost(connection)
    if downstream is not None:
        downstream.forget()
    exchange.close(monotonic_ns(), Outcome.COMPLETED, 101)


def record(exchange: Exchange, now_ns: int, outcome: Outcome) -> None:
    """Tell the access log and the tracer about a finished exchange, if they want to know."""
    server = exchange.server
    decision = exchange.decision
    is_touched = bool(
        exchange.waited_ns
        or exchange.detour
        or exchange.own_reason
        or exchange.status >= 400
        or (decision is not None and decision.action is not _ADMIT)
    )
    head = exchange.head
    span = None
    if server.sample is not None:
        span = server.sample(head.values.get(TRACEPARENT, b""))
    if server.on_done is None or (server.logs_touched_only and not is_touched and span is None):
        return
    line = RequestRecord()
    if span is not None:
        line.span = span
        line.ended_at_ns = now_ns
        line.scheme = exchange.peer.scheme.decode("ascii")
        line.local = exchange.peer.local
        line.version = head.version
        line.waits_for = exchange.waits_for
        line.interventions = exchange.interventions
    line.method = head.method
    line.target = head.path
    line.route = exchange.route.name
    line.upstream = exchange.gate.name
    line.status = exchange.status
    line.is_touched = is_touched
    if decision is not None:
        line.decision = decision.action.name.lower()
        line.reason = exchange.detour or decision.reason.value
        if decision.reason is Reason.COALESCED:
            outcome = Outcome.COALESCED
    line.reason = exchange.own_reason or line.reason
    line.waited_ns = exchange.waited_ns
    line.duration_ns = now_ns - exchange.arrived_at_ns
    line.first_byte_ns = exchange.first_byte_ns
    line.bytes_in = exchange.n_in_bytes
    line.bytes_out = exchange.n_out_bytes
    line.request_id = exchange.request_id
    line.outcome = outcome.name.lower()
    try:
        server.on_done(line)
    except Exception as error:
        exchange.stats.n_faults += 1
        server.report_fault(error)
