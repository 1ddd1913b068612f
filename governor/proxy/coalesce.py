"""Identical requests in flight share one upstream call.

*Rule of this file*: the data path; what is identical is :mod:`policies.coalesce`'s.

::

    caller's exchange ─┐
    caller's exchange ─┼─▶ Flight ─▶ Carrier ─▶ gate, connection, upstream
    caller's exchange ─┘   (its "caller")

The call is made by an exchange of its own, the carrier, whose caller is the
flight; so all members are equal, and who was first may leave like any other.
One may join until the answer's head is there, so every member gets every byte
from the first. The carrier goes through the gate and holds the one place;
members hold none, and all but the first are booked as COALESCED.

- *The answer decides* whether it may be shared: those whose request differs in
  a field that ``Vary`` names, and all but one where it may not be shared at all,
  are sent on their own.
- *A slow member* holds nobody back for long: the call is read at the pace of the
  member that reads fastest. For those who are more than ``MAX_BEHIND_BYTES`` behind
  it waits ``HOLD_NS`` over its whole life, so that a hiccup costs nobody his
  answer; after that they are cut off, for half an answer cannot be continued
  from another call, and to buffer without bound is to let one reader take all
  memory. If all are slow, the upstream waits, as it does for one caller.
- *A member that leaves* is gone at once; with the last one the call itself is
  abandoned, as the route says.
- *The upstream's failure* is everybody's: each gets its own 502 or 504, or is cut
  off in the middle. *Governor's refusal* is one caller's: the others ask the gate
  themselves, for no two may have the same slot. An upstream's refusal is shared,
  and in a storm each member gets a slot of its own.

Where it only observes nothing is shared (:mod:`governor.proxy.unshared`).

*Considered and rejected*: making the first caller's exchange the leader (its
leaving, its slowness and its connection would be everybody's); joining an answer
that has begun (it would have to be kept).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from governor.core.arrival import Arrival
from governor.core.lease import Decision, make_lease
from governor.errors import Fault, GovernorError, UpstreamError, UpstreamTimeout
from governor.proxy import carrier as shared
from governor.proxy import endings
from governor.proxy.carrier import Carrier, Member
from governor.proxy.state import DONE, JOINED, NEW, SENT, STREAMING
from policies.coalesce import agree, read_sharing, share_key
from policies.decision import Action, Outcome, Reason

if TYPE_CHECKING:
    from governor.proxy.downstream import Downstream
    from governor.proxy.exchange import Exchange
    from governor.proxy.upstream import UpstreamConnection

Tell = Callable[["Exchange", "Exchange", bytes], None]

HOLD_NS = 1_000_000_000
"""How long one call waits for stragglers in all."""


def join(exchange: Exchange, now_ns: int) -> bool:
    """Let a request share a call, its own if nobody has made it yet; return whether it does."""
    try:
        key = key_of(exchange)
        if key is None:
            return False
        flights = exchange.server.flights
        flight = flights.get(key)
        if flight is None:
            flight = flights[key] = Flight(exchange, key, now_ns)
            flight.add(exchange, now_ns)
            flight.carrier.start(now_ns, may_join=False)
        else:
            flight.add(exchange, now_ns)
    except Exception as error:
        exchange.stats.n_faults += 1  # it goes on its own
        exchange.server.report_fault(error)
        member = cast("object", exchange.connection)
        if exchange.state == JOINED and isinstance(member, Member):
            member.flight.part(member)
            exchange.connection = exchange.decision = None
            exchange.state = NEW
        return exchange.state != NEW
    return True


def key_of(exchange: Exchange) -> tuple[object, ...] | None:
    """Return what identical requests have in common; None for one that is never shared."""
    head = exchange.head
    if head.content_length or head.is_chunked or head.upgrade or not exchange.minor:
        return None
    peer = cast("Downstream", exchange.downstream).peer
    caller = (peer.ip, peer.scheme, head.forwarded_for)
    key = share_key(head.method, head.target, caller, head.block.split(b"\r\n"))
    return None if key is None else (exchange.route, key)


class Flight:
    """Those who share one call; to the call it is the caller (see :class:`Downstream`).

    Attributes
    ----------
    members : list of Member
    carrier : Carrier
    """

    __slots__ = (
        "_first",
        "_has_begun",
        "_held_ns",
        "_held_since_ns",
        "_is_ending",
        "_key",
        "carrier",
        "exchange",
        "is_draining",
        "is_read_paused",
        "is_write_paused",
        "members",
        "peer",
        "server",
        "stats",
    )

    def __init__(self, first: Exchange, key: tuple[object, ...], now_ns: int) -> None:
        downstream = cast("Downstream", first.downstream)
        self.server = downstream.server
        self.stats = downstream.stats
        self.peer = downstream.peer
        self.is_draining = self.is_read_paused = self.is_write_paused = False
        self.members: list[Member] = []
        self._key = key
        self._first = first
        self._has_begun = False
        self._is_ending = False
        self._held_ns = 0
        self._held_since_ns = 0
        self.carrier = self.exchange = Carrier(self, first, now_ns)
        self.server.watched.add(self)

    # -- who shares -----------------------------------------------------------------

    def add(self, exchange: Exchange, now_ns: int) -> None:
        """Let a request share the call."""
        member = Member(self, exchange)
        exchange.connection = cast("UpstreamConnection", member)
        exchange.state = JOINED
        exchange.dispatched_at_ns = now_ns
        if exchange is not self._first:
            lease = make_lease(Arrival(), now_ns, 0)  # never in the gate
            exchange.decision = Decision(Action.ADMIT, Reason.COALESCED, lease)
        self.members.append(member)

    def close_to_others(self, head: bytes) -> None:
        """Nobody joins any more; who may not share this answer is sent on its own."""
        self._forget()
        names = read_sharing(head)
        if names is None:
            apart = self.members[1:]
        else:
            asked = self.carrier.head.headers
            apart = [x for x in self.members if not agree(names, asked, x.exchange.head.headers)]
        for member in apart:
            self._send_alone(member)

    def _send_alone(self, member: Member) -> None:
        exchange = member.exchange
        self._drop(member)
        exchange.connection = exchange.decision = None
        exchange.state = NEW
        exchange.dispatched_at_ns = 0
        exchange.start(monotonic_ns(), may_join=False)

    def _drop(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)

    def part(self, member: Member) -> None:
        """Forget a member that has its answer, has left, or was cut off."""
        if member not in self.members:
            return
        self.members.remove(member)
        if member.exchange is not self._first:
            ledger = self.carrier.gate.ledger
            ledger.n_arrived += 1
            ledger.n_by_outcome[Outcome.COALESCED] += 1
        if self._is_ending:
            return
        if self.members:
            self.weigh_pace()
        elif self.carrier.state != DONE:
            self._forget()
            endings.leave(self.carrier, monotonic_ns())

    def _forget(self) -> None:
        if self.server.flights.get(self._key) is self:
            del self.server.flights[self._key]

    # -- the answer -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Give a part of the answer to all; the first begins with the whole head."""
        if self._has_begun:
            for member in list(self.members):
                self._tell(member, data, shared.relay)
            if len(self.members) > 1 and not self.is_write_paused:
                self.weigh_pace()
        else:
            self._has_begun = True
            for member in list(self.members):
                self._tell(member, data, shared.begin)

    def finish(self, data: bytes, now_ns: int) -> None:
        """Give the last part to all, or all of it if it has not begun."""
        self._is_ending = True
        self._forget()
        begins = not self._has_begun
        for member in list(self.members):
            self._tell(member, data, shared.answer if begins else shared.finish)

    def _tell(self, member: Member, data: bytes, tell: Tell) -> None:
        """Act on one member; a fault of one is not another's."""
        exchange = member.exchange
        exchange.stamp_ns = self.carrier.stamp_ns
        try:
            tell(exchange, self.carrier, data)
        except Exception as error:
            self.stats.n_faults += 1
            self.server.report_fault(error)
            self._fail(member, UpstreamError("The answer could not be shared."))

    def answer(
        self, status: int, reason: str, fault: Fault, message: str, retry_after_ns: int
    ) -> None:
        """Answer in Governor's own name: a refusal is one caller's, a failure everybody's."""
        self._forget()
        self._is_ending = True
        members = list(self.members)
        if fault == "capacity":
            for member in members[1:]:
                self._send_alone(member)
            for member in members[:1]:
                exchange = member.exchange
                exchange.own_reason = reason
                exchange.decision = self.carrier.decision
                exchange.connection = None
                self.part(member)
                endings.answer(exchange, status, reason, fault, message, retry_after_ns)
                exchange.close(monotonic_ns(), Outcome.UNSENT, status)
            return
        kind = UpstreamError if fault == "upstream" else GovernorError
        error = kind(message, reason=reason, status_hint=status)
        for member in members:
            self._fail(member, error)

    def cut_off(self) -> None:
        """End everybody's connection in the middle of the answer."""
        self._is_ending = True
        for member in list(self.members):
            self._fail(member, UpstreamError("It broke off.", reason=self.carrier.own_reason))

    def _fail(self, member: Member, error: GovernorError) -> None:
        endings.fail(member.exchange, error, Outcome.COALESCED)

    # -- the pace -----------------------------------------------------------------------

    def weigh_pace(self) -> None:
        """Let the upstream wait while no member reads, or a little for those far behind."""
        now_ns = monotonic_ns()
        if self._held_since_ns:
            self._held_ns += now_ns - self._held_since_ns
            self._held_since_ns = 0
        members = self.members
        n_paused = sum(member.is_paused for member in members)
        is_paused = 0 < len(members) == n_paused
        if n_paused and not is_paused:
            stragglers = [member for member in members if member.is_far_behind]
            if stragglers and self._held_ns < HOLD_NS:
                self._held_since_ns = now_ns
                is_paused = True
            else:
                for member in stragglers:
                    error = GovernorError("It fell behind.", reason="fell_behind", status_hint=502)
                    self._fail(member, error)
        self._pace(is_paused, now_ns)

    def _pace(self, is_paused: bool, now_ns: int) -> None:
        if is_paused == self.is_write_paused:
            return
        self.is_write_paused = is_paused
        connection = self.carrier.connection
        if connection is not None:
            if is_paused:
                connection.pause_reading()
            else:
                self.carrier.stamp_ns = now_ns
                connection.resume_reading()

    # -- as a caller, and as something to watch -------------------------------------------

    def pause_for_body(self) -> None:
        """There is no body."""

    def resume_for_body(self) -> None:
        """There is no body."""

    def sweep(self, now_ns: int) -> None:
        """End a call whose upstream is too slow, as the sweep of a caller's own does."""
        if self._held_since_ns:
            self.weigh_pace()
        carrier = self.carrier
        quiet_ns = now_ns - carrier.stamp_ns
        pool = carrier.pool
        if carrier.downstream is None:
            return
        if carrier.state == SENT and quiet_ns > pool.first_byte_timeout_ns:
            error = UpstreamTimeout("The upstream did not answer within first_byte_timeout.")
            endings.fail(carrier, error, Outcome.FAILED)
        elif carrier.state == STREAMING and quiet_ns > pool.idle_timeout_ns:
            connection = carrier.connection
            if connection and not connection.is_event_stream and not self.is_write_paused:
                error = UpstreamTimeout("The upstream stopped in the middle of its answer.")
                endings.fail(carrier, error, Outcome.FAILED)

    def end(self) -> None:
        """The call is over; whoever is still here is cut off."""
        self._is_ending = True
        self._forget()
        self.server.watched.discard(self)
        for member in list(self.members):
            self._fail(member, UpstreamError("The shared call ended.", reason="upstream_error"))
