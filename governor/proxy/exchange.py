"""One request and its answer: from the gate to an upstream connection and back.

*Rule of this file*: every path ends in exactly one place, :meth:`Exchange.close`,
where the lease closes once with its outcome. Callbacks call callbacks; there
is no task, no future and no timer per request (the sweep watches the clock).

::

    start ──▶ WAITING ──▶ CONNECTING ──▶ SENT ──▶ STREAMING ──▶ DONE
      │          │ answered    │ 502/504    │ 502/504   │ cut off
      └──────────┴─────────────┴────────────┴───────────┴─────▶ DONE

A refusal may be waited out (SENT to WAITING, :mod:`governor.proxy.refusals`), a call
that failed before its answer go elsewhere (:mod:`governor.proxy.detour`); a
request may share another's call (JOINED, :mod:`governor.proxy.coalesce`).

A caller may leave in any state. What then happens to work that the upstream
has begun is the route's choice: *keep* its place until the upstream answers,
or *cancel* it. An answer that already streams is always cancelled.

*Considered and rejected*: one coroutine per request. It reads better; a task
and two wake-ups for each is what an admitted request is to be spared.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from governor.core.lease import Asked, Decision, Untouched
from governor.errors import GovernorError
from governor.proxy import detour, endings, marks, refusals
from governor.proxy.endings import apply_all as apply_all
from governor.proxy.exchange_parts import NOTHING, ExchangeParts
from governor.proxy.onward import build_request_head
from governor.proxy.state import CONNECTING, DONE, SENT, STREAMING, WAITING
from governor.proxy.stats import UNDECIDED
from policies.decision import Action, Outcome

if TYPE_CHECKING:
    from governor.proxy.response import ResponseHead
    from governor.proxy.upstream import UpstreamConnection

MAX_REPLAY_BYTES = 65_536
"""A request above this is not kept for a second sending."""

REPEATABLE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))
"""Idempotent methods (RFC 9110 section 9.2.2)."""

_ADMIT, _WAIT, _DIVERT = Action.ADMIT, Action.WAIT, Action.DIVERT
_COMPLETED = Outcome.COMPLETED


class Exchange(ExchangeParts):
    """One request's way through the proxy; made as :class:`ExchangeParts` says."""

    __slots__ = ()

    # -- the gate -------------------------------------------------------------

    def start(self, now_ns: int, may_join: bool = True) -> None:
        """Ask the gate, and do what it says; or share the call of an identical request."""
        stats = self.stats
        join = self.route.join
        if join is not None and may_join and join(self, now_ns):
            return
        try:
            arrival = self.server.build_arrival(self.head, self.peer, self.route)
            decision = self.gate.arrive(now_ns, arrival, self)
        except Exception as error:
            self.stats.n_faults += 1  # the gate failed, the caller must not
            self.server.report_fault(error)
            self.dispatch(stats.n_faults % len(self.pools), now_ns)
            return
        lease = self.lease = decision.lease
        lease.owner = self
        if decision.action is _ADMIT:
            self.decision = decision
            self.dispatch(lease.endpoint_idx, now_ns)
        elif type(decision) is Asked:
            self.state = WAITING
        else:
            self._heed(decision, now_ns)

    def told(self, decision: Decision) -> None:
        """Do what a gate in another process says, which was asked."""
        if self.state != WAITING:
            return
        now_ns = monotonic_ns()
        if self.decision is not None:
            detour.moved(self, decision, now_ns)
        elif decision.action is _ADMIT:
            self.decision = decision
            self.dispatch(decision.lease.endpoint_idx, now_ns)
        else:
            self._heed(decision, now_ns)

    def nowhere_to_go(self) -> None:
        """Hear from a gate in another process that a call stays where it has failed."""
        detour.stay(self)

    def _heed(self, decision: Decision, now_ns: int) -> None:
        """Do what the gate says of a request that it does not just admit."""
        action = decision.action
        if action is _WAIT:
            self.decision = decision
            self.waits_for = decision.reason.value
            self.state = WAITING
        elif action is _DIVERT:
            detour.divert(self, decision, now_ns)
        else:
            endings.send_away(self, decision, now_ns)

    def apply(self, decision: Decision) -> None:
        """Do what the gate decided about this request while it waited."""
        if self.state != WAITING:
            return
        now_ns = monotonic_ns()
        waited_ns = now_ns - self.waits_since_ns
        self.waited_ns += waited_ns
        self.stats.waiting.observe(waited_ns)
        if decision.action is _ADMIT:
            self.decision = decision
            self.dispatch(decision.lease.endpoint_idx, now_ns)
        elif decision.action is _DIVERT:
            detour.divert(self, decision, now_ns)
        else:
            endings.send_away(self, decision, now_ns)

    # -- to the upstream ------------------------------------------------------

    def dispatch(self, endpoint_idx: int, now_ns: int) -> None:
        """Send it to an endpoint, on a kept connection or a new one."""
        pool = self.pool = self.pools[endpoint_idx]
        self.dispatched_at_ns = now_ns
        idle = pool.idle
        connection = idle.pop() if idle else None
        if connection is not None and self.head.method not in REPEATABLE:
            while connection is not None and not connection.is_quiet():
                connection.close()
                connection = idle.pop() if idle else None
        if connection is not None:
            self.stats.n_upstream_reused += 1
            self._send(connection, now_ns)
        else:
            self.state = CONNECTING
            pool.connect(self)

    def connected(self, connection: UpstreamConnection) -> None:
        """Take the new connection, or give it to the pool if nobody needs it now."""
        if self.state != CONNECTING:
            connection.release(monotonic_ns())
            return
        self.stats.n_upstream_fresh += 1
        self._send(connection, monotonic_ns())

    def connect_failed(self, error: GovernorError) -> None:
        """No connection: go elsewhere, or answer for the upstream."""
        if self.state == CONNECTING and not detour.go_elsewhere(self, error):
            endings.fail(self, error, Outcome.UNSENT)

    def _send(self, connection: UpstreamConnection, now_ns: int) -> None:
        pool = self.pool
        keeps_host = self.route.keeps_host(pool)
        data = build_request_head(self.head, self.peer, self.request_id, pool.authority, keeps_host)
        if self.route.absorb_ns:
            refusals.keep(self)
        if self.held:
            data = b"".join((data, *self.held))
            self.held = NOTHING
        self.connection = connection
        self.state = SENT
        self.stamp_ns = now_ns
        if self.is_request_done and self.head.method in REPEATABLE:
            self.sent = data if len(data) <= MAX_REPLAY_BYTES else None
        connection.send(self, data)
        self.overhead_ns = monotonic_ns() - now_ns
        downstream = self.downstream
        if downstream is not None and downstream.is_read_paused:
            downstream.resume_for_body()

    def send_body(self, data: bytes) -> None:
        """Send a part of the request's body, or hold it until there is a connection."""
        self.n_in_bytes += len(data)
        if self.kept is not None:
            refusals.keep_more(self, data)
        if self.state >= SENT:
            self.sent = None
            if self.connection is not None:
                self.connection.transport.write(data)
            return
        if self.held is NOTHING:
            self.held = [data]
        else:
            self.held.append(data)
        self.held_bytes += len(data)

    def send_again(self, is_stale: bool) -> bool:
        """Send the request once more, here or elsewhere: its connection ended without an answer.

        ``is_stale`` tells that it was a kept one, which may have been dead before.
        """
        return self.sent is not None and detour.send_again(self, self.sent, is_stale)

    def pause_caller(self) -> None:
        """The upstream takes no more for now."""
        if self.downstream is not None and not self.is_request_done:
            self.downstream.pause_for_body()

    def resume_caller(self) -> None:
        """The upstream takes more."""
        if self.downstream is not None:
            self.stamp_ns = monotonic_ns()
            self.downstream.resume_for_body()

    # -- from the upstream ----------------------------------------------------

    def relay_interim(self, head: bytes) -> None:
        """Pass a 1xx answer on, unless the caller speaks HTTP/1.0."""
        self.sent = None
        if self.downstream is not None and self.minor:
            self.downstream.write(head)

    def encode_head(self, parsed: ResponseHead, head: bytes, is_weighed: bool = False) -> bytes:
        """Return the answer's head as the caller gets it; nothing if it does not get this one."""
        self.sent = None
        self.status = parsed.status
        if parsed.tells_limits and not is_weighed:
            endings.read_limits(self, head)
            if self.status in refusals.STATUSES:
                return refusals.encode(self, parsed, head)
        downstream = self.downstream
        if downstream is None:
            return head
        minor = self.minor
        extra = b""
        if type(self.decision) is not Untouched or self.server.marks == marks.ALL:
            extra = b"" if is_weighed else marks.fields(self)  # a refusal may get another reason
        if self.keep_alive and self.is_request_done and not downstream.is_draining:
            if minor:
                return parsed.encode(head, 1, extra)
            if parsed.body <= 1:  # NONE or COUNTED: only these end without a close
                return parsed.encode(head, 0, b"Connection: keep-alive\r\n" + extra)
        self.keep_alive = False
        return parsed.encode(head, minor, (b"Connection: close\r\n" if minor else b"") + extra)

    def begin_stream(self, data: bytes, now_ns: int) -> None:
        """Send the head of an answer whose body is still to come."""
        self.first_byte_ns = now_ns - self.dispatched_at_ns
        self.stats.first_byte.observe(self.first_byte_ns)
        downstream = self.downstream
        if downstream is None:
            endings.weigh_discarding(self, now_ns)
            return
        self.state = STREAMING
        if self.lease is not None:
            try:
                self.gate.answered(now_ns, self.lease, self.status)
            except Exception as error:
                self.stats.n_faults += 1
                self.server.report_fault(error)
        self.n_out_bytes += len(data)
        downstream.write(data)
        if downstream.is_write_paused and self.connection is not None:
            self.connection.pause_reading()

    def relay(self, data: bytes) -> None:
        """Pass on a part of the answer's body."""
        if self.downstream is not None:
            self.n_out_bytes += len(data)
            self.downstream.write(data)

    def finish(self, data: bytes, now_ns: int) -> None:
        """Send the last bytes of a complete answer; part from both sides."""
        stats = self.stats
        self.state = DONE
        if not self.first_byte_ns:
            self.first_byte_ns = now_ns - self.dispatched_at_ns
            stats.first_byte.observe(self.first_byte_ns)
        downstream = self.downstream
        if downstream is None:
            outcome = Outcome.ORPHANED
        else:
            outcome = _COMPLETED if self.status < 400 else endings.outcome_of(self.status)
            if data:
                self.n_out_bytes += len(data)
                downstream.write(data)
            stats.overhead.observe(self.overhead_ns + monotonic_ns() - now_ns)
        connection = self.connection
        if connection is not None:
            self.connection = None
            if connection.exchange is self:
                if self.is_request_done and connection.is_reusable:
                    connection.release(now_ns)
                else:
                    connection.close()
        self.close(now_ns, outcome, self.status)

    # -- ends (the rare ones are in governor.proxy.endings) -------------------

    def upstream_broke(self, error: GovernorError) -> None:
        """The upstream broke off or answered what cannot be forwarded."""
        self.connection = None
        endings.fail(self, error, Outcome.FAILED)

    def switch(self, connection: UpstreamConnection, head: bytes, rest: bytes, now_ns: int) -> None:
        """The upstream changes protocols (101): splice both connections."""
        endings.switch(self, connection, head, rest, now_ns)

    def close(self, now_ns: int, outcome: Outcome, status: int) -> None:
        """Close the lease, let those go who waited for its place, tell the caller's side."""
        self.state = DONE
        lease = self.lease
        if lease is not None:
            self.lease = lease.owner = None
            try:
                decisions = self.gate.depart(now_ns, lease, outcome, status, self.retry_after_ns)
            except Exception as error:
                decisions = ()
                self.stats.n_faults += 1
                self.server.report_fault(error)
            if decisions:
                apply_all(decisions)
        server = self.server
        stats = self.stats
        stats.bytes_to_callers += self.n_out_bytes
        decision = self.decision
        action = UNDECIDED if decision is None else decision.action
        self.route.count(self.status, action, now_ns - self.arrived_at_ns)
        if server.on_done is not None:
            endings.record(self, now_ns, outcome)
        self.decision = None
        downstream = self.downstream
        if downstream is not None:
            self.downstream = None
            downstream.finished(self, now_ns)
        else:
            server.abandoned.discard(self)
